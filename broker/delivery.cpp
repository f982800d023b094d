#include "broker/delivery.h"

#include <algorithm>

#include "protocol/base/limits.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// How soon a peer that did not read is tried again.
constexpr Millis kSlowRetry{10};

// What the transport would abort on.
bool fits(const Frames& frames) {
  return frames.size() <= 1 + limits::kPayloadFramesMax &&
         std::all_of(frames.begin(), frames.end(),
                     [](const Bytes& frame) { return frame.size() <= limits::kFrameBytesMax; });
}

// Puts all that waits into the message, if it is all plain acknowledgements that fit there. A part
// of them would not do: what is sent on its own may find the peer's queue full, and results that
// are then parked take nothing along.
bool take_along(std::vector<Message>& lazy, Message& message) {
  auto* results = std::get_if<Results>(&message);
  auto* request = std::get_if<Request>(&message);
  const auto rides = [&](const Message& one) {
    if (const auto* accepted = std::get_if<SubmitAck>(&one)) {
      return results != nullptr && accepted->items.empty();
    }
    const auto* settled = std::get_if<FinalAck>(&one);
    return settled != nullptr && request != nullptr && settled->refused.empty();
  };
  if (lazy.size() > limits::kRidingAcksMax || !std::all_of(lazy.begin(), lazy.end(), rides)) {
    return false;
  }
  for (const Message& one : lazy) {
    if (results != nullptr) {
      results->accepted.push_back(std::get<SubmitAck>(one).request);
    } else {
      request->settled.push_back(std::get<FinalAck>(one).batch);
    }
  }
  lazy.clear();
  return true;
}

}  // namespace

Delivery::Delivery(Router& router, Sessions& sessions, Log& log, Hooks hooks)
    : router_(router), sessions_(sessions), log_(log), hooks_(std::move(hooks)) {}

void Delivery::deliver(std::vector<Send>& sends) {
  for (Send& one : sends) {
    Session* session = sessions_.find(one.to);
    if (session == nullptr) continue;  // it went away; what it waited for is in the store
    if (!one.lazy) {
      send(one.to, std::move(one.message));
      continue;
    }
    if (lazy_.empty()) lazy_due_ = now_ + Micros(kLazy);
    if (session->lazy.empty()) lazy_.push_back(one.to);
    session->lazy.push_back(std::move(one.message));
  }
  sends.clear();
}

void Delivery::send(SessionId to, Message&& message) {
  Session* session = sessions_.find(to);
  if (session == nullptr) return;
  // What goes to a peer that does not read may be parked, too.
  const bool may_ride = session->acks_ride && session->waiting.empty();
  if (session->lazy.empty()) {
    send_now(*session, message);
  } else if (may_ride && take_along(session->lazy, message)) {
    if (lazy_.size() == 1) forget_lazy();
    send_now(*session, message);
  } else {
    send_lazy(*session);
    session = sessions_.find(to);
    if (session != nullptr) send_now(*session, message);
  }
}

// May drop the session.
void Delivery::send_now(Session& session, const Message& message) {
  const SessionId to = session.id;
  const auto* results = std::get_if<Results>(&message);
  if (results != nullptr && !session.waiting.empty()) return park(session, *results);
  Frames frames = encode(message);
  if (!fits(frames)) {
    log_.error("a message is over the limits of the wire: a bug of ours, please report it",
               {{"message", std::string(message_name(kind_of(message)))}});
    return drop(to, "its answer could not be sent");
  }
  if (session.waiting.empty()) {
    switch (router_.send(session.routing_id, frames, session.backlog)) {
      case Router::Sent::ok: return;
      case Router::Sent::gone: return drop(to, "its connection is gone");
      case Router::Sent::full: break;
    }
  }
  if (session.waiting.empty()) session.moved_at = now_;
  for (const Bytes& frame : frames) session.waiting_bytes += frame.size();
  session.waiting.push_back(std::move(frames));
  sessions_.update_slow(session);
  // What waits for a worker is bounded by its window; it would get the same again after a drop.
  const bool is_bounded = session.principal.role == Role::worker;
  if (!is_bounded && session.waiting_bytes > Sessions::kWaitingBytesEver) {
    drop(to, "it does not read");
  }
}

void Delivery::send_lazy(Session& session) {
  const SessionId id = session.id;
  const std::vector<Message> messages = std::move(session.lazy);
  session.lazy.clear();
  for (const Message& message : messages) {
    Session* same = sessions_.find(id);  // a send may end the session
    if (same == nullptr) return;
    send_now(*same, message);
  }
}

void Delivery::send_all_lazy() {
  const std::vector<SessionId> due = std::move(lazy_);
  forget_lazy();
  for (const SessionId id : due) {
    if (Session* session = sessions_.find(id)) send_lazy(*session);
  }
}

void Delivery::forget_lazy() {
  lazy_.clear();
  lazy_due_ = MonoTime::never();
}

void Delivery::flush() {
  if (lazy_due_ <= now_) send_all_lazy();
  send_waiting();
}

void Delivery::send_waiting() {
  for (const SessionId id : sessions_.slow()) {
    Session& session = *sessions_.find(id);
    Router::Sent sent = Router::Sent::ok;
    while (!session.waiting.empty()) {
      sent = router_.send(session.routing_id, session.waiting.front(), session.backlog);
      if (sent != Router::Sent::ok) break;
      for (const Bytes& frame : session.waiting.front()) session.waiting_bytes -= frame.size();
      session.waiting.pop_front();
      session.moved_at = now_;
    }
    const bool is_stalled = session.waiting_bytes > Sessions::kWaitingBytesMax &&
                            now_ - session.moved_at > Micros(Sessions::kStalled);
    if (sent == Router::Sent::gone || is_stalled) {
      drop(id, is_stalled ? "it does not read" : "its connection is gone");
      continue;
    }
    if (session.waiting.empty()) read_parked(session);
    sessions_.update_slow(session);
  }
}

// A peer that does not read costs memory for its ids, not for its results: those are in the store.
void Delivery::park(Session& session, const Results& results) {
  for (const ResultEntry& entry : results.items) {
    session.parked.push_back({entry.job, {entry.outcome.status, entry.attempt}});
  }
}

void Delivery::park_rest(const StoreRead& read, size_t from) {
  Session* session = sessions_.find(read.to);
  if (session == nullptr) return;
  if (session->reads > 0) --session->reads;
  for (size_t i = from; i < read.jobs.size(); ++i) {
    session->parked.emplace_back(read.jobs[i], read.ends[i]);
  }
  sessions_.update_slow(*session);
}

void Delivery::read_parked(Session& session) {
  if (session.parked.empty() || session.reads > 0) return;
  StoreRead read;
  read.to = session.id;
  while (!session.parked.empty() && read.jobs.size() < limits::kBatchItemsMax) {
    read.jobs.push_back(session.parked.front().first);
    read.ends.push_back(session.parked.front().second);
    session.parked.pop_front();
  }
  hooks_.read(std::move(read));
}

void Delivery::drop(SessionId id, const char* reason) {
  log_.debug("a session ended", {{"reason", reason}});
  hooks_.on_dropped(id);
  sessions_.erase(id);
}

MonoTime Delivery::next_wake() const {
  const MonoTime retry = sessions_.any_slow() ? now_ + Micros(kSlowRetry) : MonoTime::never();
  return std::min(retry, lazy_due_);
}

}  // namespace zgrid::broker
