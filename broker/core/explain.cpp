// EXPLAIN: why a job is where it is. Every worker is a candidate: either one rule excludes it, or
// it has the terms of a score. A job that ended is explained from its store. Nothing here is kept
// for the purpose but what jobs and workers have anyway, and the times of earlier stays in the
// queue (Spent), which few jobs have.
#include "broker/core/explain.h"

#include <algorithm>

#include "protocol/json.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Jobs that one question may name: answers have a limit.
constexpr size_t kExplainedJobsMax = 256;
constexpr size_t kTextPart = 512u << 10;  // of one answer

// ---- times ----------------------------------------------------------------------------

// Adds a stay that began when it was queued, up to `end`; `assigned`: nothing if it never was.
void add_stay(Spent& spent, GridTime begin, GridTime not_before, std::optional<GridTime> assigned,
              GridTime end) {
  const GridTime left = std::max(begin, std::min(assigned.value_or(end), end));
  const GridTime ready = std::clamp(not_before, begin, left);
  spent.waiting += ready - begin;
  spent.queued += left - ready;
  if (assigned) spent.running += std::max(end - left, Micros{0});
}

// Before the last turn, the wall clock and the grid's went side by side.
GridTime on_grid_clock(GridTime at, WallTime wall, WallTime then) {
  return at - std::max(wall - then, Micros{0});
}

Spent spent_by(const State& s, const Job& job) {
  Spent spent = job.extra ? job.extra->spent : Spent{};
  const GridTime begin = spent.since.us != 0 ? spent.since : job.accepted;
  std::optional<GridTime> assigned;
  if (job.status == JobStatus::running && job.attempt > 0) {
    assigned = on_grid_clock(s.grid, s.now.wall, job.assigned);
  }
  add_stay(spent, begin, job.not_before, assigned, s.grid);
  return spent;
}

// When its last attempt was. A store leaves the state of an uneventful job out, or has an older
// one; it started hardly later than it was assigned.
WallTime assigned_at(const StoredJob& job) {
  const bool is_known = job.state.status == JobStatus::running &&
                        job.state.attempt == job.ended->attempt && job.state.assigned.us != 0;
  return is_known ? job.state.assigned : job.ended->started;
}

Spent spent_by(const StoredJob& job) {
  const PutEnd& end = *job.ended;
  Spent spent = job.state.spent ? *job.state.spent : Spent{};
  const GridTime begin = spent.since.us != 0 ? spent.since : job.accepted.accepted;
  std::optional<GridTime> assigned;
  if (end.attempt > 0) {
    assigned = on_grid_clock(end.ended, end.finished, assigned_at(job));
  }
  add_stay(spent, begin, job.state.not_before, assigned, end.ended);
  return spent;
}

// ---- as JSON --------------------------------------------------------------------------

Json millis(Micros duration) {
  return Json(int64_t{std::chrono::round<Millis>(std::max(duration, Micros{0})).count()});
}
Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json time_or_null(WallTime time) { return time.us == 0 ? Json() : Json(format_rfc3339(time)); }

Json spent_json(const Spent& spent) {
  return Json::object()
      .set("waiting", millis(spent.waiting))
      .set("queued", millis(spent.queued))
      .set("running", millis(spent.running));
}

Json worker_json(const State& s, const Candidate& one, size_t rank) {
  const Worker& worker = *one.worker;
  const bool can = one.excluded.rule.empty();
  Json score;
  if (can) {
    // The terms by which candidates are ordered: the lower the better, the first decides.
    score = Json::object()
                .set("rank", uint64_t{rank})
                .set("load", static_cast<double>(worker.jobs.size()) / worker.slots)
                .set("assignments_since", s.assignments - worker.last_used);
  }
  return Json::object()
      .set("id", worker.facts->id.str())
      .set("name", worker.facts->name)
      .set("host", worker.facts->host)
      .set("online", worker.online)
      .set("in_hand", uint64_t{worker.jobs.size()})
      .set("slots", worker.slots)
      .set("rule", can ? Json() : Json(one.excluded.rule))
      .set("excluded", can ? Json() : Json(one.excluded.text))
      .set("score", std::move(score));
}

