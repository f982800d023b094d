// READY, HEARTBEAT, DISCONNECT, and a worker that is lost.
#include <algorithm>

#include "broker/core/state.h"
#include "protocol/base/units.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

Worker& worker_of(State& s, const WorkerId& id) {
  auto& worker = s.workers[id];
  if (!worker) {
    worker = std::make_unique<Worker>();
    worker->number = s.next_worker_number++;
    worker->drained = s.drained.contains(id);
  }
  return *worker;
}

void refuse(State& s, SessionId session, Errc code, std::string message, std::string hint) {
  Refused refused;
  refused.error = Error{code, std::move(message), std::move(hint), Effect::none, 0};
  s.outbox.send(session, Gate::free, std::move(refused));
}

bool names_fit(const Ready& m) {
  const auto fits = [](const std::string& text) { return text.size() <= limits::kServiceBytesMax; };
  return std::all_of(m.services.begin(), m.services.end(), fits) &&
         std::all_of(m.tags.begin(), m.tags.end(),
                     [&](const auto& tag) { return fits(tag.first) && fits(tag.second); });
}

// Room for one more worker; the one that is gone for longest is forgotten for it.
bool make_room(State& s) {
  if (s.workers.size() < limits::kWorkersMax) return true;
  auto oldest = s.workers.end();
  for (auto it = s.workers.begin(); it != s.workers.end(); ++it) {
    const Worker& worker = *it->second;
    if (worker.online || !worker.jobs.empty()) continue;
    if (oldest == s.workers.end() || worker.last_seen < oldest->second->last_seen) oldest = it;
  }
  if (oldest == s.workers.end()) return false;
  s.workers.erase(oldest);
  return true;
}

bool check_ready(State& s, SessionId session, const Ready& m) {
  const std::string& name = m.facts.name;
  if (m.version_min > kVersion || m.version_max < kVersionMin) {
    refuse(s, session, Errc::envelope_version,
           "worker '" + name + "' speaks protocol versions " + std::to_string(m.version_min) +
               " to " + std::to_string(m.version_max) + ", this broker " +
               std::to_string(kVersionMin) + " to " + std::to_string(kVersion),
           "install the same release on both machines");
    return false;
  }
  if (!is_name(name) || m.facts.id.is_nil()) {
    refuse(s, session, Errc::config, "'" + name + "' is no name for a worker",
           "use 1 to 63 of A-Z a-z 0-9 . _ -");
    return false;
  }
  if (!names_fit(m)) {
    refuse(s, session, Errc::config,
           "a service or tag of worker '" + name + "' has too long a name",
           "use at most " + std::to_string(limits::kServiceBytesMax) + " bytes");
    return false;
  }
  if (!s.workers.contains(m.facts.id) && !make_room(s)) {
    refuse(s, session, Errc::queue_full,
           "this broker already has " + std::to_string(limits::kWorkersMax) + " workers",
           "start another broker");
    return false;
  }
  const auto taken = s.online_by_name.find(name);
  if (taken != s.online_by_name.end() && taken->second->facts->id != m.facts.id) {
    refuse(s, session, Errc::name_taken,
           "another live worker is called '" + name + "', on host " + taken->second->facts->host,
           "give this one another --name");
    return false;
  }
  return true;
}

