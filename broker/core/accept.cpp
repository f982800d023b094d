// How a job begins: admission, acceptance, and where its input is kept meanwhile.
#include <algorithm>

#include "broker/core/state.h"
#include "protocol/base/units.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// How long a refused client should wait before it tries again.
constexpr uint32_t kRetryStoreMs = 1000;

Error queue_full(std::string message, std::string hint) {
  return Error{Errc::queue_full, std::move(message), std::move(hint), Effect::none,
               kRetryQueueFullMs};
}

// However large it is: the largest would never be taken while others are.
std::optional<Error> check_unwritten(State& s, uint64_t bytes) {
  if (s.unwritten < kUnwrittenBytesMax) return std::nullopt;
  Error error =
      queue_full("the broker's disk is behind: " + format_size(s.unwritten) + " wait to be written",
                 "submit again in a moment");
  const uint64_t after = kRetryUnwrittenMs + s.put_off / kWrittenBytesPerMs;
  error.retry_after_ms = static_cast<uint32_t>(std::min<uint64_t>(after, kRetryUnwrittenMsMax));
  s.put_off += bytes;
  return error;
}

// In memory while there is room; the record of its acceptance takes it to the store in any case.
void keep_input(State& s, Job& job, const Payload& input) {
  job.input.tag = input.tag;
  job.input_size = input.data.size();
  if (s.counts.input_bytes + job.input_size > s.config.memory_bytes) {
    job.input_stored = job.input_size > 0;
    return;
  }
  job.input.data = input.data;
  s.counts.input_bytes += job.input_size;
}

}  // namespace

void leave_input(State& s, Job& job) {
  s.counts.input_bytes -= job.input.data.size();
  job.input.data = {};
  job.input_stored = true;
}

Owner& owner_of(State& s, const std::string& name) {
  auto& owner = s.owners[name];
  if (!owner) {
    owner = std::make_unique<Owner>();
    owner->name = name;
  }
  return *owner;
}

std::optional<Error> check_admission(State& s, const Owner& owner, uint64_t input, size_t jobs) {
  if (!s.refusing.empty()) {
    return Error{Errc::store_unavailable, "the broker's store cannot write now: " + s.refusing,
                 "submit again later; what was accepted is safe", Effect::none, kRetryStoreMs};
  }
  if (auto error = check_unwritten(s, input * jobs)) return error;
  if (s.counts.unfinished + jobs > s.config.queue_jobs_max) {
    return queue_full(
        "the broker holds " + std::to_string(s.counts.unfinished) + " unfinished jobs, its limit",
        "submit again later, or raise broker.queue_jobs_max");
  }
  if (s.counts.queued_bytes + input * jobs > s.config.queue_bytes_max) {
    return queue_full("the inputs of queued jobs are at the broker's limit",
                      "submit again later, or raise broker.queue_bytes_max");
  }
  if (owner.in_flight + jobs > s.config.in_flight_max) {
    return queue_full(owner.name + " has " + std::to_string(owner.in_flight) +
                          " unfinished jobs, the limit of one user",
                      "wait for some, or raise broker.in_flight_max");
  }
  return std::nullopt;
}

Job& accept(State& s, NewJob fresh) {
  Job& job = s.jobs.add(fresh.id);
  job.seq = s.next_seq++;
  job.entry = fresh.spec;
  acquire(job.entry);
  // A small input must not keep the whole frame it came in.
  if (fresh.input.data.size() <= limits::kInlinePayloadBytesMax) {
    fresh.input.data = fresh.input.data.detach();
  }
  keep_input(s, job, fresh.input);
  s.unwritten += fresh.input.data.size();
  job.index = fresh.index;
  job.body = fresh.body;
  job.submitted = s.now.wall;
  job.accepted = s.grid;
  job.accepted_turn = s.turn;
  const bool is_child = !fresh.parent.is_nil();
  if (!fresh.trace.empty()) job.more().trace = fresh.trace;
  if (!fresh.retry_of.is_nil()) job.more().retry_of = fresh.retry_of;
  if (is_child) {
    job.more().parent = fresh.parent;
  } else {  // `last`, and what counts as in flight, is what was submitted
    job.owner = fresh.owner;
    job.owner->newest = job.id;
    ++job.owner->in_flight;
  }
  if (!fresh.key.empty()) {
    job.more().key = fresh.key;
    s.keys[fresh.key] = job.id;
  }
  if (!fresh.children.empty()) {
    job.more().children_left = fresh.children.size();
    job.more().children = fresh.children;
  }

  PutJob record;
  record.id = job.id;
  record.seq = job.seq;
  record.spec = job.entry->spec;
  record.input = std::move(fresh.input);
  record.index = job.index;
  record.key = std::move(fresh.key);
  record.trace = std::move(fresh.trace);
  if (!is_child) record.owner = job.owner->name;
  record.retry_of = fresh.retry_of;
  record.parent = fresh.parent;
  record.pinned = job.entry->pinned;
  record.children = std::move(fresh.children);
  record.body = job.body;
  record.submitted = job.submitted;
  record.accepted = job.accepted;
  s.effects.records.emplace_back(std::move(record));

  ++s.counts.accepted;
  ++s.counts.unfinished;
  ++s.by_status[static_cast<size_t>(job.status)];
  return job;
}

void start_life(State& s, Job& job) {
  const JobSpec& spec = job.spec();
  if (spec.deadline.count() > 0) {
    set_timer(s, mono_of(s, job.accepted + Micros(spec.deadline)), TimerKind::deadline, job.id);
  }
  if (spec.delay.count() > 0) {
    job.not_before = job.accepted + Micros(spec.delay);
    set_status(s, job, JobStatus::waiting);
    set_timer(s, mono_of(s, job.not_before), TimerKind::start, job.id);
    put_state(s, job);
  } else {
    enqueue(s, job);
  }
  if (s.feed.is_followed()) tell_status(s, job);
}

}  // namespace zgrid::broker