// `room`: how many workers this answer may still list.
void set_workers(const State& s, const std::vector<Candidate>& seen, size_t& room, Json& out) {
  Json list = Json::array();
  const size_t count = std::min({seen.size(), room, limits::kExplainedWorkersMax});
  for (size_t i = 0; i < count; ++i) list.push(worker_json(s, seen[i], i + 1));
  room -= count;
  out.set("workers", std::move(list)).set("workers_left_out", uint64_t{seen.size() - count});
}

Json needs_json(const Demand::Key& key) {
  return Json::object()
      .set("service", key.service)
      .set("on", key.pinned.is_nil() ? Json(format_target(key.target)) : Json(key.pinned.str()))
      .set("version", text_or_null(key.version))
      .set("alone", key.alone);
}

Json lost_json(const std::vector<std::string>& lost) {
  Json list = Json::array();
  for (const std::string& reason : lost) list.push(reason);
  return list;
}

Json queue_json(const Job& job) {
  if (job.status != JobStatus::queued) return {};
  const Demand& demand = *job.entry->demand;
  uint64_t higher = 0;
  for (size_t priority = job.spec().priority + 1u; priority < demand.turns.size(); ++priority) {
    const RunTurns& turns = demand.turns[priority];
    for (const RunQueue* queue = turns.front(); queue != nullptr; queue = RunTurns::next(queue)) {
      higher += queue->jobs.size();
    }
  }
  return Json::object()
      .set("same_need", uint64_t{demand.queued})
      .set("higher_priority", higher)
      .set("same_run", uint64_t{job.entry->queue->jobs.size()});
}

// The members that every explanation has, in their order.
Json head_json(const JobId& id, const JobSpec& spec, JobStatus status, const Why& why) {
  return Json::object()
      .set("job", id.str())
      .set("name", spec.service)
      .set("run", text_or_null(spec.run))
      .set("status", status_name(status))
      .set("reason", why.reason)
      .set("fix", text_or_null(why.fix))
      .set("waits_for", why.waits_for.empty() ? Json() : Json(why.waits_for))
      .set("priority", unsigned{spec.priority});
}

Json explain_live(State& s, const Job& job, size_t& room) {
  const Demand& demand = *job.entry->demand;
  const bool is_broadcast = job.extra && !job.extra->children.empty();
  std::vector<Candidate> seen;
  if (!is_broadcast) seen = look_at_workers(s, demand.key, &demand);
  Why why;
  if (is_broadcast) {
    why = why_broadcast(job);
  } else if (job.status == JobStatus::waiting) {
    why = why_waiting(s, job);
  } else if (job.status == JobStatus::running) {
    why = why_running(s, job);
  } else {
    why = why_queued(s, demand.key, demand, seen);
  }
  const JobSpec& spec = job.spec();
  Json deadline;
  if (spec.deadline.count() > 0) deadline = millis(job.accepted + Micros(spec.deadline) - s.grid);
  const bool was_given = job.attempt > 0 && job.last_worker;
  Json out = head_json(job.id, spec, job.status, why);
  out.set("needs", needs_json(demand.key))
      .set("attempt", job.attempt)
      .set("worker", was_given ? Json(job.last_worker->name) : Json())
      .set("retries", Json::object()
                          .set("used", job.failures)
                          .set("allowed", spec.retries)
                          .set("losses", job.losses)
                          .set("losses_max", limits::kLossesMax))
      .set("lost", lost_json(job.extra ? job.extra->lost : std::vector<std::string>{}))
      .set("times", Json::object()
                        .set("submitted", time_or_null(job.submitted))
                        .set("assigned", was_given ? time_or_null(job.assigned) : Json())
                        .set("finished", Json()))
      .set("spent_ms", spent_json(is_broadcast ? Spent{} : spent_by(s, job)))
      .set("deadline_in_ms", std::move(deadline))
      .set("start_in_ms",
           job.status == JobStatus::waiting ? millis(job.not_before - s.grid) : Json())
      .set("queue", queue_json(job));
  set_workers(s, seen, room, out);
  return out;
}

