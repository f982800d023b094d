#include "broker/core/core.h"

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

State::State(CoreConfig configuration, Entropy& random)
    : config(std::move(configuration)), entropy(random), outbox(effects.sends) {}

Core::Core(CoreConfig config, Entropy& entropy)
    : state_(std::make_unique<State>(std::move(config), entropy)) {}
Core::~Core() = default;

// ---- recovery -------------------------------------------------------------------------

namespace {

// Of several jobs with one key (retries) the newest has it, in whatever order they come back.
void hold_key(State& s, const std::string& key, const JobId& id, uint64_t seq) {
  const auto [it, is_new] = s.keys.try_emplace(key, id);
  if (is_new) return;
  const Job* job = find_job(s, it->second);
  const Past* past = s.history.find(it->second);
  const uint64_t other = job != nullptr ? job->seq : past != nullptr ? past->seq : 0;
  if (other < seq) it->second = id;
}

}  // namespace

void Core::restore(StoredJob&& stored) {
  State& s = *state_;
  PutJob& accepted = stored.accepted;
  Job& job = s.jobs.add(accepted.id);
  job.seq = accepted.seq;
  job.entry =
      intern(s, accepted.spec, accepted.pinned, stored.state.losses >= limits::kLossesBeforeAlone);
  acquire(job.entry);
  job.input_size = std::max<uint64_t>(stored.input_left_out, accepted.input.data.size());
  job.input_stored = stored.input_left_out > 0;
  job.input = std::move(accepted.input);
  s.counts.input_bytes += job.input.data.size();
  job.index = accepted.index;
  job.body = accepted.body;
  job.submitted = accepted.submitted;
  job.accepted = accepted.accepted;
  s.last_sign = std::max(s.last_sign, job.accepted);
  job.status = stored.state.status;
  job.attempt = stored.state.attempt;
  job.nonce = stored.state.nonce;
  job.last_worker = stored.state.worker;
  job.failures = stored.state.failures;
  job.losses = stored.state.losses;
  job.cancel_requested = stored.state.cancel_requested;
  job.not_before = stored.state.not_before;
  job.assigned = stored.state.assigned;
  if (!stored.state.lost.empty()) job.more().lost = std::move(stored.state.lost);
  if (stored.state.spent) job.more().spent = *stored.state.spent;
  if (!accepted.trace.empty()) job.more().trace = accepted.trace;
  if (!accepted.retry_of.is_nil()) job.more().retry_of = accepted.retry_of;
  if (!accepted.parent.is_nil()) job.more().parent = accepted.parent;
  if (!accepted.key.empty()) {
    hold_key(s, accepted.key, job.id, job.seq);
    job.more().key = std::move(accepted.key);
  }
  const bool is_group = !accepted.children.empty();
  if (is_group) job.more().children = std::move(accepted.children);
  if (!accepted.owner.empty()) {
    job.owner = &owner_of(s, accepted.owner);
    job.owner->newest = job.id;
    ++job.owner->in_flight;
  }
  s.next_seq = std::max(s.next_seq, job.seq + 1);
  ++s.counts.unfinished;
  ++s.by_status[static_cast<size_t>(job.status)];
  if (job.status == JobStatus::queued) enqueue(s, job);
  if (job.status == JobStatus::running && !is_group) s.detached.insert(job.id);
}

void Core::restore(EndedJob&& ended) {
  State& s = *state_;
  s.next_seq = std::max(s.next_seq, ended.seq + 1);
  ++s.by_status[static_cast<size_t>(ended.status)];
  if (!ended.owner.empty()) owner_of(s, ended.owner).newest = ended.id;
  Past past;
  past.id = ended.id;
  past.body = ended.body;
  past.seq = ended.seq;
  past.ended = ended.ended;
  s.last_sign = std::max(s.last_sign, past.ended);
  past.bytes = ended.bytes;
  past.attempt = ended.attempt;
  past.status = ended.status;
  s.history.add(past, ended.key, std::move(ended.children));
  if (!ended.key.empty()) hold_key(s, ended.key, past.id, past.seq);
}

void Core::restore(Purge&& purge) {
  State& s = *state_;
  std::vector<std::pair<std::string, JobId>> keys;
  for (const EndedJob& job : purge.jobs) {
    s.next_seq = std::max(s.next_seq, job.seq + 1);
    ++s.by_status[static_cast<size_t>(job.status)];
    if (!job.key.empty()) keys.emplace_back(job.key, job.id);
  }
  s.history.restore(std::move(purge));
  for (const auto& [key, id] : keys) hold_key(s, key, id, s.history.find(id)->seq);
}