template <class T>
void sort_unique(std::vector<T>& list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

// What comes of comparing what a worker says it holds with what we believe it holds.
struct Reconciled {
  std::vector<Token> discard;       // nobody wants these
  std::vector<Abort::Item> to_end;  // an earlier ABORT may have been lost with its connection
};

Reconciled reconcile(State& s, Worker& worker, const Ready& m, bool same_boot) {
  Reconciled out;
  std::set<JobId> held;
  for (const InHand& item : m.in_hand) {
    Job* job = find_job(s, item.token.job);
    const bool is_current = job != nullptr && job->status == JobStatus::running &&
                            job->attempt == item.token.attempt && job->nonce == item.token.nonce &&
                            (job->worker == nullptr || job->worker == &worker);
    if (!is_current) {
      // A finished one comes as a Final, which is answered as stale or duplicate.
      if (item.state != InHand::State::finished) out.discard.push_back(item.token);
      continue;
    }
    held.insert(job->id);
    if (job->worker == nullptr) {  // we were restarted: the worker keeps what it runs
      s.detached.erase(job->id);
      add_in_hand(s, worker, *job);
    }
    if (item.state != InHand::State::queued) job->started = true;
    if (job->cancel_requested) {
      out.to_end.push_back({item.token, Abort::Reason::cancelled});
    } else if (job->deadline_passed) {
      out.to_end.push_back({item.token, Abort::Reason::deadline});
    }
  }
  // What it does not hold never reached it, or died with its last process.
  std::vector<Job*> missing;
  for (Job* job = worker.jobs.front(); job != nullptr; job = JobsInHand::next(job)) {
    if (!held.contains(job->id)) missing.push_back(job);
  }
  size_t position = 0;
  for (Job* job : missing) {
    const bool counts = !same_boot && (job->started || position < worker.slots);
    ++position;
    on_attempt_lost(s, *job, counts, "the worker was restarted");
  }
  return out;
}

void forgive_losses(State& s, Worker& worker) {
  if (s.now.mono - worker.lost_at <= Micros(limits::kLossForgiven)) {
    for (const JobId& id : worker.lost_jobs) {
      Job* job = find_job(s, id);
      if (job == nullptr || job->losses == 0) continue;
      --job->losses;
      if (job->extra && !job->extra->lost.empty()) job->extra->lost.pop_back();
      if (job->status == JobStatus::queued) {
        dequeue(s, *job);
        refresh_entry(s, *job);
        enqueue(s, *job);
      }
      put_state(s, *job);
    }
  }
  worker.lost_jobs.clear();
}

// What waits for this worker and nobody else must not wait for ever.
void watch_pinned(State& s, const WorkerId& id) {
  const MonoTime until = s.now.mono + 2 * Micros(s.config.lease);
  for (const auto& [key, demand] : s.demands) {
    if (key.pinned != id) continue;
    for (const RunTurns& turns : demand->turns) {
      for (const RunQueue* queue = turns.front(); queue != nullptr; queue = RunTurns::next(queue)) {
        for (const Job* job = queue->jobs.front(); job != nullptr; job = JobQueue::next(job)) {
          set_timer(s, until, TimerKind::pinned_lost, job->id);
        }
      }
    }
  }
}

void go_offline(State& s, Worker& worker) {
  leave_group(s, worker);
  worker.online = false;
  if (s.worker_of_session.find(worker.session) == &worker) {
    s.worker_of_session.erase(worker.session);
  }
  worker.session = SessionId::none;
  const auto name = s.online_by_name.find(worker.facts->name);
  if (name != s.online_by_name.end() && name->second == &worker) s.online_by_name.erase(name);
}

// It includes the heartbeat's way here: some milliseconds too little.
int32_t skew_of(const State& s, WallTime theirs) {
  const auto ms = std::chrono::duration_cast<Millis>(theirs - s.now.wall).count();
  return static_cast<int32_t>(std::clamp<int64_t>(ms, INT32_MIN, INT32_MAX));
}

}  // namespace

