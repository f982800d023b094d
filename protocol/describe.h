// Each message's fields with their wire keys, once, for writing and for reading alike.
// Internal to the codec. Keys ascend within a struct and are never reused (docs/protocol.md).
//
// An archive offers:
//   field(key, value[, default])   a value; left out when it equals the default, which is zero,
//                                  empty or none unless given; a constant for ever
//   text(key, string, max)         a string of at most `max` bytes
//   list(key, vector, max)         at most `max` elements
#pragma once

#include "protocol/base/limits.h"
#include "protocol/messages.h"

namespace zgrid::protocol {

namespace lim = zgrid::limits;
inline constexpr uint8_t kFirstVersion = 1;  // what a version that is left out means
// Ten thousand years: sums and differences of two such times cannot overflow microseconds.
inline constexpr Micros kMicrosMax{315'576'000'000'000'000};
inline constexpr Millis kMillisMax{315'576'000'000'000};
inline constexpr size_t kPathMax = 255;  // host names, versions and the like

template <class Ar>
void describe(Ar& ar, Error& m) {
  ar.field(1, m.code, Errc::internal);
  ar.text(2, m.message, lim::kTextBytesMax);
  ar.text(3, m.hint, lim::kTextBytesMax);
  ar.field(4, m.effect);
  ar.field(5, m.retry_after_ms);
}

template <class Ar>
void describe(Ar& ar, Target& m) {
  ar.field(1, m.mode);
  ar.list(2, m.names, lim::kTagsMax);
  ar.list(3, m.tags, lim::kTagsMax);
}

template <class Ar>
void describe(Ar& ar, JobSpec& m) {
  ar.field(1, m.kind);
  ar.text(2, m.service, lim::kServiceBytesMax);
  ar.field(3, m.target);
  ar.list(4, m.steps, lim::kStepsMax);
  ar.field(5, m.priority, lim::kPriorityDefault);
  ar.field(6, m.retries);
  ar.field(7, m.time_limit);
  ar.field(8, m.deadline);
  ar.field(9, m.delay);
  ar.text(10, m.run, lim::kNameBytesMax);
  ar.list(11, m.cache, lim::kCacheKeysMax);
  ar.field(12, m.no_queue);
  ar.text(13, m.model, lim::kServiceBytesMax);
  ar.text(14, m.provider, lim::kNameBytesMax);
  ar.text(15, m.system, lim::kSystemPromptBytesMax);
  ar.field(16, m.budget_tokens);
  ar.field(17, m.budget_usd);
  ar.field(18, m.on_wedged);
  ar.field(19, m.race);
  ar.field(20, m.quorum);
  ar.text(21, m.demand_version, lim::kNameBytesMax);
}

template <class Ar>
void describe(Ar& ar, Token& m) {
  ar.field(1, m.job);
  ar.field(2, m.attempt);
  ar.field(3, m.nonce);
}

template <class Ar>
void describe(Ar& ar, Usage& m) {
  ar.field(1, m.input_tokens);
  ar.field(2, m.output_tokens);
  ar.field(3, m.cost_usd);
  ar.field(4, m.estimated);
}

template <class Ar>
void describe(Ar& ar, JobError& m) {
  ar.field(1, m.kind);
  ar.text(2, m.message, lim::kTextBytesMax);
  ar.field(3, m.retryable);
  ar.field(4, m.took_effect, true);
  ar.text(5, m.step, lim::kServiceBytesMax);
  ar.field(6, m.exit_code);
  ar.text(7, m.stderr_tail, lim::kStderrTailBytes);
}

template <class Ar>
void describe(Ar& ar, Outcome& m) {
  ar.field(1, m.status, JobStatus::succeeded);
  ar.text(2, m.event_type, lim::kServiceBytesMax, "StopEvent");
  ar.field(3, m.run);
  ar.field(4, m.usage);
  ar.field(5, m.error);
}

template <class Ar>
void describe(Ar& ar, WorkerFacts& m) {
  ar.field(1, m.id);
  ar.text(2, m.name, lim::kNameBytesMax);
  ar.text(3, m.host, kPathMax);
  ar.text(4, m.os, kPathMax);
  ar.text(5, m.os_version, kPathMax);
  ar.text(6, m.arch, kPathMax);
  ar.text(7, m.version, lim::kNameBytesMax);
}

template <class Ar>
void describe(Ar& ar, JobEvent& m) {
  ar.field(1, m.kind);
  ar.field(2, m.seq);
  ar.text(3, m.name, lim::kServiceBytesMax);
  ar.text(4, m.step, lim::kServiceBytesMax);
  ar.field(5, m.at);
  ar.field(6, m.data);
}

template <class Ar>
void describe(Ar& ar, Hello& m) {
  ar.field(1, m.version_min, kFirstVersion);
  ar.field(2, m.version_max, kFirstVersion);
  ar.text(3, m.program_version, lim::kNameBytesMax);
  ar.text(4, m.user_host, kPathMax);
  ar.field(5, m.acks_ride);
}

template <class Ar>
void describe(Ar& ar, InHand& m) {
  ar.field(1, m.token);
  ar.field(2, m.state);
  ar.field(3, m.idle);
  ar.field(4, m.cpu_ms);
  ar.field(5, m.bytes_out);
  ar.field(6, m.stopped);
}

template <class Ar>
void describe(Ar& ar, Ready& m) {
  ar.field(1, m.version_min, kFirstVersion);
  ar.field(2, m.version_max, kFirstVersion);
  ar.field(3, m.facts);
  ar.field(4, m.boot);
  ar.field(5, m.slots, 1u);
  ar.field(6, m.window, 1u);
  ar.field(7, m.draining);
  ar.list(8, m.tags, lim::kTagsMax);
  ar.list(9, m.services, lim::kServicesMax);
  ar.list(10, m.cache, lim::kCacheKeysMax);
  ar.field(11, m.store);
  ar.field(12, m.epoch);
  ar.list(13, m.in_hand, lim::kInHandMax);
  ar.field(14, m.acks_ride);
}

template <class Ar>
void describe(Ar& ar, Welcome& m) {
  ar.field(1, m.version, kFirstVersion);
  ar.text(2, m.program_version, lim::kNameBytesMax);
  ar.text(3, m.broker_name, kPathMax);
  ar.field(4, m.store);
  ar.field(5, m.epoch);
  ar.field(6, m.heartbeat, Millis{1000});
  ar.field(7, m.lease, Millis{3000});
  ar.field(8, m.now);
  ar.field(9, m.durable, true);
  ar.list(10, m.discard, lim::kInHandMax);
}

template <class Ar>
void describe(Ar& ar, Refused& m) {
  ar.field(1, m.error);
}

template <class Ar>
void describe(Ar& ar, Heartbeat& m) {
  ar.field(1, m.running);
  ar.field(2, m.window);
  ar.field(3, m.load_permille);
  ar.field(4, m.draining);
  ar.list(5, m.in_hand, lim::kInHandMax);
  ar.list(6, m.services, lim::kServicesMax);
  ar.list(7, m.cache_added, lim::kCacheKeysMax);
  ar.list(8, m.cache_dropped, lim::kCacheKeysMax);
  ar.field(9, m.now);
}

template <class Ar>
void describe(Ar& ar, Disconnect& m) {
  ar.text(1, m.reason, lim::kTextBytesMax);
}

template <class Ar>
void describe(Ar& ar, JobEntry& m) {
  ar.field(1, m.id);
  ar.field(2, m.spec);
  ar.field(3, m.input);
  ar.field(4, m.index);
  ar.text(5, m.key, lim::kKeyBytesMax);
  ar.text(6, m.trace, kPathMax);
  ar.field(7, m.retry_of);
}

template <class Ar>
void describe(Ar& ar, Submit& m) {
  ar.field(1, m.request);
  ar.field(2, m.watch, true);
  ar.field(3, m.events);
  ar.field(4, m.rerun_failed);
  ar.list(5, m.specs, lim::kBatchItemsMax);
  ar.list(6, m.jobs, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, SubmitAck::Item& m) {
  ar.field(1, m.entry);
  ar.field(2, m.job);
  ar.field(3, m.status, JobStatus::queued);
  ar.field(4, m.duplicate);
  ar.field(5, m.error);
  ar.list(6, m.children, lim::kBroadcastMax);
}

template <class Ar>
void describe(Ar& ar, SubmitAck& m) {
  ar.field(1, m.request);
  ar.list(2, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Watch& m) {
  ar.field(1, m.request);
  ar.list(2, m.jobs, lim::kIdsMax);
  ar.field(3, m.results, true);
  ar.field(4, m.events);
  ar.field(5, m.stop);
}

template <class Ar>
void describe(Ar& ar, WatchAck::Item& m) {
  ar.field(1, m.job);
  ar.field(2, m.status, JobStatus::queued);
  ar.field(3, m.known);
}

template <class Ar>
void describe(Ar& ar, WatchAck& m) {
  ar.field(1, m.request);
  ar.list(2, m.items, lim::kIdsMax);
}

template <class Ar>
void describe(Ar& ar, JobHead& m) {
  ar.field(1, m.kind);
  ar.text(2, m.name, lim::kServiceBytesMax);
  ar.text(3, m.run, lim::kNameBytesMax);
}

template <class Ar>
void describe(Ar& ar, ResultEntry& m) {
  ar.field(1, m.job);
  ar.field(2, m.attempt);
  ar.field(3, m.worker, kNoWorker);
  ar.field(4, m.head);
  ar.field(5, m.index);
  ar.field(6, m.outcome);
  ar.field(7, m.output);
  ar.field(8, m.submitted);
  ar.field(9, m.started);
  ar.field(10, m.finished);
  ar.field(11, m.retry_of);
  ar.text(12, m.trace, kPathMax);
  ar.field(13, m.purged);
}

template <class Ar>
void describe(Ar& ar, Results& m) {
  ar.list(1, m.workers, lim::kBatchItemsMax);
  ar.list(2, m.heads, lim::kBatchItemsMax);
  ar.list(3, m.items, lim::kBatchItemsMax);
  ar.list(4, m.accepted, lim::kRidingAcksMax);
}

template <class Ar>
void describe(Ar& ar, Events::Item& m) {
  ar.field(1, m.job);
  ar.field(2, m.attempt);
  ar.field(3, m.event);
}

template <class Ar>
void describe(Ar& ar, Events& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Cancel& m) {
  ar.field(1, m.request);
  ar.list(2, m.jobs, lim::kIdsMax);
}

template <class Ar>
void describe(Ar& ar, CancelAck::Item& m) {
  ar.field(1, m.job);
  ar.field(2, m.status, JobStatus::cancelled);
  ar.field(3, m.known);
}

template <class Ar>
void describe(Ar& ar, CancelAck& m) {
  ar.field(1, m.request);
  ar.list(2, m.items, lim::kIdsMax);
}

template <class Ar>
void describe(Ar& ar, Query& m) {
  ar.field(1, m.request);
  ar.field(2, m.what, Query::What::jobs);
  ar.field(3, m.limit);
  ar.list(4, m.states, kJobStatusCount);
  ar.text(5, m.run, lim::kNameBytesMax);
  ar.list(6, m.selectors, lim::kIdsMax);
  ar.field(7, m.since);
  ar.field(8, m.follow);
}

template <class Ar>
void describe(Ar& ar, GridEvent& m) {
  ar.field(1, m.seq);
  ar.field(2, m.at);
  ar.field(3, m.warning);
  ar.text(4, m.name, lim::kNameBytesMax);
  ar.field(5, m.job);
  ar.text(6, m.worker, lim::kNameBytesMax);
  ar.text(7, m.text, lim::kTextBytesMax);
}

template <class Ar>
void describe(Ar& ar, JobSummary& m) {
  ar.field(1, m.job);
  ar.field(2, m.head);
  ar.field(3, m.index);
  ar.field(4, m.status, JobStatus::queued);
  ar.field(5, m.attempt);
  ar.field(6, m.worker_id);
  ar.text(7, m.worker_name, lim::kNameBytesMax);
  ar.field(8, m.submitted);
  ar.field(9, m.started);
  ar.field(10, m.finished);
  ar.text(11, m.reason, lim::kTextBytesMax);
  ar.field(12, m.wedged);
  ar.field(13, m.idle);
}

template <class Ar>
void describe(Ar& ar, WorkerView& m) {
  ar.field(1, m.facts);
  ar.field(2, m.online);
  ar.field(3, m.draining);
  ar.field(4, m.slots);
  ar.field(5, m.free);
  ar.field(6, m.in_hand);
  ar.field(7, m.load_permille);
  ar.list(8, m.tags, lim::kTagsMax);
  ar.list(9, m.services, lim::kServicesMax);
  ar.field(10, m.done);
  ar.field(11, m.failed);
  ar.field(12, m.usage);
  ar.field(13, m.last_seen);
  ar.field(14, m.wedged);
  ar.field(15, m.skew_ms);
}

template <class Ar>
void describe(Ar& ar, StatusView& m) {
  ar.text(1, m.broker_name, kPathMax);
  ar.text(2, m.program_version, lim::kNameBytesMax);
  ar.field(3, m.store);
  ar.field(4, m.epoch);
  ar.field(5, m.durable, true);
  ar.field(6, m.admitting, true);
  ar.field(7, m.uptime);
  ar.list(8, m.jobs, kJobStatusCount);
  ar.field(9, m.workers_online);
  ar.field(10, m.slots);
  ar.field(11, m.free);
  ar.field(12, m.stale_results);
  ar.field(13, m.duplicate_results);
  ar.field(14, m.malformed);
  ar.text(15, m.refusing_reason, lim::kTextBytesMax);
  ar.field(16, m.queued_bytes);
  ar.field(17, m.retained_jobs);
  ar.field(18, m.retained_bytes);
  ar.field(19, m.remembered);
}

template <class Ar>
void describe(Ar& ar, Answer& m) {
  ar.field(1, m.request);
  ar.field(2, m.more);
  ar.field(3, m.error);
  ar.list(4, m.jobs, lim::kBatchItemsMax);
  ar.list(5, m.workers, lim::kBatchItemsMax);
  ar.field(6, m.status);
  ar.text(7, m.text, lim::kHeaderBytesTarget);
  ar.list(8, m.events, lim::kBatchItemsMax);
  ar.field(9, m.gap);
}

template <class Ar>
void describe(Ar& ar, Control& m) {
  ar.field(1, m.request);
  ar.field(2, m.op);
  ar.text(3, m.worker, kPathMax);
}

template <class Ar>
void describe(Ar& ar, Retry::Item& m) {
  ar.field(1, m.job);
  ar.field(2, m.new_id);
}

template <class Ar>
void describe(Ar& ar, Retry& m) {
  ar.field(1, m.request);
  ar.list(2, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, RetryAck::Item& m) {
  ar.field(1, m.job);
  ar.field(2, m.new_id);
  ar.field(3, m.error);
}

template <class Ar>
void describe(Ar& ar, RetryAck& m) {
  ar.field(1, m.request);
  ar.list(2, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Purge& m) {
  ar.field(1, m.request);
  ar.list(2, m.jobs, lim::kIdsMax);
}

template <class Ar>
void describe(Ar& ar, Assignment& m) {
  ar.field(1, m.token);
  ar.field(2, m.spec);
  ar.field(3, m.input);
  ar.field(4, m.index);
  ar.text(5, m.trace, kPathMax);
}

template <class Ar>
void describe(Ar& ar, Request& m) {
  ar.list(1, m.specs, lim::kBatchItemsMax);
  ar.list(2, m.items, lim::kBatchItemsMax);
  ar.list(3, m.settled, lim::kRidingAcksMax);
}

template <class Ar>
void describe(Ar& ar, FinalEntry& m) {
  ar.field(1, m.token);
  ar.field(2, m.outcome);
  ar.field(3, m.output);
}

template <class Ar>
void describe(Ar& ar, Final& m) {
  ar.field(1, m.batch);
  ar.field(2, m.window);
  ar.list(3, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, FinalAck::Item& m) {
  ar.field(1, m.token);
  ar.field(2, m.verdict, FinalAck::Verdict::stale);
}

template <class Ar>
void describe(Ar& ar, FinalAck& m) {
  ar.field(1, m.batch);
  ar.list(2, m.refused, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Partial::Item& m) {
  ar.field(1, m.token);
  ar.field(2, m.event);
}

template <class Ar>
void describe(Ar& ar, Partial& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Abort::Item& m) {
  ar.field(1, m.token);
  ar.field(2, m.reason, Abort::Reason::stale);
}

template <class Ar>
void describe(Ar& ar, Abort& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Recall& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Released& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

template <class Ar>
void describe(Ar& ar, Started& m) {
  ar.list(1, m.items, lim::kBatchItemsMax);
}

// The lowest and the highest legal number of each enum that travels.
template <class E>
constexpr uint64_t enum_min(E) {
  return 0;
}
inline constexpr uint64_t enum_min(Errc) { return 1; }
inline constexpr uint64_t enum_max(JobKind) { return 3; }
inline constexpr uint64_t enum_max(JobStatus) { return 9; }
inline constexpr uint64_t enum_max(PayloadTag) { return 2; }
inline constexpr uint64_t enum_max(Target::Mode) { return 3; }
inline constexpr uint64_t enum_max(WedgedAction) { return 2; }
inline constexpr uint64_t enum_max(JobErrorKind) { return 18; }
inline constexpr uint64_t enum_max(EventKind) { return 5; }
inline constexpr uint64_t enum_max(Errc) { return 29; }
inline constexpr uint64_t enum_max(Effect) { return 2; }
inline constexpr uint64_t enum_max(InHand::State) { return 2; }
inline constexpr uint64_t enum_max(Query::What) { return 6; }
inline constexpr uint64_t enum_max(Control::Op) { return 2; }
inline constexpr uint64_t enum_max(FinalAck::Verdict) { return 2; }
inline constexpr uint64_t enum_max(Abort::Reason) { return 2; }

}  // namespace zgrid::protocol