Json explain_ended(const State& s, const StoredJob& job, size_t& room) {
  const JobSpec& spec = job.accepted.spec->job;
  const PutEnd& end = *job.ended;
  Target target = job.accepted.pinned.is_nil() ? spec.target : Target{};
  const Demand::Key key{spec.service, std::move(target), spec.demand_version, job.accepted.pinned,
                        job.state.losses >= limits::kLossesBeforeAlone};
  Json out = head_json(job.accepted.id, spec, end.outcome.status, why_ended(job));
  out.set("needs", needs_json(key))
      .set("attempt", end.attempt)
      .set("worker", end.worker ? Json(end.worker->name) : Json())
      .set("retries", Json::object()
                          .set("used", job.state.failures)
                          .set("allowed", spec.retries)
                          .set("losses", job.state.losses)
                          .set("losses_max", limits::kLossesMax))
      .set("lost", lost_json(job.state.lost))
      .set("times", Json::object()
                        .set("submitted", time_or_null(job.accepted.submitted))
                        .set("assigned", end.attempt == 0 ? Json() : time_or_null(assigned_at(job)))
                        .set("finished", time_or_null(end.finished)))
      .set("spent_ms", spent_json(spent_by(job)))
      .set("deadline_in_ms", Json())
      .set("start_in_ms", Json())
      .set("queue", Json());
  set_workers(s, look_at_workers(s, key, nullptr), room, out);
  return out;
}

// Its result was purged, or its row cannot be read.
Json explain_past(const JobId& id, const Past& past, const std::string& reason) {
  return Json::object()
      .set("job", id.str())
      .set("status", status_name(past.status))
      .set("reason", std::string(status_name(past.status)) + "; " + reason)
      .set("fix", Json())
      .set("waits_for", Json())
      .set("attempt", past.attempt)
      .set("workers", Json::array());
}

}  // namespace

void end_stay(State& s, Job& job) {
  if (job.attempt == 0) return;
  Spent& spent = job.more().spent;
  const GridTime begin = spent.since.us != 0 ? spent.since : job.accepted;
  add_stay(spent, begin, job.not_before, on_grid_clock(s.grid, s.now.wall, job.assigned), s.grid);
  spent.since = s.grid;
}

void on_explain(State& s, SessionId session, const ClientSession& client, const Query& m) {
  Answer answer;
  answer.request = m.request;
  if (m.selectors.size() > kExplainedJobsMax) {
    answer.error = Error{Errc::too_large,
                         "more than " + std::to_string(kExplainedJobsMax) + " jobs in one question",
                         "ask for fewer at a time", Effect::none, 0};
  }
  std::vector<Core::Explained> jobs;
  StoreRead read;
  for (size_t i = 0; i < m.selectors.size() && !answer.error; ++i) {
    const auto id = resolve(s, client, m.selectors[i]);
    if (!id) {
      answer.error = id.error();
      break;
    }
    jobs.push_back({*id, std::optional<StoredJob>{}});
    read.jobs.push_back(*id);
  }
  if (answer.error) return s.outbox.send(session, Gate::after_commit, std::move(answer));
  const bool all_live = std::all_of(read.jobs.begin(), read.jobs.end(),
                                    [&](const JobId& id) { return s.jobs.contains(id); });
  if (all_live) return on_explain_read(s, session, m.request, std::move(jobs));
  read.to = session;
  read.request = m.request;
  read.what = StoreRead::What::explain;
  s.effects.reads.push_back(std::move(read));
}

void on_explain_read(State& s, SessionId session, uint64_t request,
                     std::vector<Core::Explained> jobs) {
  constexpr size_t kListedMax = 4 * limits::kExplainedWorkersMax;
  size_t room = kListedMax;
  Json all = Json::array();
  Answer answer;
  answer.request = request;
  for (const auto& [id, stored] : jobs) {
    if (const Job* job = find_job(s, id)) {
      all.push(explain_live(s, *job, room));
    } else if (stored && *stored && (*stored)->ended) {
      all.push(explain_ended(s, **stored, room));
    } else if (const Past* past = s.history.find(id)) {
      all.push(explain_past(id, *past,
                            !stored ? "its result cannot be read: " + stored.error().message
                                    : "its result was purged after its retention"));
    } else {
      answer.error =
          Error{Errc::not_found, "no job " + id.str(), "see `zgrid jobs`", Effect::none, 0};
      break;
    }
  }
  // A long text goes in parts, which the client puts together.
  std::string text = all.dump();
  for (; text.size() > kTextPart; text.erase(0, kTextPart)) {
    Answer part;
    part.request = request;
    part.more = true;
    part.text = text.substr(0, kTextPart);
    s.outbox.send(session, Gate::after_commit, std::move(part));
  }
  answer.text = std::move(text);
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

}  // namespace zgrid::broker
