// FINAL, PARTIAL, RELEASED, STARTED: what workers say of attempts.
// A token counts only if its nonce is the job's current one: late results are refused here.
#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// The running job whose current attempt this is, or null.
Job* current(State& s, const Worker& worker, const Token& token) {
  Job* job = find_job(s, token.job);
  if (job == nullptr || job->status != JobStatus::running) return nullptr;
  if (job->attempt != token.attempt || job->nonce != token.nonce) return nullptr;
  return job->worker == &worker ? job : nullptr;
}

FinalAck::Verdict verdict_on(State& s, const Token& token) {
  if (s.jobs.contains(token.job)) return FinalAck::Verdict::stale;
  const Past* past = s.history.find(token.job);
  if (past == nullptr) return FinalAck::Verdict::unknown;
  const bool was_accepted = past->attempt == token.attempt && !past->by_broker;
  return was_accepted ? FinalAck::Verdict::duplicate : FinalAck::Verdict::stale;
}

// Doubles with each failure, with up to a quarter of it added at random.
Millis backoff(State& s, uint32_t failures) {
  int64_t ms = limits::kRetryBackoffMin.count();
  for (uint32_t i = 1; i < failures && ms < limits::kRetryBackoffMax.count(); ++i) ms *= 2;
  ms = std::min(ms, limits::kRetryBackoffMax.count());
  std::array<uint8_t, 2> random{};
  s.entropy.fill(random);
  return Millis{ms + ms * (random[0] << 8 | random[1]) / (4 * 65536)};
}

bool may_retry(const Job& job, const Outcome& outcome) {
  if (outcome.status != JobStatus::failed && outcome.status != JobStatus::timed_out) return false;
  if (job.cancel_requested || job.deadline_passed) return false;
  if (job.failures >= job.spec().retries) return false;
  return outcome.status == JobStatus::timed_out || !outcome.error || outcome.error->retryable;
}

void accept(State& s, Job& job, FinalEntry&& entry) {
  Outcome& outcome = entry.outcome;
  if (outcome.status == JobStatus::cancelled && !job.cancel_requested && !job.deadline_passed) {
    return requeue(s, job);  // nobody asked for that: the worker gave it back
  }
  if (may_retry(job, outcome)) {
    ++job.failures;
    if (job.worker != nullptr) {
      ++job.worker->done;
      ++job.worker->failed;
    }
    return requeue_later(s, job, backoff(s, job.failures));
  }
  Payload output{entry.output.tag, entry.output.data.size() <= limits::kInlinePayloadBytesMax
                                       ? entry.output.data.detach()
                                       : std::move(entry.output.data)};
  end_job(s, job, std::move(outcome), std::move(output));
}

// Only a foreign worker sends such a thing; the job must not wait for ever because of it.
Outcome illegal_outcome() {
  Outcome outcome;
  outcome.status = JobStatus::failed;
  JobError error;
  error.message = "the worker sent a status that no attempt can end with";
  outcome.error = std::move(error);
  return outcome;
}

bool is_legal(const Outcome& outcome) {
  return outcome.status == JobStatus::succeeded || outcome.status == JobStatus::failed ||
         outcome.status == JobStatus::timed_out || outcome.status == JobStatus::cancelled;
}

}  // namespace

void on_final(State& s, Worker& worker, Final&& m) {
  FinalAck ack;
  ack.batch = m.batch;
  if (m.window != 0) {
    worker.window = std::clamp(m.window, worker.slots, std::max(worker.slots, limits::kWindowMax));
  }
  for (const FinalEntry& entry : m.items) prefetch_job(s, entry.token.job);
  for (FinalEntry& entry : m.items) {
    Job* job = current(s, worker, entry.token);
    if (job != nullptr) {
      if (!is_legal(entry.outcome)) entry.outcome = illegal_outcome();
      accept(s, *job, std::move(entry));
      continue;
    }
    const FinalAck::Verdict verdict = verdict_on(s, entry.token);
    ++(verdict == FinalAck::Verdict::duplicate ? s.counts.duplicate : s.counts.stale);
    ack.refused.push_back({entry.token, verdict});
  }
  update_place(s, worker);
  s.outbox.send_lazily(worker.session, std::move(ack));
}

void on_partial(State& s, Worker& worker, Partial&& m) {
  for (const Partial::Item& item : m.items) {
    Job* job = current(s, worker, item.token);
    if (job == nullptr) continue;
    job->started = true;
    keep_event(*job, item.event);
    for (SessionId watcher : job->extra->event_watchers) {
      if (s.clients.contains(watcher)) s.outbox.event(watcher, job->id, job->attempt, item.event);
    }
  }
}

void on_released(State& s, Worker& worker, const Released& m) {
  for (const Token& token : m.items) {
    if (Job* job = current(s, worker, token)) requeue(s, *job);
  }
}

void on_started(State& s, Worker& worker, const Started& m) {
  for (const Token& token : m.items) {
    if (Job* job = current(s, worker, token)) job->started = true;
  }
}

}  // namespace zgrid::broker
