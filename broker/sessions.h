// Connections as the broker's loop knows them: libzmq's routing ids on one side, session ids on the
// other, and for each the messages that its peer has not taken yet.
// Threads: one.
#pragma once

#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/core/effects.h"
#include "protocol/transport/socket.h"

namespace zgrid::broker {

struct Session {
  SessionId id = SessionId::none;
  std::string routing_id;
  protocol::Principal principal;
  MonoTime last_heard;
  uint32_t malformed = 0;
  protocol::Backlog backlog;
  std::deque<protocol::Frames> waiting;  // the peer's queue was full
  size_t waiting_bytes = 0;
  std::vector<protocol::Message> lazy;  // see Delivery; nothing waits behind them
  bool acks_ride = false;               // its peer reads acknowledgements inside other messages
  // Results that the peer gets once it reads again: they are in the store, only their ids wait.
  std::deque<std::pair<JobId, StoreRead::End>> parked;
  size_t reads = 0;   // of results, that the store is busy with for it
  MonoTime moved_at;  // when something last left for it, or began to wait

  [[nodiscard]] bool is_slow() const { return !waiting.empty() || !parked.empty(); }
};

class Sessions {
 public:
  // What is kept for a peer that does not read; then its session ends, and it starts over: at once
  // beyond the second, beyond the first if nothing left for so long.
  static constexpr size_t kWaitingBytesMax = 24u << 20;
  static constexpr size_t kWaitingBytesEver = 64u << 20;  // of clients
  static constexpr Seconds kStalled{5};
  // From here on results are parked.
  static constexpr size_t kParkAbove = 4u << 20;

  // The session of a connection; a new one if the routing id is new or has another owner.
  Session& of(const std::string& routing_id, const protocol::Principal& principal, MonoTime now);
  Session* find(SessionId id);
  void erase(SessionId id);
  // Those that said nothing for so long; for erasing.
  [[nodiscard]] std::vector<SessionId> silent_since(MonoTime time) const;
  // Whose peers do not read as fast as we write. update_slow() after a change of what waits.
  [[nodiscard]] std::vector<SessionId> slow() const { return {slow_.begin(), slow_.end()}; }
  [[nodiscard]] bool any_slow() const { return !slow_.empty(); }
  void update_slow(const Session& session);
  [[nodiscard]] size_t size() const { return by_id_.size(); }

 private:
  std::unordered_map<std::string, SessionId> by_routing_id_;
  std::unordered_map<uint64_t, Session> by_id_;
  std::set<SessionId> slow_;
  uint64_t next_ = 1;
};

}  // namespace zgrid::broker
