// Everything that happens because time passes: leases end here, deadlines and delays fire here,
// and heartbeats go out together, so that an idle broker wakes seldom.
#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Workers answer a beat at once. All of a large grid's in one turn would keep a job waiting for as
// long as their answers take, so they leave in several.
constexpr size_t kBeatsOfTurn = 128;
constexpr size_t kBeatTurnsMax = 16;

void on_deadline(State& s, Job& job) {
  const std::string message = "its deadline passed";
  job.deadline_passed = true;
  if (job.extra && !job.extra->children.empty()) {
    const std::vector<JobId> children = job.extra->children;
    for (const JobId& id : children) {
      if (Job* child = find_job(s, id)) on_deadline(s, *child);
    }
    return;
  }
  if (job.status != JobStatus::running) {
    return end_by_broker(s, job, JobStatus::timed_out, JobErrorKind::timeout,
                         message + " before it could run");
  }
  if (job.worker == nullptr || !job.worker->online) {
    return end_by_broker(s, job, JobStatus::timed_out, JobErrorKind::timeout, message);
  }
  // The worker ends it and answers with a Final, so that its usage is not lost.
  s.outbox.abort(job.worker->session, {job.id, job.attempt, job.nonce}, Abort::Reason::deadline);
}

void on_start(State& s, Job& job) {
  if (job.status != JobStatus::waiting) return;
  set_status(s, job, JobStatus::queued);
  enqueue(s, job);
  notify_status(s, job);
  if (!job.entry->pinned.is_nil()) {
    set_timer(s, s.now.mono + 2 * Micros(s.config.lease), TimerKind::pinned_lost, job.id);
  }
}

void on_pinned_lost(State& s, Job& job) {
  if (job.status != JobStatus::queued) return;
  const auto it = s.workers.find(job.entry->pinned);
  if (it != s.workers.end()) {
    if (it->second->online) return;
    // It may have been here in between: two leases count from its last word.
    const MonoTime until = it->second->last_seen + 2 * Micros(s.config.lease);
    if (s.now.mono < until) return set_timer(s, until, TimerKind::pinned_lost, job.id);
  }
  const std::string name = job.last_worker ? job.last_worker->name : "its worker";
  end_by_broker(s, job, JobStatus::failed, JobErrorKind::worker_lost,
                name + " went away and did not come back");
}

// The grace after a restart is over: what no worker came back with runs again.
void on_grace(State& s, Job& job) {
  if (!s.detached.contains(job.id)) return;
  // Nobody knows whether it had started, so it costs the job nothing.
  on_attempt_lost(s, job, false, "it did not come back after the broker's restart");
}

void fire(State& s, TimerKind kind, Job& job) {
  switch (kind) {
    case TimerKind::start: return on_start(s, job);
    case TimerKind::deadline: return on_deadline(s, job);
    case TimerKind::pinned_lost: return on_pinned_lost(s, job);
    case TimerKind::grace: return on_grace(s, job);
  }
}

void forget_silent_clients(State& s) {
  std::erase_if(s.clients, [&](const auto& client) {
    return s.now.mono - client.second.last_seen > Micros(s.config.client_lease);
  });
}

}  // namespace

void fire_timers(State& s) {
  while (!s.timers.empty() && s.timers.begin()->at <= s.now.mono) {
    const Timer timer = *s.timers.begin();
    s.timers.erase(s.timers.begin());
    if (Job* job = find_job(s, timer.job)) fire(s, timer.kind, *job);
  }
}

void expire_leases(State& s) {
  // Leases only grow, so nobody's ends before the earliest that was seen.
  if (s.now.mono < s.next_lease) return;
  s.next_lease = MonoTime::never();
  for (const auto& [id, worker] : s.workers) {
    if (!worker->online) continue;
    if (worker->lease_until < s.now.mono) {
      on_worker_lost(s, *worker,
                     "no heartbeat for " + std::to_string(s.config.lease.count()) + " ms");
    } else {
      s.next_lease = std::min(s.next_lease, worker->lease_until + Micros(1));
    }
  }
}

void send_heartbeats(State& s) {
  if (s.now.mono < s.next_beat) return;
  if (s.beat_turn == 0) {
    forget_silent_clients(s);
    s.beats.clear();
    s.beats_sent = 0;
    for (const auto& [id, worker] : s.workers) {
      if (worker->online) s.beats.push_back(worker->session);
    }
    s.beat_turns = 1 + std::min(s.beats.size() / kBeatsOfTurn, kBeatTurnsMax - 1);
  }
  const Micros step = Micros(s.config.heartbeat) / static_cast<int64_t>(s.beat_turns);
  s.next_beat = s.next_beat + step;
  if (s.next_beat <= s.now.mono) s.next_beat = s.now.mono + step;  // this turn was late
  const size_t end = s.beats.size() * (s.beat_turn + 1) / s.beat_turns;
  for (; s.beats_sent < end; ++s.beats_sent) {
    const SessionId session = s.beats[s.beats_sent];
    const bool is_here = s.worker_of_session.find(session) != nullptr;
    if (is_here) s.outbox.send(session, Gate::free, Heartbeat{});
  }
  s.beat_turn = (s.beat_turn + 1) % s.beat_turns;
}

void finish_restore(State& s) {
  s.history.sort();
  const MonoTime grace = s.now.mono + 2 * Micros(s.config.lease);
  // By id, not by hash: the order of what follows must not depend on a table's layout. Of a million
  // jobs most just wait in their queue.
  std::vector<JobId> unfinished;
  s.jobs.for_each([&](const Job& job) {
    const bool just_waits = job.status == JobStatus::queued && job.entry->pinned.is_nil() &&
                            job.spec().deadline.count() == 0 && !job.extra;
    if (!just_waits) unfinished.push_back(job.id);
  });
  std::sort(unfinished.begin(), unfinished.end());
  for (const JobId& id : unfinished) {
    Job* job = find_job(s, id);
    if (job == nullptr) continue;
    const JobSpec& spec = job->spec();
    if (spec.deadline.count() > 0) {
      set_timer(s, mono_of(s, job->accepted + Micros(spec.deadline)), TimerKind::deadline, id);
    }
    if (job->status == JobStatus::waiting) {
      set_timer(s, mono_of(s, job->not_before), TimerKind::start, id);
    }
    if (s.detached.contains(id)) set_timer(s, grace, TimerKind::grace, id);
    if (job->status == JobStatus::queued && !job->entry->pinned.is_nil()) {
      set_timer(s, grace, TimerKind::pinned_lost, id);
    }
    if (!job->extra || job->extra->children.empty()) continue;
    job->extra->children_left = 0;
    for (const JobId& child : job->extra->children) {
      if (s.jobs.contains(child)) {
        ++job->extra->children_left;
      } else if (const Past* past = s.history.find(child)) {
        if (severity(past->status) > severity(job->extra->worst_child)) {
          job->extra->worst_child = past->status;
        }
      }
    }
    // The crash came between the last child and it.
    if (job->extra->children_left == 0) end_broadcast(s, *job);
  }
}

}  // namespace zgrid::broker