void Core::restore(const PutDrain& drain) {
  if (drain.draining) state_->drained[drain.worker] = drain.name;
}
void Core::restore(const PutClock& clock) { state_->stored_clock = clock; }

Welcome make_welcome(const State& s) {
  Welcome welcome;
  welcome.program_version = s.config.program_version;
  welcome.broker_name = s.config.broker_name;
  welcome.store = s.config.store.id;
  welcome.epoch = s.config.store.epoch;
  welcome.heartbeat = s.config.heartbeat;
  welcome.lease = s.config.lease;
  welcome.now = s.now.wall;
  welcome.durable = s.config.store.durable;
  return welcome;
}

// ---- a turn ---------------------------------------------------------------------------

void Core::begin(Now now) {
  State& s = *state_;
  s.now = now;
  ++s.turn;
  s.unwritten = 0;
  s.effects.clear();
  s.outbox.begin_turn();
  s.feed.advance(now.mono);
  if (s.started_at) return advance_clock(s);
  s.started_at = now.mono;
  s.feed.start(now.wall);
  const bool is_restart = s.config.store.epoch > 1;
  s.workers_back_at = is_restart ? now.mono + 2 * Micros(s.config.lease) : now.mono;
  s.next_lease = MonoTime::never();
  start_clock(s);
  s.next_beat = now.mono + Micros(s.config.heartbeat);
  s.next_recall = now.mono;
  finish_restore(s);
}

namespace {

void on_hello(State& s, SessionId session, const Hello& m) {
  if (m.version_min > kVersion || m.version_max < kVersionMin) {
    Refused refused;
    refused.error.code = Errc::envelope_version;
    refused.error.message = "the client speaks protocol versions " + std::to_string(m.version_min) +
                            " to " + std::to_string(m.version_max) + ", this broker " +
                            std::to_string(kVersionMin) + " to " + std::to_string(kVersion);
    refused.error.hint = "install the same release on both machines";
    s.outbox.send(session, Gate::free, std::move(refused));
    return;
  }
  ClientSession& client = s.clients[session];
  client.owner = &owner_of(s, m.user_host);
  client.last_seen = s.now.mono;
  s.outbox.send(session, Gate::free, make_welcome(s));
}

// A peer that speaks before its hello: after our restart it must introduce itself again.
void ask_for_hello(State& s, SessionId session) {
  s.outbox.send(session, Gate::free, Disconnect{"say HELLO or READY first"});
}

struct FromClient {
  State& s;
  SessionId session;
  ClientSession& client;
  void operator()(Submit& m) const { on_submit(s, session, client, std::move(m)); }
  void operator()(Watch& m) const { on_watch(s, session, std::move(m)); }
  void operator()(Cancel& m) const { on_cancel(s, session, m); }
  void operator()(Query& m) const { on_query(s, session, client, m); }
  void operator()(Control& m) const { on_control(s, session, m); }
  void operator()(Retry& m) const { on_retry(s, session, std::move(m)); }
  void operator()(protocol::Purge& m) const { on_purge(s, session, m); }
  void operator()(Heartbeat&) const { s.outbox.send(session, Gate::free, Heartbeat{}); }
  void operator()(Disconnect&) const { s.clients.erase(session); }
  template <class M>
  void operator()(M&) const {}  // not a client's message: may_send() refused it before
};

struct FromWorker {
  State& s;
  Worker& worker;
  void operator()(Heartbeat& m) const { on_heartbeat(s, worker, std::move(m)); }
  void operator()(Disconnect&) const { on_disconnect(s, worker); }
  void operator()(Final& m) const { on_final(s, worker, std::move(m)); }
  void operator()(Partial& m) const { on_partial(s, worker, std::move(m)); }
  void operator()(Released& m) const { on_released(s, worker, m); }
  void operator()(Started& m) const { on_started(s, worker, m); }
  template <class M>
  void operator()(M&) const {}  // not a worker's message
};

}  // namespace

void Core::receive(SessionId session, Role role, Message&& message) {
  State& s = *state_;
  if (auto* ready = std::get_if<Ready>(&message)) return on_ready(s, session, std::move(*ready));
  if (const auto* hello = std::get_if<Hello>(&message)) return on_hello(s, session, *hello);
  if (role == Role::worker) {
    Worker* const worker = s.worker_of_session.find(session);
    if (worker == nullptr) return ask_for_hello(s, session);
    prefetch(*worker);
    worker->last_seen = s.now.mono;
    worker->lease_until = s.now.mono + Micros(s.config.lease);
    return std::visit(FromWorker{s, *worker}, message);
  }
  const auto it = s.clients.find(session);
  if (it == s.clients.end()) return ask_for_hello(s, session);
  it->second.last_seen = s.now.mono;
  std::visit(FromClient{s, session, it->second}, message);
}

