// SUBMIT: checks, idempotency, admission, acceptance, and the expansion of broadcasts.
// Nothing is acknowledged here: the ack is a gated send, after the commit of the records.
#include <algorithm>

#include "broker/core/state.h"
#include "protocol/base/units.h"
#include "protocol/codec.h"
#include "protocol/hash.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// How long a refused client should wait before it tries again.
constexpr uint32_t kRetryQueueFullMs = 500;
constexpr uint32_t kRetryStoreMs = 1000;

Error make_error(Errc code, std::string message, std::string hint = {}, uint32_t retry_ms = 0) {
  return Error{code, std::move(message), std::move(hint), Effect::none, retry_ms};
}

std::optional<Error> check_spec(const JobSpec& job) {
  const auto bad = [](std::string message) { return make_error(Errc::bad_input, message); };
  if (job.service.empty()) return bad("the job names no workflow");
  if (job.kind != JobKind::workflow && job.kind != JobKind::prompt) {
    return make_error(Errc::unsupported, "this broker runs workflows and prompts only");
  }
  if (job.race || job.quorum > 0) {
    return make_error(Errc::unsupported, "this broker does not offer race and quorum");
  }
  if (job.priority > limits::kPriorityMax) return bad("a priority is 0 to 9");
  if (job.retries > limits::kRetriesMax) return bad("at most 1000 retries");
  if (!job.run.empty() && !is_name(job.run)) {
    return bad("'" + job.run + "' is no name for a run: 1 to 63 of A-Z a-z 0-9 . _ -");
  }
  for (const std::string& name : job.target.names) {
    if (!is_name(name)) return bad("'" + name + "' is no name of a worker");
  }
  return std::nullopt;
}

struct Submission {
  State& s;
  SessionId session;
  ClientSession& client;
  const Submit& message;
  SubmitAck ack;
  size_t children = 0;  // of its broadcasts
};

void refuse(Submission& sub, uint32_t index, Error error) {
  SubmitAck::Item item;
  item.entry = index;
  item.error = std::move(error);
  sub.ack.items.push_back(std::move(item));
}

void watch(const Submission& sub, Job& job) {
  add_watcher(job, sub.session);
  if (sub.message.events) add_event_watcher(sub.s, job, sub.session);
}

// The job was there before: tell its state, and let the client have its result.
void answer_duplicate(Submission& sub, uint32_t index, const JobId& id) {
  State& s = sub.s;
  SubmitAck::Item item;
  item.entry = index;
  item.job = id;
  item.duplicate = true;
  std::vector<JobId> results_of = {id};
  if (Job* job = find_job(s, id)) {
    item.status = job->status;
    if (job->extra && !job->extra->children.empty())
      results_of = item.children = job->extra->children;
  } else {
    item.status = s.ended.at(id).status;
    if (const auto it = s.broadcasts.find(id); it != s.broadcasts.end()) {
      results_of = item.children = it->second;
    }
  }
  if (sub.message.watch) {
    StoreRead read{sub.session, 0, StoreRead::What::results, {}, {}};
    for (const JobId& wanted : results_of) {
      Job* job = find_job(s, wanted);
      if (job != nullptr) {
        watch(sub, *job);
      } else {
        read.jobs.push_back(wanted);
      }
    }
    if (!read.jobs.empty()) s.effects.reads.push_back(std::move(read));
  }
  sub.ack.items.push_back(std::move(item));
}

// The body of a job that is known, whether it ended or not.
const Hash128* body_of(State& s, const JobId& id) {
  if (const Job* job = find_job(s, id)) return &job->body;
  const auto it = s.ended.find(id);
  return it == s.ended.end() ? nullptr : &it->second.body;
}

// True if the entry stands for a job that exists, and was answered.
bool is_known(Submission& sub, uint32_t index, const JobEntry& entry, const Hash128& body) {
  State& s = sub.s;
  if (const Hash128* known = body_of(s, entry.id)) {
    if (*known == body) {
      answer_duplicate(sub, index, entry.id);
    } else {
      refuse(sub, index,
             make_error(Errc::conflict, "job " + entry.id.str() + " exists with another body",
                        "make a new id for a new job"));
    }
    return true;
  }
  if (entry.key.empty()) return false;
  const auto it = s.keys.find(entry.key);
  if (it == s.keys.end()) return false;
  const Hash128* known = body_of(s, it->second);
  if (known == nullptr) return false;
  if (!(*known == body)) {
    refuse(sub, index,
           make_error(Errc::conflict,
                      "key '" + entry.key + "' belongs to job " + it->second.str() +
                          ", which has another body",
                      "use another key, or submit exactly the same job"));
    return true;
  }
  const auto ended = s.ended.find(it->second);
  if (sub.message.rerun_failed && ended != s.ended.end() &&
      ended->second.status != JobStatus::succeeded) {
    return false;  // a new job takes the key over
  }
  answer_duplicate(sub, index, it->second);
  return true;
}

