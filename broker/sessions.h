// Connections as the broker's loop knows them: libzmq's routing ids on one side, session ids on the
// other, and for each the messages that its peer has not taken yet.
// Threads: one.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>

#include "protocol/transport/socket.h"

namespace zgrid::broker {

struct Session {
  SessionId id = SessionId::none;
  std::string routing_id;
  protocol::Principal principal;
  MonoTime last_heard;
  uint32_t malformed = 0;
  std::deque<protocol::Frames> waiting;  // the peer's queue was full
  size_t waiting_bytes = 0;
};

class Sessions {
 public:
  // What is kept for a peer that does not read; then its session ends, and it starts over.
  static constexpr size_t kWaitingBytesMax = 32u << 20;

  // The session of a connection; a new one if the routing id is new or has another owner.
  Session& of(const std::string& routing_id, const protocol::Principal& principal, MonoTime now);
  Session* find(SessionId id);
  void erase(SessionId id);
  // Those that said nothing for so long; for erasing.
  [[nodiscard]] std::vector<SessionId> silent_since(MonoTime time) const;
  [[nodiscard]] std::vector<SessionId> with_waiting() const;
  [[nodiscard]] size_t size() const { return by_id_.size(); }

 private:
  std::unordered_map<std::string, SessionId> by_routing_id_;
  std::unordered_map<uint64_t, Session> by_id_;
  uint64_t next_ = 1;
};

}  // namespace zgrid::broker
