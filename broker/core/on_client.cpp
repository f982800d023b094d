// WATCH, CANCEL, QUERY, CONTROL: what clients ask after a submit.
// Every answer reveals state, so all of them are gated by the commit.
#include <algorithm>

#include "broker/core/state.h"
#include "protocol/base/units.h"
#include "protocol/json.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

void stop_watching(Job& job, SessionId session) {
  if (job.extra) {
    std::erase(job.extra->watchers, session);
    std::erase(job.extra->event_watchers, session);
  }
  if (job.watcher == session) job.watcher = SessionId::none;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

constexpr size_t kSuffixMin = 4;

// Full, "last", or a unique tail of at least four characters.
Result<JobId> resolve(const State& s, const ClientSession& client, const std::string& selector) {
  if (selector == "last") {
    const Owner& owner = *client.owner;
    const bool is_known = s.jobs.contains(owner.newest) || s.history.find(owner.newest) != nullptr;
    if (!is_known) {
      return fail(Errc::not_found, "'last': " + owner.name + " has not submitted any job");
    }
    return owner.newest;
  }
  if (const auto id = JobId::parse(selector)) {
    if (s.jobs.contains(*id) || s.history.find(*id) != nullptr) return *id;
    return fail(Errc::not_found, "no job " + selector, "see `zgrid jobs`");
  }
  const std::string tail = lower(selector);
  if (tail.size() < kSuffixMin ||
      tail.find_first_not_of("0123456789abcdef-") != std::string::npos) {
    return fail(Errc::not_found, "'" + selector + "' is no job id",
                "give an id, at least its last four characters, or `last`");
  }
  std::optional<JobId> found;
  const auto consider = [&](const JobId& id) {
    if (!id.str().ends_with(tail)) return true;
    const bool is_first = !found;
    found = id;
    return is_first;
  };
  for (const auto& [id, job] : s.jobs) {
    if (!consider(id)) return fail(Errc::ambiguous, "several jobs end in '" + selector + "'");
  }
  bool is_ambiguous = false;
  s.history.for_each([&](const Past& past) { is_ambiguous |= !consider(past.id); });
  if (is_ambiguous) return fail(Errc::ambiguous, "several jobs end in '" + selector + "'");
  if (!found) return fail(Errc::not_found, "no job ends in '" + selector + "'", "see `zgrid jobs`");
  return *found;
}

StatusView status_of(const State& s) {
  StatusView view;
  view.broker_name = s.config.broker_name;
  view.program_version = s.config.program_version;
  view.store = s.config.store.id;
  view.epoch = s.config.store.epoch;
  view.durable = s.config.store.durable;
  view.admitting = s.refusing.empty();
  view.refusing_reason = s.refusing;
  view.queued_bytes = s.counts.queued_bytes;
  view.retained_jobs = s.history.kept();
  view.retained_bytes = s.history.kept_bytes();
  view.remembered = s.history.size() - s.history.kept();
  view.uptime = std::chrono::duration_cast<Millis>(s.now.mono - *s.started_at);
  view.jobs.assign(s.by_status.begin(), s.by_status.end());
  for (const auto& [id, worker] : s.workers) {
    if (!worker->online) continue;
    const WorkerView one = view_of(s, *worker);
    ++view.workers_online;
    view.slots += one.slots;
    view.free += one.free;
  }
  view.stale_results = s.counts.stale;
  view.duplicate_results = s.counts.duplicate;
  view.malformed = s.malformed;
  return view;
}

// Why one worker cannot take the job now; empty if it can.
std::string exclusion(const Worker& worker, const Demand::Key& key) {
  if (!worker.online) return "offline";
  if (worker.drained || worker.draining) return "draining";
  const auto& services = worker.services;
  if (!std::binary_search(services.begin(), services.end(), key.service)) {
    return "does not offer '" + key.service + "'";
  }
  if (!can_run(worker, key)) return "is not the target (name, tags or version)";
  if (!worker.has_credit()) return "all its slots are in use";
  return {};
}

// One sentence for people.
std::string reason_of(State& s, const Job& job) {
  if (job.status == JobStatus::waiting) return "waits for its start time";
  if (job.status == JobStatus::running) {
    std::string text = job.last_worker ? "runs on " + job.last_worker->name : "runs";
    if (job.extra && job.extra->life.wedged) {
      text += ", but shows no sign of life (no CPU time, no output) for " +
              format_duration(
                  std::chrono::duration_cast<Seconds>(s.now.mono - job.extra->life.active_at));
    }
    return text;
  }
  const Demand::Key& key = job.entry->demand->key;
  size_t online = 0;
  size_t offer = 0;
  for (const auto& [id, worker] : s.workers) {
    online += worker->online;
    offer += worker->online &&
             std::binary_search(worker->services.begin(), worker->services.end(), key.service);
  }
  if (online == 0) return "no worker is online";
  if (offer == 0) {
    return "none of the " + std::to_string(online) + " workers online offers '" + key.service + "'";
  }
  if (!anyone_offers(s, *job.entry->demand)) {
    return "no worker that offers '" + key.service + "' is " + format_target(key.target) +
           " and takes work";
  }
  return "all slots of the workers that can run it are in use";
}

Json explain(State& s, const JobId& id) {
  Json out = Json::object();
  out.set("job", id.str());
  const Job* job = find_job(s, id);
  if (job == nullptr) {
    out.set("status", status_name(s.history.find(id)->status)).set("reason", "has ended");
    return out;
  }
  out.set("status", status_name(job->status)).set("reason", reason_of(s, *job));
  Json workers = Json::array();
  for (const auto& [worker_id, worker] : s.workers) {
    Json one = Json::object();
    one.set("name", worker->facts->name);
    const std::string why = exclusion(*worker, job->entry->demand->key);
    one.set("excluded", why.empty() ? Json() : Json(why));
    workers.push(std::move(one));
  }
  out.set("workers", std::move(workers));
  return out;
}

void answer_explain(State& s, Answer& answer, const ClientSession& client, const Query& m) {
  Json all = Json::array();
  for (const std::string& selector : m.selectors) {
    const auto id = resolve(s, client, selector);
    if (!id) {
      answer.error = id.error();
      return;
    }
    all.push(explain(s, *id));
  }
  answer.text = all.dump();
}

size_t weight_of(const WorkerView& view) {
  size_t bytes = 512;
  for (const std::string& service : view.services) bytes += service.size() + 5;
  for (const auto& [key, value] : view.tags) bytes += key.size() + value.size() + 10;
  return bytes;
}

// Each worker's view in messages of bounded size.
void answer_workers(State& s, SessionId session, Answer answer) {
  size_t bytes = 0;
  for (const auto& [id, worker] : s.workers) {
    WorkerView view = view_of(s, *worker);
    bytes += weight_of(view);
    const bool is_full =
        answer.workers.size() >= limits::kBatchItemsMax || bytes > limits::kHeaderBytesTarget;
    if (is_full && !answer.workers.empty()) {
      bytes = weight_of(view);
      Answer part = answer;
      part.more = true;
      s.outbox.send(session, Gate::after_commit, std::move(part));
      answer.workers.clear();
    }
    answer.workers.push_back(std::move(view));
  }
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

}  // namespace

WorkerView view_of(const State& s, const Worker& worker) {
  WorkerView view;
  view.facts = *worker.facts;
  view.online = worker.online;
  view.draining = worker.drained || worker.draining;
  view.slots = worker.slots;
  view.in_hand = static_cast<uint32_t>(worker.jobs.size());
  if (worker.online) view.free = worker.slots - std::min(worker.slots, view.in_hand);
  view.load_permille = worker.load_permille;
  view.tags = worker.tags;
  view.services = worker.services;
  view.done = worker.done;
  view.failed = worker.failed;
  view.usage = worker.usage;
  view.last_seen = std::chrono::duration_cast<Millis>(s.now.mono - worker.last_seen);
  for (const Job* job = worker.jobs.front(); job != nullptr; job = JobsInHand::next(job)) {
    if (job->extra && job->extra->life.wedged) ++view.wedged;
  }
  return view;
}

void on_watch(State& s, SessionId session, Watch&& m) {
  WatchAck ack;
  ack.request = m.request;
  std::vector<JobId> ended;
  for (const JobId& id : m.jobs) {
    WatchAck::Item item;
    item.job = id;
    if (Job* job = find_job(s, id)) {
      item.known = true;
      item.status = job->status;
      if (m.stop) {
        stop_watching(*job, session);
      } else {
        if (m.results) add_watcher(*job, session);
        if (m.events) add_event_watcher(s, *job, session);
      }
    } else if (const Past* past = s.history.find(id)) {
      item.known = true;
      item.status = past->status;
      if (m.results && !m.stop) ended.push_back(id);
    }
    ack.items.push_back(item);
  }
  s.outbox.send(session, Gate::after_commit, std::move(ack));
  send_past_results(s, session, ended);
}

void cancel_job(State& s, Job& job) {
  if (job.extra && !job.extra->children.empty()) {
    const std::vector<JobId> children = job.extra->children;  // ending the last one ends the job
    for (const JobId& id : children) {
      if (Job* child = find_job(s, id)) cancel_job(s, *child);
    }
    return;
  }
  if (job.status != JobStatus::running) {
    return end_by_broker(s, job, JobStatus::cancelled, JobErrorKind::cancelled,
                         "cancelled by request");
  }
  if (job.cancel_requested) return;
  job.cancel_requested = true;
  put_state(s, job);
  if (job.worker != nullptr && job.worker->online) {
    s.outbox.abort(job.worker->session, {job.id, job.attempt, job.nonce}, Abort::Reason::cancelled);
  }
}

CancelAck::Item state_of(State& s, const JobId& id) {
  CancelAck::Item item;
  item.job = id;
  if (const Job* job = find_job(s, id)) {
    item.known = true;
    item.status = job->status;
  } else if (const Past* past = s.history.find(id)) {
    item.known = true;
    item.status = past->status;
  }
  return item;
}

void on_cancel(State& s, SessionId session, const Cancel& m) {
  CancelAck ack;
  ack.request = m.request;
  for (const JobId& id : m.jobs) {
    if (Job* job = find_job(s, id)) cancel_job(s, *job);
    ack.items.push_back(state_of(s, id));
  }
  s.outbox.send(session, Gate::after_commit, std::move(ack));
}

void on_query(State& s, SessionId session, const ClientSession& client, const Query& m) {
  Answer answer;
  answer.request = m.request;
  switch (m.what) {
    case Query::What::jobs: {
      StoreRead read;
      read.to = session;
      read.request = m.request;
      read.what = StoreRead::What::list;
      read.filter = {m.limit, m.states, m.run};
      s.effects.reads.push_back(std::move(read));
      return;
    }
    case Query::What::resolve: {
      StoreRead read;
      read.to = session;
      read.request = m.request;
      read.what = StoreRead::What::summaries;
      for (const std::string& selector : m.selectors) {
        const auto id = resolve(s, client, selector);
        if (!id) {
          answer.error = id.error();
          break;
        }
        read.jobs.push_back(*id);
      }
      if (answer.error) break;
      s.effects.reads.push_back(std::move(read));
      return;
    }
    case Query::What::workers: return answer_workers(s, session, std::move(answer));
    case Query::What::status: answer.status = status_of(s); break;
    case Query::What::explain: answer_explain(s, answer, client, m); break;
    case Query::What::runs:
      answer.error = Error{Errc::unsupported, "this broker does not list runs", {}, {}, 0};
      break;
  }
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

}  // namespace zgrid::broker
