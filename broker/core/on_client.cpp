// WATCH, CANCEL, QUERY, CONTROL: what clients ask after a submit.
// Every answer reveals state, so all of them are gated by the commit.
#include <algorithm>

#include "broker/core/state.h"

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
  bool is_ambiguous = false;
  s.jobs.for_each([&](const Job& job) { is_ambiguous |= !consider(job.id); });
  s.history.for_each([&](const Past& past) { is_ambiguous |= !consider(past.id); });
  if (is_ambiguous)
    return fail(Errc::ambiguous, "several jobs end in '" + selector + "'",
                "give more of the id's last characters: see `zgrid jobs --json`");
  if (!found) return fail(Errc::not_found, "no job ends in '" + selector + "'", "see `zgrid jobs`");
  return *found;
}

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
  view.skew_ms = worker.skew_ms;
  view.last_seen = std::chrono::duration_cast<Millis>(s.now.mono - worker.last_seen);
  for (const Job* job = worker.jobs.front(); job != nullptr; job = JobsInHand::next(job)) {
    if (job->extra && job->extra->life.wedged) ++view.wedged;
  }
  return view;
}

void on_watch(State& s, SessionId session, Watch&& m) {
  WatchAck ack;
  ack.request = m.request;
  std::vector<JobId> ended, with_events;
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
      if (m.events && !m.stop) with_events.push_back(id);
    }
    ack.items.push_back(item);
  }
  s.outbox.send(session, Gate::after_commit, std::move(ack));
  for (const JobId& id : with_events) send_past_events(s, session, id);
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
    case Query::What::explain: return on_explain(s, session, client, m);
    case Query::What::events: return on_events(s, session, m);
    case Query::What::runs:
      answer.error = Error{Errc::unsupported, "this broker does not list runs", {}, {}, 0};
      break;
  }
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

}  // namespace zgrid::broker
