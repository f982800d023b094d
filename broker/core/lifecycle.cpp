// What happens to a job after its acceptance: every change of state goes through here.
// A lease ends in timers.cpp (expire_leases), on_worker_lost() in on_worker.cpp goes through the
// worker's jobs, and what becomes of each (requeued, dead letter) is on_attempt_lost() here.
#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

JobHead head_of_job(const Job& job) {
  return {job.spec().kind, job.spec().service, job.spec().run};
}

void send_result(State& s, const Job& job, const PutEnd& end) {
  if (job.watcher == SessionId::none && (!job.extra || job.extra->watchers.empty())) return;
  ResultEntry entry;
  entry.job = job.id;
  entry.attempt = end.attempt;
  entry.index = job.index;
  entry.outcome = end.outcome;
  entry.output = end.output;
  entry.submitted = job.submitted;
  entry.started = end.started;
  entry.finished = end.finished;
  if (job.extra) {
    entry.retry_of = job.extra->retry_of;
    entry.trace = job.extra->trace;
  }
  const JobHead head = head_of_job(job);
  if (job.extra) {
    for (SessionId watcher : job.extra->watchers) {
      if (s.clients.contains(watcher)) s.outbox.result(watcher, end.worker, head, entry);
    }
  }
  if (s.clients.contains(job.watcher)) {
    s.outbox.result(job.watcher, end.worker, head, std::move(entry));
  }
}

void count_end(Worker* worker, const Outcome& outcome) {
  if (worker == nullptr) return;
  ++worker->done;
  if (outcome.status != JobStatus::succeeded) ++worker->failed;
  worker->usage.input_tokens += outcome.usage.input_tokens;
  worker->usage.output_tokens += outcome.usage.output_tokens;
  if (outcome.usage.cost_usd) {
    worker->usage.cost_usd = worker->usage.cost_usd.value_or(0) + *outcome.usage.cost_usd;
  }
}

// The last child ends its broadcast.
void on_child_ended(State& s, const JobId& parent_id, JobStatus status) {
  Job* parent = find_job(s, parent_id);
  if (parent == nullptr) return;
  JobExtra& extra = parent->more();
  if (severity(status) > severity(extra.worst_child)) extra.worst_child = status;
  ZGRID_CHECK(extra.children_left > 0);
  if (--extra.children_left > 0) return;
  end_broadcast(s, *parent);
}

void drop_timers(State& s, const Job& job) {
  // Few jobs have any; each kind is looked for by its exact time where that is known, so the
  // others are left to fire and find nothing.
  if (job.spec().deadline.count() == 0) return;
  s.timers.erase(
      {mono_of(s, job.accepted + Micros(job.spec().deadline)), TimerKind::deadline, job.id});
}

}  // namespace

// The order in which outcomes of several jobs are told: the worst first.
int severity(JobStatus status) {
  switch (status) {
    case JobStatus::dead_letter: return 4;
    case JobStatus::failed:
    case JobStatus::timed_out: return 3;
    case JobStatus::aborted: return 2;
    case JobStatus::cancelled: return 1;
    case JobStatus::waiting:
    case JobStatus::queued:
    case JobStatus::running:
    case JobStatus::waiting_input:
    case JobStatus::succeeded: return 0;
  }
  return 0;
}

Job* find_job(State& s, const JobId& id) { return s.jobs.find(id); }

void prefetch_job(const State& s, const JobId& id) {
  s.jobs.prefetch(id);
  s.history.prefetch(id);
}

void set_status(State& s, Job& job, JobStatus status) {
  --s.by_status[static_cast<size_t>(job.status)];
  job.status = status;
  ++s.by_status[static_cast<size_t>(status)];
}

void put_state(State& s, const Job& job) {
  PutState record;
  record.id = job.id;
  record.seq = job.seq;
  record.status = job.status;
  record.attempt = job.attempt;
  record.nonce = job.nonce;
  record.worker = job.last_worker;
  record.failures = job.failures;
  record.losses = job.losses;
  record.cancel_requested = job.cancel_requested;
  record.not_before = job.not_before;
  record.assigned = job.assigned;
  if (job.extra) {
    record.lost = job.extra->lost;
    if (job.extra->spent.since.us != 0) record.spent = job.extra->spent;
  }
  s.effects.records.emplace_back(std::move(record));
}