std::optional<Error> check_admission(const Submission& sub, const JobEntry& entry, size_t jobs) {
  const State& s = sub.s;
  if (s.refusing) {
    return make_error(Errc::store_unavailable, "the broker's store cannot write now",
                      "submit again later; what was accepted is safe", kRetryStoreMs);
  }
  if (s.counts.unfinished + jobs > s.config.queue_jobs_max) {
    return make_error(
        Errc::queue_full,
        "the broker holds " + std::to_string(s.counts.unfinished) + " unfinished jobs, its limit",
        "submit again later, or raise broker.queue_jobs_max", kRetryQueueFullMs);
  }
  if (s.counts.queued_bytes + entry.input.data.size() * jobs > s.config.queue_bytes_max) {
    return make_error(Errc::queue_full, "the inputs of queued jobs are at the broker's limit",
                      "submit again later, or raise broker.queue_bytes_max", kRetryQueueFullMs);
  }
  if (sub.client.in_flight + jobs > s.config.in_flight_max) {
    return make_error(Errc::queue_full, "this connection has too many unfinished jobs",
                      "wait for some, or raise broker.in_flight_max", kRetryQueueFullMs);
  }
  return std::nullopt;
}

struct NewJob {
  const JobEntry& entry;
  JobId id;
  SpecEntry* spec;
  Hash128 body;
  JobId parent;
  std::vector<JobId> children;
};

Job& accept(Submission& sub, NewJob fresh) {
  State& s = sub.s;
  auto owned = std::make_unique<Job>();
  Job& job = *owned;
  const JobEntry& entry = fresh.entry;
  job.id = fresh.id;
  job.seq = s.next_seq++;
  job.entry = fresh.spec;
  acquire(job.entry);
  // A small input must not keep the whole frame it came in.
  job.input = {entry.input.tag, entry.input.data.size() <= limits::kInlinePayloadBytesMax
                                    ? entry.input.data.detach()
                                    : entry.input.data};
  job.index = entry.index;
  job.body = fresh.body;
  job.submitted = s.now.wall;
  job.accepted_turn = s.turn;
  job.submitter = sub.session;
  ++sub.client.in_flight;
  const bool is_child = !fresh.parent.is_nil();
  const bool is_group = !fresh.children.empty();
  if (!entry.trace.empty()) job.more().trace = entry.trace;
  if (!entry.retry_of.is_nil()) job.more().retry_of = entry.retry_of;
  if (is_child) job.more().parent = fresh.parent;
  if (!is_child && !entry.key.empty()) {
    job.more().key = entry.key;
    s.keys[entry.key] = job.id;
  }
  if (is_group) {
    job.more().children_left = fresh.children.size();
    job.more().children = fresh.children;
  } else {
    if (sub.message.watch) watch(sub, job);
  }

  PutJob record;
  record.id = job.id;
  record.seq = job.seq;
  record.spec = job.entry->spec;
  record.input = job.input;
  record.index = job.index;
  if (!is_child) record.key = entry.key;
  record.trace = entry.trace;
  if (!is_child) record.owner = sub.client.owner;  // `last` means what was submitted
  record.retry_of = entry.retry_of;
  record.parent = fresh.parent;
  record.pinned = job.entry->pinned;
  record.children = std::move(fresh.children);
  record.body = job.body;
  record.submitted = job.submitted;
  s.effects.records.emplace_back(std::move(record));

  ++s.counts.accepted;
  ++s.counts.unfinished;
  ++s.by_status[static_cast<size_t>(job.status)];
  s.jobs.emplace(job.id, std::move(owned));
  return job;
}

// Queued, or waiting for its time.
void start_life(State& s, Job& job) {
  const JobSpec& spec = job.spec();
  if (spec.deadline.count() > 0) {
    set_timer(s, mono_of(s, job.submitted + Micros(spec.deadline)), TimerKind::deadline, job.id);
  }
  if (spec.delay.count() > 0) {
    job.not_before = job.submitted + Micros(spec.delay);
    set_status(s, job, JobStatus::waiting);
    set_timer(s, mono_of(s, job.not_before), TimerKind::start, job.id);
    put_state(s, job);
  } else {
    enqueue(s, job);
  }
}

