#include "worker/core/core.h"

#include <algorithm>

#include "protocol/base/check.h"
#include "worker/core/state.h"

namespace zgrid::worker {

using namespace protocol;

namespace {

// Attempts that run longer are announced; shorter ones end before anyone could ask.
constexpr Micros kAnnounceAfter{2000};
// A broker that does not answer READY is asked again.
constexpr Micros kReadyAgain{1'000'000};
// The broker's beat leads. Ours goes by itself when that is late by this part of a beat.
constexpr int kLatePart = 10;

void on_refused(State& s, Refused&& m) {
  switch (m.error.code) {
    case Errc::name_taken:
    case Errc::envelope_version:
    case Errc::config:
    case Errc::forbidden:
    case Errc::revoked: s.effects.fatal = std::move(m.error); return;
    default: return;  // of one message; nothing was lost by it
  }
}

void on_goodbye(State& s) {
  // Either the broker does not know us (any more), or it stops: introduce ourselves again. Results
  // on their way may have been dropped unread, so they are sent again after the welcome.
  if (s.phase != Phase::welcomed) return;
  on_away(s);
  introduce(s);
}

// The broker's beats leave in one turn. Ours follow at once, so that it hears of all workers
// together: an idle grid wakes once a second, not once for each worker.
void on_beat(State& s) { s.beat_now = true; }

struct FromBroker {
  State& s;
  void operator()(Welcome& m) const { on_welcome(s, std::move(m)); }
  void operator()(Refused& m) const { on_refused(s, std::move(m)); }
  void operator()(Request& m) const {
    for (const uint64_t batch : m.settled) on_final_ack(s, {batch, {}});
    on_request(s, std::move(m));
  }
  void operator()(FinalAck& m) const { on_final_ack(s, m); }
  void operator()(Abort& m) const { on_abort(s, m); }
  void operator()(Recall& m) const { on_recall(s, m); }
  void operator()(Heartbeat&) const { on_beat(s); }
  void operator()(Disconnect&) const { on_goodbye(s); }
  template <class M>
  void operator()(M&) const {}  // not for workers
};

void announce_started(State& s) {
  while (!s.unannounced.empty()) {
    const auto it = s.attempts.find(s.unannounced.front());
    if (it != s.attempts.end() && it->second.running) {
      if (it->second.started_at + kAnnounceAfter > s.now.mono) return;
      it->second.announced = true;
      s.started.push_back(it->second.start.token);
    }
    s.unannounced.pop_front();
  }
}

void watch_broker(State& s) {
  if (s.phase == Phase::disconnected) return;
  if (s.now.mono - s.last_heard > Micros(s.lease)) {
    on_away(s);
    s.effects.reconnect = true;
    return;
  }
  if (s.phase == Phase::introduced && s.now.mono >= s.next_ready) introduce(s);
}

void beat(State& s) {
  if (s.phase != Phase::welcomed) return;
  if (s.now.mono < s.next_beat && !s.beat_now) return;
  s.beat_now = false;
  s.next_beat = s.now.mono + Micros(s.heartbeat) + Micros(s.heartbeat) / kLatePart;
  Heartbeat m;
  m.running = s.running;
  m.window = s.window_announced = window(s);
  m.load_permille = s.load_permille;
  m.draining = s.draining;
  m.in_hand = s.activity;
  m.now = s.now.wall;
  if (s.services_changed) m.services = s.config.services;
  s.services_changed = false;
  s.effects.sends.emplace_back(std::move(m));
}

void say_goodbye_when_done(State& s) {
  if (!s.draining || s.goodbye_sent) return;
  if (!s.attempts.empty()) return;
  if (s.phase == Phase::welcomed) {
    if (!s.finished.empty() || !s.batches.empty()) return;
    s.effects.sends.emplace_back(Disconnect{"drained"});
  } else if (s.now.mono - s.last_heard < 2 * Micros(s.lease)) {
    return;  // the broker may be back in a moment
  }
  // What it never acknowledged is in the spool, for the next start of this worker.
  s.goodbye_sent = true;
  s.effects.finished = true;
}

}  // namespace

void Effects::clear() {
  sends.clear();
  stops.clear();
  spool_put.clear();
  spool_drop.clear();
  reconnect = false;
  fatal.reset();
  finished = false;
}

Core::Core(CoreConfig config) : state_(std::make_unique<State>(std::move(config))) {
  state_->store = state_->config.store;
  state_->epoch = state_->config.epoch;
}
Core::~Core() = default;

void Core::restore(Finished result) {
  State& s = *state_;
  s.spooled[result.token.nonce] = true;
  s.elsewhere.push_back(std::move(result));
}

void Core::begin(Now now) {
  state_->now = now;
  state_->effects.clear();
}

void Core::connected() {
  State& s = *state_;
  s.last_heard = s.now.mono;
  if (s.phase != Phase::disconnected) on_away(s);  // the link was down for less than a turn
  introduce(s);
}

void Core::disconnected() {
  State& s = *state_;
  if (s.phase != Phase::disconnected) on_away(s);
  s.phase = Phase::disconnected;
}

void Core::receive(Message&& message) {
  State& s = *state_;
  s.last_heard = s.now.mono;
  if (s.phase == Phase::disconnected) return;  // of a connection that we gave up
  const bool is_talk =
      !std::holds_alternative<Welcome>(message) && !std::holds_alternative<Refused>(message);
  if (s.phase == Phase::introduced && is_talk) return;  // meant for who we were before
  std::visit(FromBroker{s}, message);
}

void Core::attempt_event(const Token& token, JobEvent event) {
  State& s = *state_;
  if (s.phase == Phase::welcomed) s.events.push_back({token, std::move(event)});
}

void Core::attempt_ended(const Token& token, Outcome outcome, Payload output) {
  State& s = *state_;
  const auto it = s.attempts.find(token.nonce);
  ZGRID_CHECK(it != s.attempts.end() && it->second.running);
  finish_attempt(s, it->second, std::move(outcome), std::move(output));
}

void Core::set_load(uint32_t load_permille) { state_->load_permille = load_permille; }
void Core::set_activity(std::vector<InHand> activity) { state_->activity = std::move(activity); }
void Core::set_services(std::vector<std::string> services) {
  State& s = *state_;
  s.config.services = std::move(services);
  s.services_changed = s.beat_now = true;
}

void Core::drain() {
  State& s = *state_;
  if (s.draining) return;
  s.draining = true;
  s.beat_now = true;
  release_queued(s);
}

void Core::leave() {
  State& s = *state_;
  if (s.phase == Phase::welcomed) {
    send_results(s);
    s.effects.sends.emplace_back(Disconnect{"the worker stops"});
  }
  // What is not acknowledged goes to the spool as well.
  on_away(s);
}

std::optional<Start> Core::next_start() {
  State& s = *state_;
  if (s.queue.empty() || s.running >= s.config.slots) return std::nullopt;
  Attempt& attempt = s.attempts.at(s.queue.front());
  s.queue.pop_front();
  attempt.running = true;
  attempt.started_at = s.now.mono;
  ++s.running;
  s.unannounced.push_back(attempt.start.token.nonce);
  return attempt.start;
}

Effects& Core::finish() {
  State& s = *state_;
  announce_started(s);
  watch_broker(s);
  flush(s);
  beat(s);
  say_goodbye_when_done(s);
  return s.effects;
}

MonoTime Core::next_wake() const {
  const State& s = *state_;
  MonoTime next = MonoTime::never();
  if (s.phase != Phase::disconnected) next = s.last_heard + Micros(s.lease) + Micros(1);
  if (s.phase == Phase::introduced) next = std::min(next, s.next_ready);
  if (s.phase == Phase::welcomed) {
    next = std::min(next, s.next_beat);
    if (!s.finished.empty()) next = std::min(next, s.results_due);
    const bool has_results = !s.finished.empty() || !s.batches.empty();
    const MonoTime spool_at = spool_due(s);
    if (has_results && spool_at > s.now.mono) next = std::min(next, spool_at);
  }
  if (!s.unannounced.empty()) {
    const auto it = s.attempts.find(s.unannounced.front());
    const MonoTime due =
        it == s.attempts.end() ? s.now.mono : it->second.started_at + kAnnounceAfter;
    next = std::min(next, due);
  }
  return next;
}

Core::Counts Core::counts() const {
  const State& s = *state_;
  size_t unacknowledged = s.finished.size() + s.elsewhere.size();
  for (const Batch& batch : s.batches) unacknowledged += batch.results.size();
  return {s.queue.size(), s.running, unacknowledged, s.phase == Phase::welcomed};
}
StoreId Core::store() const { return state_->store; }
uint64_t Core::epoch() const { return state_->epoch; }

void introduce(State& s) {
  Ready m;
  m.facts = s.config.facts;
  m.boot = s.config.boot;
  m.slots = s.config.slots;
  m.window = s.window_announced = window(s);
  m.draining = s.draining;
  m.tags = s.config.tags;
  m.services = s.config.services;
  m.store = s.store;
  m.epoch = s.epoch;
  m.acks_ride = true;
  const auto add = [&m](const Token& token, InHand::State state) {
    if (m.in_hand.size() < limits::kInHandMax) m.in_hand.push_back({token, state, {}, 0, 0});
  };
  // Sorted, because the order of a hash table is nobody's decision.
  std::vector<const Attempt*> held;
  for (const auto& [nonce, attempt] : s.attempts) held.push_back(&attempt);
  std::sort(held.begin(), held.end(),
            [](const Attempt* a, const Attempt* b) { return a->start.token < b->start.token; });
  for (const Attempt* attempt : held) {
    add(attempt->start.token, attempt->running ? InHand::State::running : InHand::State::queued);
  }
  for (const Batch& batch : s.batches) {
    for (const Finished& result : batch.results) add(result.token, InHand::State::finished);
  }
  for (const Finished& result : s.finished) add(result.token, InHand::State::finished);
  for (const Finished& result : s.elsewhere) add(result.token, InHand::State::finished);
  s.effects.sends.emplace_back(std::move(m));
  s.phase = Phase::introduced;
  s.services_changed = false;
  s.next_ready = s.now.mono + kReadyAgain;
}

}  // namespace zgrid::worker