void notify_status(State& s, Job& job) {
  if (s.feed.is_followed() && !is_terminal(job.status)) tell_status(s, job);
  if (!job.extra || job.extra->event_watchers.empty()) return;
  JobEvent event;
  event.kind = EventKind::status;
  event.name = status_name(job.status);
  event.at = s.now.wall;
  for (SessionId watcher : job.extra->event_watchers) {
    if (s.clients.contains(watcher)) s.outbox.event(watcher, job.id, job.attempt, event);
  }
}

MonoTime mono_of(const State& s, GridTime time) { return s.now.mono + (time - s.grid); }

void set_timer(State& s, MonoTime at, TimerKind kind, const JobId& job) {
  s.timers.insert({at, kind, job});
}

void detach_from_worker(State& s, Job& job) {
  if (job.extra) {  // of this attempt only
    job.extra->log = {};
    job.extra->life = {};
  }
  job.nonce = {};
  job.started = false;
  job.recalled = false;
  if (job.worker == nullptr) {
    s.detached.erase(job.id);
    return;
  }
  Worker& worker = *job.worker;
  remove_in_hand(s, job);
  update_place(s, worker);
}

void requeue(State& s, Job& job) {
  end_stay(s, job);
  detach_from_worker(s, job);
  if (job.cancel_requested) {
    return end_by_broker(s, job, JobStatus::cancelled, JobErrorKind::cancelled,
                         "cancelled by request");
  }
  if (job.deadline_passed) {
    return end_by_broker(s, job, JobStatus::timed_out, JobErrorKind::timeout,
                         "its deadline passed");
  }
  ++s.counts.requeued;
  refresh_entry(s, job);
  set_status(s, job, JobStatus::queued);
  enqueue(s, job);
  put_state(s, job);
  notify_status(s, job);
  if (!job.entry->pinned.is_nil()) {
    set_timer(s, s.now.mono + 2 * Micros(s.config.lease), TimerKind::pinned_lost, job.id);
  }
}

void requeue_later(State& s, Job& job, Millis pause) {
  end_stay(s, job);
  detach_from_worker(s, job);
  ++s.counts.requeued;
  job.not_before = s.grid + Micros(pause);
  set_status(s, job, JobStatus::waiting);
  set_timer(s, s.now.mono + Micros(pause), TimerKind::start, job.id);
  put_state(s, job);
  notify_status(s, job);
}

namespace {

void remember(State& s, Job& job, const PutEnd& end) {
  Past past;
  past.id = job.id;
  past.body = job.body;
  past.seq = job.seq;
  past.ended = end.ended;
  past.bytes = stored_bytes(job.input_size, end.output.data.size());
  past.attempt = job.attempt;
  past.status = end.outcome.status;
  past.by_broker = job.ended_by_broker;
  if (job.extra) {
    s.history.add(past, std::move(job.extra->key), std::move(job.extra->children));
  } else {
    s.history.add(past, {}, {});
  }
}

// "ann (no heartbeat for 3000 ms); bob (the worker was restarted); …"
std::string in_one_line(const std::vector<std::string>& reasons) {
  std::string text;
  for (const std::string& reason : reasons) text += (text.empty() ? "" : "; ") + reason;
  return text;
}

// In the feed only: a worker that is lost with a thousand jobs is one line of the log.
void note_requeue(State& s, const Job& job, const std::string& reason) {
  GridEvent event;
  event.at = s.now.wall;
  event.name = "job_requeued";
  event.job = job.id;
  if (job.last_worker) event.worker = job.last_worker->name;
  event.text = job.spec().service + ": " + reason;
  s.feed.add(std::move(event));
}

}  // namespace

