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

// Submits that may wait for the workers after a restart.
constexpr size_t kWaitingMax = 1000;

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
  size_t children = 0;       // of its broadcasts
  std::vector<JobId> ended;  // whose results it gets after the acknowledgement
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
    item.status = s.history.find(id)->status;
    if (const auto* children = s.history.children(id)) {
      // Nobody is to wait for a child that is forgotten before its parent.
      for (const JobId& child : *children) {
        if (find_job(s, child) || s.history.find(child)) item.children.push_back(child);
      }
      if (!item.children.empty()) results_of = item.children;
    }
  }
  if (sub.message.watch) {
    for (const JobId& wanted : results_of) {
      if (Job* job = find_job(s, wanted)) {
        watch(sub, *job);
      } else {
        sub.ended.push_back(wanted);
      }
    }
  }
  sub.ack.items.push_back(std::move(item));
}

// The body of a job that is known, whether it ended or not.
const Hash128* body_of(State& s, const JobId& id) {
  if (const Job* job = find_job(s, id)) return &job->body;
  const Past* past = s.history.find(id);
  return past == nullptr ? nullptr : &past->body;
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
  const Past* past = s.history.find(it->second);
  if (sub.message.rerun_failed && past != nullptr && past->status != JobStatus::succeeded) {
    return false;  // a new job takes the key over
  }
  answer_duplicate(sub, index, it->second);
  return true;
}

// The fields that come from the client's entry.
NewJob fresh_job(const Submission& sub, const JobEntry& entry, SpecEntry* spec,
                 const Hash128& body) {
  NewJob fresh;
  fresh.id = entry.id;
  fresh.owner = sub.client.owner;
  fresh.spec = spec;
  fresh.input = entry.input;
  fresh.index = entry.index;
  fresh.key = entry.key;
  fresh.trace = entry.trace;
  fresh.retry_of = entry.retry_of;
  fresh.body = body;
  return fresh;
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
  // Its children may be remembered for longer than it was itself.
  const bool is_half_known = std::any_of(targets.begin(), targets.end(), [&](const Worker* w) {
    return body_of(s, child_id(entry.id, w->facts->id)) != nullptr;
  });
  if (is_half_known) {
    return refuse(sub, index,
                  make_error(Errc::conflict, "jobs of a former broadcast with this id are known",
                             "make a new id for a new job"));
  }
  if (auto error =
          check_admission(s, *sub.client.owner, entry.input.data.size(), targets.size() + 1)) {
    return refuse(sub, index, std::move(*error));
  }
  SubmitAck::Item item;
  item.entry = index;
  item.job = entry.id;
  for (const Worker* worker : targets)
    item.children.push_back(child_id(entry.id, worker->facts->id));
  JobSpec group = spec->spec->job;
  group.kind = JobKind::broadcast;  // lists leave it out: its children stand for it
  NewJob whole = fresh_job(sub, entry, intern(s, make_spec(std::move(group)), {}), body);
  whole.children = item.children;
  Job& parent = accept(s, std::move(whole));
  set_status(s, parent, JobStatus::running);
  put_state(s, parent);
  for (size_t i = 0; i < targets.size(); ++i) {
    NewJob child = fresh_job(sub, entry, intern(s, spec->spec, targets[i]->facts->id), body);
    child.id = item.children[i];
    child.parent = entry.id;
    child.key.clear();
    Job& accepted = accept(s, std::move(child));
    if (sub.message.watch) watch(sub, accepted);
    start_life(s, accepted);
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
  if (auto error = check_admission(s, *sub.client.owner, entry.input.data.size(), 1)) {
    return refuse(sub, index, std::move(*error));
  }
  if (job.no_queue && !anyone_offers(s, *spec->demand)) {
    return refuse(sub, index,
                  make_error(Errc::no_candidate,
                             "no worker that is online can run '" + job.service + "' on " +
                                 format_target(job.target),
                             "see `zgrid workers` for what they offer"));
  }
  Job& accepted = accept(s, fresh_job(sub, entry, spec, body));
  if (sub.message.watch) watch(sub, accepted);
  start_life(s, accepted);
}

// Whether it tells of nothing but limits: that is no state of a job, and a slow disk is no reason
// to let whoever is refused wait.
bool is_only_refused(const SubmitAck& ack, size_t jobs) {
  return jobs > 0 && ack.items.size() == jobs &&
         std::all_of(ack.items.begin(), ack.items.end(), [](const SubmitAck::Item& item) {
           return item.error && (item.error->code == Errc::queue_full ||
                                 item.error->code == Errc::store_unavailable);
         });
}

}  // namespace

void on_submit(State& s, SessionId session, ClientSession& client, Submit&& m) {
  const bool has_broadcast = std::any_of(m.specs.begin(), m.specs.end(), [](const SpecRef& spec) {
    return spec->job.target.mode == Target::Mode::all;
  });
  const bool must_wait = has_broadcast && s.now.mono < s.workers_back_at;
  if (must_wait && s.waiting.size() < kWaitingMax) {
    s.waiting.push_back({session, std::move(m)});
    return;
  }
  Submission sub{s, session, client, m, {}, 0, {}};
  sub.ack.request = m.request;
  std::vector<SpecEntry*> specs;
  std::vector<std::optional<Error>> problems;
  for (const SpecRef& spec : m.specs) {
    problems.push_back(check_spec(spec->job));
    if (must_wait && !problems.back()) {
      problems.back() =
          make_error(Errc::queue_full, "too many broadcasts wait for the workers after a restart",
                     "submit again later", kRetryQueueFullMs);
    }
    specs.push_back(problems.back() ? nullptr : intern(s, spec, {}));
    if (specs.back() != nullptr) acquire(specs.back());  // held while the list is taken
  }
  for (const JobEntry& entry : m.jobs) prefetch_job(s, entry.id);
  for (uint32_t i = 0; i < m.jobs.size(); ++i) {
    const JobEntry& entry = m.jobs[i];
    if (specs[entry.spec] == nullptr) {
      refuse(sub, i, *problems[entry.spec]);
    } else {
      take(sub, i, entry, specs[entry.spec]);
    }
  }
  // Also of one that was there before: it is what was submitted last.
  if (!m.jobs.empty() && s.jobs.contains(m.jobs.back().id)) {
    client.owner->newest = m.jobs.back().id;
  }
  for (SpecEntry* entry : specs) {
    if (entry != nullptr) release(s, entry);
  }
  // Who waits for the results need not be woken to hear that nothing is wrong.
  if (m.watch && sub.ack.items.empty()) {
    s.outbox.send_lazily(session, std::move(sub.ack));
  } else {
    const Gate gate = is_only_refused(sub.ack, m.jobs.size()) ? Gate::free : Gate::after_commit;
    s.outbox.send(session, gate, std::move(sub.ack));
  }
  send_past_results(s, session, sub.ended);
}

void on_waiting(State& s) {
  if (s.waiting.empty() || s.now.mono < s.workers_back_at) return;
  std::vector<Waiting> waiting;
  waiting.swap(s.waiting);
  for (Waiting& one : waiting) {
    const auto client = s.clients.find(one.session);
    // Who went away meanwhile submits again when it is back.
    if (client != s.clients.end()) on_submit(s, one.session, client->second, std::move(one.submit));
  }
}

}  // namespace zgrid::broker