// One child for each living worker that can run it, frozen now.
void accept_broadcast(Submission& sub, uint32_t index, const JobEntry& entry, SpecEntry* spec,
                      const Hash128& body) {
  State& s = sub.s;
  const std::vector<Worker*> targets = offering(s, *spec->demand);
  // Their ids must fit into one acknowledgement.
  if (sub.children + targets.size() > limits::kBroadcastMax) {
    return refuse(sub, index,
                  make_error(Errc::queue_full, "too many jobs of broadcasts in one submit",
                             "submit broadcasts one by one", kRetryQueueFullMs));
  }
  sub.children += targets.size();
  if (targets.empty()) {
    return refuse(sub, index,
                  make_error(Errc::no_candidate,
                             "no worker that is online offers '" + spec->spec->job.service + "'",
                             "see `zgrid workers` for what they offer"));
  }
  if (auto error = check_admission(sub, entry, targets.size() + 1)) {
    return refuse(sub, index, std::move(*error));
  }
  SubmitAck::Item item;
  item.entry = index;
  item.job = entry.id;
  for (const Worker* worker : targets)
    item.children.push_back(child_id(entry.id, worker->facts->id));
  JobSpec group = spec->spec->job;
  group.kind = JobKind::broadcast;  // lists leave it out: its children stand for it
  Job& parent = accept(
      sub, {entry, entry.id, intern(s, make_spec(std::move(group)), {}), body, {}, item.children});
  set_status(s, parent, JobStatus::running);
  put_state(s, parent);
  for (size_t i = 0; i < targets.size(); ++i) {
    SpecEntry* pinned = intern(s, spec->spec, targets[i]->facts->id);
    start_life(s, accept(sub, {entry, item.children[i], pinned, body, entry.id, {}}));
  }
  item.status = parent.status;
  sub.ack.items.push_back(std::move(item));
}

void take(Submission& sub, uint32_t index, const JobEntry& entry, SpecEntry* spec) {
  State& s = sub.s;
  if (entry.id.is_nil()) {
    return refuse(sub, index, make_error(Errc::bad_input, "a job needs an id"));
  }
  const Hash128 body = hash_body(spec->hash, entry.input, entry.index);
  if (is_known(sub, index, entry, body)) return;
  const JobSpec& job = spec->spec->job;
  if (job.target.mode == Target::Mode::all) return accept_broadcast(sub, index, entry, spec, body);
  if (auto error = check_admission(sub, entry, 1)) return refuse(sub, index, std::move(*error));
  if (job.no_queue && !anyone_offers(s, *spec->demand)) {
    return refuse(sub, index,
                  make_error(Errc::no_candidate,
                             "no worker that is online can run '" + job.service + "' on " +
                                 format_target(job.target),
                             "see `zgrid workers` for what they offer"));
  }
  Job& accepted = accept(sub, {entry, entry.id, spec, body, {}, {}});
  start_life(s, accepted);
}

}  // namespace

void on_submit(State& s, SessionId session, ClientSession& client, Submit&& m) {
  Submission sub{s, session, client, m, {}, 0};
  sub.ack.request = m.request;
  std::vector<SpecEntry*> specs;
  std::vector<std::optional<Error>> problems;
  for (const SpecRef& spec : m.specs) {
    problems.push_back(check_spec(spec->job));
    specs.push_back(problems.back() ? nullptr : intern(s, spec, {}));
    if (specs.back() != nullptr) acquire(specs.back());  // held while the list is taken
  }
  for (uint32_t i = 0; i < m.jobs.size(); ++i) {
    const JobEntry& entry = m.jobs[i];
    if (specs[entry.spec] == nullptr) {
      refuse(sub, i, *problems[entry.spec]);
    } else {
      take(sub, i, entry, specs[entry.spec]);
    }
  }
  if (!m.jobs.empty() && !client.owner.empty()) {
    const JobId& last = m.jobs.back().id;
    if (s.jobs.contains(last)) s.newest_of_owner[client.owner] = last;
  }
  for (SpecEntry* entry : specs) {
    if (entry != nullptr) release(s, entry);
  }
  s.outbox.send(session, Gate::after_commit, std::move(sub.ack));
}

}  // namespace zgrid::broker