void Core::session_lost(SessionId session) { state_->clients.erase(session); }
void Core::set_refusing(std::string reason) { state_->refusing = std::move(reason); }
void Core::set_unwritten(uint64_t bytes) {
  state_->unwritten = bytes;
  if (bytes < kUnwrittenBytesMax / 2) state_->put_off = 0;
}
void Core::input_lost(const Token& token, const Error& error) {
  State& s = *state_;
  Job* job = find_job(s, token.job);
  if (job == nullptr || job->nonce != token.nonce) return;
  note(s, "job_input_lost", true, "the input of a job cannot be read",
       {{"job", job->id.str()}, {"reason", error.message}});
  end_by_broker(s, *job, JobStatus::failed, JobErrorKind::internal,
                "its input cannot be read from the store: " + error.message);
}

void Core::retry(SessionId session, uint64_t request, std::vector<Retried> jobs) {
  on_retry_read(*state_, session, request, std::move(jobs));
}

void Core::explain(SessionId session, uint64_t request, std::vector<Explained> jobs) {
  on_explain_read(*state_, session, request, std::move(jobs));
}

void Core::complete(Answer& answer) const {
  State& s = *state_;
  for (JobSummary& summary : answer.jobs) {
    if (const Job* job = find_job(s, summary.job)) {
      if (job->status != JobStatus::running || !job->extra) continue;
      const Life& life = job->extra->life;
      summary.wedged = life.wedged;
      if (life.active_at.since_start.count() > 0) {
        summary.idle = std::chrono::duration_cast<Millis>(s.now.mono - life.active_at);
      }
    } else if (const Past* past = s.history.find(summary.job);
               past != nullptr && past->purged && summary.submitted.us == 0) {
      // The store has it no more: its end and the purge are durable. What the store still told may
      // be older than what we know, and what we know must not be revealed before its commit.
      summary.status = past->status;
      summary.attempt = past->attempt;
      summary.reason = "its result was purged after its retention";
    }
  }
}

void Core::count_malformed() { ++state_->malformed; }

void Core::extend_leases(Micros gap) {
  State& s = *state_;
  for (const auto& [id, worker] : s.workers) worker->lease_until = worker->lease_until + gap;
  for (auto& [id, client] : s.clients) client.last_seen = client.last_seen + gap;
  // So is the time that workers have to come back.
  std::vector<Timer> moved;
  std::erase_if(s.timers, [&](const Timer& timer) {
    if (timer.kind != TimerKind::grace && timer.kind != TimerKind::pinned_lost) return false;
    moved.push_back({timer.at + gap, timer.kind, timer.job});
    return true;
  });
  s.timers.insert(moved.begin(), moved.end());
  s.workers_back_at = s.workers_back_at + gap;
}

Effects& Core::finish(bool inbox_empty) {
  State& s = *state_;
  fire_timers(s);
  if (inbox_empty) expire_leases(s);
  on_waiting(s);
  assign_all(s);
  recall_excess(s);
  send_heartbeats(s);
  retain(s);
  put_clock(s);
  return s.effects;
}

Effects& Core::shut_down(Now now) {
  State& s = *state_;
  begin(now);
  const std::string reason = "the broker stops";
  for (const auto& [id, worker] : s.workers) {
    if (worker->online) s.outbox.send(worker->session, Gate::after_commit, Disconnect{reason});
  }
  for (const auto& [id, client] : s.clients)
    s.outbox.send(id, Gate::after_commit, Disconnect{reason});
  s.effects.records.emplace_back(PutClock{s.grid, s.now.wall});
  return s.effects;
}

MonoTime Core::next_wake() const {
  State& s = *state_;
  MonoTime next = std::min({s.next_beat, s.next_lease, next_retention(s)});
  if (!s.timers.empty()) next = std::min(next, s.timers.begin()->at);
  if (!s.waiting.empty()) next = std::min(next, s.workers_back_at);
  // Only then can there be anything to take back.
  if (s.overfull > 0) next = std::min(next, s.now.mono + Micros(limits::kTick));
  return next;
}

uint64_t Core::number_of(const JobId& id) const {
  if (const Job* job = find_job(*state_, id)) return job->seq;
  const Past* past = state_->history.find(id);
  return past ? past->seq : 0;
}

Core::Counts Core::counts() const {
  Counts counts = state_->counts;
  counts.workers = state_->worker_of_session.size();
  counts.kept = state_->history.kept();
  for (const auto& [name, owner] : state_->owners) counts.in_flight += owner->in_flight;
  return counts;
}

}  // namespace zgrid::broker