void on_ready(State& s, SessionId session, Ready&& m) {
  if (!check_ready(s, session, m)) return;
  Worker& worker = worker_of(s, m.facts.id);
  const bool same_boot = worker.boot == m.boot;
  if (worker.online) go_offline(s, worker);  // its old connection
  Worker* const other = s.worker_of_session.find(session);
  if (other != nullptr) on_disconnect(s, *other);  // it was another one
  if (!same_boot) {
    worker.lost_jobs.clear();
    worker.done = worker.failed = 0;
    worker.usage = {};
  }
  worker.boot = m.boot;
  worker.skew_ms.reset();
  if (!worker.facts || !(*worker.facts == m.facts)) {
    worker.facts = std::make_shared<const WorkerFacts>(std::move(m.facts));
  }
  worker.session = session;
  worker.online = true;
  worker.draining = m.draining;
  worker.slots = std::clamp(m.slots, 1u, limits::kSlotsMax);
  count_overfull(s, worker);
  worker.window = std::clamp(m.window, worker.slots, std::max(worker.slots, limits::kWindowMax));
  worker.tags = std::move(m.tags);
  worker.services = std::move(m.services);
  sort_unique(worker.tags);
  sort_unique(worker.services);
  worker.last_seen = s.now.mono;
  worker.lease_until = s.now.mono + Micros(s.config.lease);
  s.next_lease = std::min(s.next_lease, worker.lease_until + Micros(1));
  if (s.worker_of_session.find(session) == nullptr) s.beats.push_back(session);
  s.worker_of_session.set(session, worker);
  s.online_by_name[worker.facts->name] = &worker;
  if (same_boot) forgive_losses(s, worker);

  Welcome welcome = make_welcome(s);
  Reconciled reconciled = reconcile(s, worker, m, same_boot);
  welcome.discard = std::move(reconciled.discard);
  note(s, same_boot ? "worker_back" : "worker_joined", false,
       same_boot ? "a worker is back" : "a worker joined",
       {{"worker", worker.facts->name}, {"host", worker.facts->host}});
  // Not gated: an assignment that overtakes its commit must find the worker welcomed.
  s.outbox.send(session, Gate::free, std::move(welcome));
  // After the welcome: until then the worker listens to nothing else.
  s.outbox.close(session);
  for (const Abort::Item& item : reconciled.to_end) {
    s.outbox.abort(session, item.token, item.reason);
  }
  join_group(s, worker);
}

void on_heartbeat(State& s, Worker& worker, Heartbeat&& m) {
  worker.load_permille = m.load_permille;
  worker.draining = m.draining;
  if (m.now.us != 0) worker.skew_ms = skew_of(s, m.now);
  if (m.window != 0) {
    worker.window = std::clamp(m.window, worker.slots, std::max(worker.slots, limits::kWindowMax));
  }
  if (!m.services.empty()) {
    sort_unique(m.services);
    if (m.services != worker.services) {
      leave_group(s, worker);
      worker.services = std::move(m.services);
      join_group(s, worker);
    }
  }
  for (const InHand& item : m.in_hand) {
    Job* job = find_job(s, item.token.job);
    if (job != nullptr && job->worker == &worker && job->nonce == item.token.nonce &&
        item.state == InHand::State::running) {
      job->started = true;
      look_at_life(s, *job, item);  // the job may be gone afterwards
    }
  }
  update_place(s, worker);
}

void on_disconnect(State& s, Worker& worker) {
  // It ends in good order: what it still holds it hands back, and nobody's budget is spent.
  go_offline(s, worker);
  note(s, "worker_left", false, "a worker left", {{"worker", worker.facts->name}});
  watch_pinned(s, worker.facts->id);
  while (Job* job = worker.jobs.front()) on_attempt_lost(s, *job, false, "the worker stopped");
}

void on_worker_lost(State& s, Worker& worker, const std::string& reason) {
  go_offline(s, worker);
  watch_pinned(s, worker.facts->id);
  worker.lost_at = s.now.mono;
  note(s, "worker_lost", true, "a worker is lost",
       {{"worker", worker.facts->name},
        {"reason", reason},
        {"in hand", std::to_string(worker.jobs.size())}});
  size_t position = 0;
  while (Job* job = worker.jobs.front()) {
    // It runs what it was given first; what waited behind that had no part in its death.
    const bool counts = job->started || position < worker.slots;
    ++position;
    if (counts) worker.lost_jobs.push_back(job->id);
    on_attempt_lost(s, *job, counts, reason);
  }
}

}  // namespace zgrid::broker