void end_job(State& s, Job& job, Outcome outcome, Payload output) {
  if (job.status == JobStatus::queued) dequeue(s, job);
  Worker* const worker = job.worker;
  PutEnd end;
  end.id = job.id;
  end.seq = job.seq;
  end.attempt = job.attempt;
  end.worker = job.last_worker;
  end.output = std::move(output);
  end.finished = s.now.wall;
  end.started = job.attempt == 0 ? WallTime{} : s.now.wall - outcome.run;
  end.ended = s.grid;
  end.outcome = std::move(outcome);
  if (job.extra && job.extra->log.has_lines) {
    s.past_logs.keep(job.id, job.attempt, std::move(job.extra->log));
  }
  detach_from_worker(s, job);
  count_end(worker, end.outcome);
  set_status(s, job, end.outcome.status);
  if (s.feed.is_followed() || job.status != JobStatus::succeeded) {
    tell_status(s, job, end.outcome.error ? end.outcome.error->message : std::string());
  }
  notify_status(s, job);
  send_result(s, job, end);
  drop_timers(s, job);
  if (job.owner != nullptr && job.owner->in_flight > 0) --job.owner->in_flight;
  const JobStatus status = end.outcome.status;
  const JobId parent = job.extra ? job.extra->parent : JobId{};
  remember(s, job, end);
  s.counts.input_bytes -= job.input.data.size();
  s.effects.records.emplace_back(std::move(end));
  ++s.counts.ended;
  --s.counts.unfinished;
  release(s, job.entry);
  s.jobs.erase(job);
  if (!parent.is_nil()) on_child_ended(s, parent, status);
}

void end_broadcast(State& s, Job& parent) {
  Outcome outcome;
  outcome.status = parent.more().worst_child;
  if (outcome.status != JobStatus::succeeded) {
    outcome.error = JobError{};
    outcome.error->kind = JobErrorKind::need_failed;
    outcome.error->message = "not all of its jobs succeeded";
  }
  end_job(s, parent, std::move(outcome), {});
}

void end_by_broker(State& s, Job& job, JobStatus status, JobErrorKind kind, std::string message) {
  Outcome outcome;
  outcome.status = status;
  JobError error;
  error.kind = kind;
  error.message = std::move(message);
  error.took_effect = job.attempt > 0;
  // Its worker says nothing of this attempt any more: what is known is when it was assigned.
  const bool ran = job.status == JobStatus::running && job.attempt > 0;
  if (ran) outcome.run = std::max(Micros(0), s.now.wall - job.assigned);
  outcome.error = std::move(error);
  job.ended_by_broker = true;
  end_job(s, job, std::move(outcome), {});
}

void on_attempt_lost(State& s, Job& job, bool counts, const std::string& reason) {
  if (counts) {
    ++job.losses;
    const std::string where = job.last_worker ? job.last_worker->name : "its worker";
    job.more().lost.push_back(where + " (" + reason + ")");
  }
  if (job.losses >= limits::kLossesMax && !job.cancel_requested) {
    note(s, "job_set_aside", true, "a job is set aside",
         {{"job", job.id.str()}, {"last", job.extra->lost.back()}});
    return end_by_broker(s, job, JobStatus::dead_letter, JobErrorKind::worker_lost,
                         "lost its worker " + std::to_string(job.losses) +
                             " times: " + in_one_line(job.extra->lost));
  }
  note_requeue(s, job, reason);
  requeue(s, job);
}

void keep_event(Job& job, const JobEvent& event) {
  EventLog& log = job.more().log;
  log.events.push_back(event);
  if (event.data.data.size() <= limits::kInlinePayloadBytesMax) {
    log.events.back().data.data = event.data.data.detach();  // not the frame it came in
  }
  log.has_lines |= event.kind == EventKind::log;
  log.bytes += event.data.data.size();
  while (log.events.size() > limits::kEventsKept || log.bytes > limits::kEventBytesKept) {
    log.bytes -= log.events.front().data.data.size();
    log.events.pop_front();
    log.cut = true;
  }
}

void add_event_watcher(State& s, Job& job, SessionId session) {
  auto& list = job.more().event_watchers;
  if (std::find(list.begin(), list.end(), session) != list.end()) return;
  list.push_back(session);
  send_events(s, session, job.id, job.attempt, job.extra->log);
}

void add_watcher(Job& job, SessionId session) {
  if (job.watcher == session) return;
  if (job.watcher == SessionId::none) {
    job.watcher = session;
    return;
  }
  auto& list = job.more().watchers;
  if (std::find(list.begin(), list.end(), session) == list.end()) list.push_back(session);
}

}  // namespace zgrid::broker
