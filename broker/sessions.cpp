#include "broker/sessions.h"

#include <algorithm>

namespace zgrid::broker {

Session& Sessions::of(const std::string& routing_id, const protocol::Principal& principal,
                      MonoTime now) {
  const auto [it, is_new] = by_routing_id_.try_emplace(routing_id, SessionId::none);
  if (!is_new) {
    Session& known = by_id_.at(static_cast<uint64_t>(it->second));
    if (known.principal.role == principal.role && known.principal.name == principal.name) {
      known.last_heard = now;
      return known;
    }
    slow_.erase(it->second);
    by_id_.erase(static_cast<uint64_t>(it->second));
  }
  it->second = static_cast<SessionId>(next_++);
  Session& session = by_id_[static_cast<uint64_t>(it->second)];
  session.id = it->second;
  session.routing_id = routing_id;
  session.principal = principal;
  session.last_heard = now;
  return session;
}

Session* Sessions::find(SessionId id) {
  const auto it = by_id_.find(static_cast<uint64_t>(id));
  return it == by_id_.end() ? nullptr : &it->second;
}

void Sessions::erase(SessionId id) {
  const auto it = by_id_.find(static_cast<uint64_t>(id));
  if (it == by_id_.end()) return;
  by_routing_id_.erase(it->second.routing_id);
  slow_.erase(id);
  by_id_.erase(it);
}

std::vector<SessionId> Sessions::silent_since(MonoTime time) const {
  std::vector<SessionId> found;
  for (const auto& [id, session] : by_id_) {
    if (session.last_heard < time) found.push_back(session.id);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Sessions::update_slow(const Session& session) {
  if (session.is_slow()) {
    slow_.insert(session.id);
  } else {
    slow_.erase(session.id);
  }
}

}  // namespace zgrid::broker
