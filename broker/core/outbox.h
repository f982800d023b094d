// Collects a turn's sends: entries for the same peer share one message.
// Internal to the core. Threads: one.
#pragma once

#include <unordered_map>

#include "broker/core/effects.h"
#include "protocol/batch.h"

template <>
struct std::hash<zgrid::SessionId> {
  size_t operator()(zgrid::SessionId id) const noexcept {
    return static_cast<size_t>(id) * 0x9e3779b97f4a7c15u;
  }
};

namespace zgrid::broker {

class Outbox {
 public:
  explicit Outbox(std::vector<Send>& sends) : sends_(sends) {}
  void begin_turn();

  void send(SessionId to, Gate gate, protocol::Message message);
  // Of a message that nobody waits for.
  void send_lazily(SessionId to, protocol::Message message);
  void assign(SessionId to, Gate gate, const SpecRef& spec, protocol::Assignment entry);
  void result(SessionId to, const WorkerFactsRef& worker, const protocol::JobHead& head,
              protocol::ResultEntry entry);
  void event(SessionId to, const JobId& job, uint32_t attempt, const JobEvent& event);
  void abort(SessionId to, const Token& token, protocol::Abort::Reason reason);
  void recall(SessionId to, const Token& token);
  // Entries that follow go into messages behind all that was sent so far.
  void close(SessionId to) { peers_.erase(to); }

 private:
  // The message that further entries of a kind go into.
  struct Open {
    size_t index = SIZE_MAX;  // in sends_
    protocol::BatchMeter meter;
  };
  struct Peer {
    Open assignments, overtaking, results, events, aborts, recalls;
  };
  template <class M>
  M& open(Open& open, SessionId to, Gate gate, protocol::Weight weight);

  std::vector<Send>& sends_;
  std::unordered_map<SessionId, Peer> peers_;
};

}  // namespace zgrid::broker
