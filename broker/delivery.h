// What leaves the broker: messages to their connections, each as soon as its peer takes it.
//
// A peer that does not read costs memory for a bounded time and size: results that wait for it are
// parked (they are in the store, only their ids wait here), and in the end its session is dropped.
// A send that is lazy waits up to kLazy for another one to the same peer, so that an
// acknowledgement which nobody is in a hurry for wakes nobody; where the peer understands it, the
// acknowledgement then rides inside that other message. The order of what goes to one peer is never
// changed. Threads: one.
#pragma once

#include <functional>
#include <vector>

#include "broker/core/effects.h"
#include "broker/sessions.h"
#include "protocol/log/log.h"

namespace zgrid::broker {

class Delivery {
 public:
  static constexpr Millis kLazy{1};

  struct Hooks {
    std::function<void(SessionId)> on_dropped;  // its session is gone
    std::function<void(StoreRead)> read;        // results that are wanted again from the store
  };
  // References outlive this object.
  Delivery(protocol::Router& router, Sessions& sessions, Log& log, Hooks hooks);

  // The time of what follows.
  void begin(MonoTime now) { now_ = now; }
  // In order; clears them.
  void deliver(std::vector<Send>& sends);
  void send(SessionId to, protocol::Message&& message);
  // Tries again what peers did not take, and sends what was lazy for long enough.
  void flush();
  // What a read of results left out, to be read when its peer has taken the rest.
  void park_rest(const StoreRead& read, size_t from);
  void drop(SessionId id, const char* reason);
  // When flush() has something to do even if nothing happens.
  [[nodiscard]] MonoTime next_wake() const;

 private:
  void send_now(Session& session, const protocol::Message& message);
  void send_lazy(Session& session);
  void send_all_lazy();
  void forget_lazy();
  void send_waiting();
  void park(Session& session, const protocol::Results& results);
  void read_parked(Session& session);

  protocol::Router& router_;
  Sessions& sessions_;
  Log& log_;
  Hooks hooks_;
  MonoTime now_;
  std::vector<SessionId> lazy_;  // sessions with lazy messages, and some that had
  MonoTime lazy_due_ = MonoTime::never();
};

}  // namespace zgrid::broker
