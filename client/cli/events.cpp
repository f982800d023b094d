// events, logs: what happened on the grid, what a worker went through, what a job wrote.
#include <algorithm>
#include <set>

#include "client/cli/documents.h"
#include "client/cli/session.h"
#include "protocol/json.h"

namespace zgrid::cli {
namespace {

// How often a follower asks again. The broker keeps every job's events for a few seconds after.
constexpr Millis kPoll{500};
// Of a worker's jobs at most so many are listened to at a time.
constexpr uint32_t kJobsMax = 256;

std::string moment(WallTime time) {
  const std::string text = format_rfc3339(time);
  return text.substr(0, text.find('.')) + "Z";
}

void show(App& app, const protocol::GridEvent& event) {
  std::vector<Cell> cells{{moment(event.at), Paint::dim},
                          {event.name, event.warning ? Paint::red : Paint::bold}};
  if (!event.worker.empty()) cells.push_back({event.worker});
  if (!event.job.is_nil()) cells.push_back({short_id(event.job.str())});
  cells.push_back({event.text});
  app.out.line(cells, {{"seq", Json(event.seq)},
                       {"at", Json(format_rfc3339(event.at))},
                       {"level", Json(event.warning ? "warn" : "info")},
                       {"event", Json(event.name)},
                       {"job", event.job.is_nil() ? Json() : Json(event.job.str())},
                       {"worker", event.worker.empty() ? Json() : Json(event.worker)},
                       {"text", Json(event.text)}});
}

// Asks for the events that came since the last time.
class Feed {
 public:
  using Filter = std::function<bool(const protocol::GridEvent&)>;
  Feed(App& app, Session& session, bool follow, Filter filter)
      : app_(app), session_(session), follow_(follow), filter_(std::move(filter)) {}

  // At most the last `limit` of them; 0: all.
  Result<void> show_new(uint32_t limit) {
    protocol::Query query;
    query.what = protocol::Query::What::events;
    query.since = since_;
    query.follow = follow_;
    auto answer = session_.ask(std::move(query));
    if (!answer) return fail(answer.error());
    if (answer->gap) {
      app_.out.line({{"-- events are missing here: there were more than the broker keeps, or it "
                      "was restarted",
                      Paint::yellow}},
                    {{"event", Json("gap")}});
    }
    if (!answer->events.empty()) since_ = answer->events.back().seq;
    std::erase_if(answer->events, [&](const auto& event) { return !filter_(event); });
    const size_t count = answer->events.size();
    for (size_t i = limit > 0 && count > limit ? count - limit : 0; i < count; ++i) {
      show(app_, answer->events[i]);
    }
    return {};
  }

 private:
  App& app_;
  Session& session_;
  bool follow_;
  Filter filter_;
  uint64_t since_ = 0;
};

// Until the next question is due. Nothing: it is; else the exit code.
std::optional<int> pause(App& app, Session& session) {
  const MonoTime due = session.connection().deadline_in(kPoll);
  const auto end = session.wait([&] { return session.connection().now().mono >= due; }, due, [] {});
  switch (end) {
    case Session::End::done: return std::nullopt;
    case Session::End::signal: Signals::die_by(session.signal());
    case Session::End::lost: return fail_with(app, session.lost_error());
    case Session::End::timeout: break;
  }
  return fail_with(app,
                   {Errc::timeout, "--timeout is over; the grid goes on", {}, Effect::none, 0});
}

int follow_feed(App& app, Session& session, Feed& feed, uint32_t limit, bool follow,
                const std::function<Result<void>()>& more = nullptr) {
  while (true) {
    if (auto shown = feed.show_new(limit); !shown) return fail_with(app, shown.error());
    if (more) {
      if (auto done = more(); !done) return fail_with(app, done.error());
    }
    if (!follow) return 0;
    limit = 0;
    if (const auto exit = pause(app, session)) return *exit;
  }
}

// ---- what jobs write ------------------------------------------------------------------

void show_line(App& app, const JobId& job, uint32_t attempt, const JobEvent& event, bool with_job) {
  const Json document = event_document(job, attempt, event);
  std::vector<Cell> cells;
  if (with_job) cells.push_back({short_id(job.str()), Paint::dim});
  if (event.kind == EventKind::gap) {
    cells.push_back(
        {"-- lines are missing here: there were more than the broker keeps", Paint::yellow});
  } else {
    cells.push_back({bare_output(event.data)});
  }
  app.out.line(cells, *document.as_object());
}

bool is_line(const JobEvent& event) {
  return event.kind == EventKind::log || event.kind == EventKind::gap;
}

struct JobLog {
  bool is_answered = false, is_known = true, has_ended = false, any = false;
  JobStatus status = JobStatus::queued;
  std::string tail;
};

// What of a job that ended is told when its lines are not kept (any more).
void show_tail(App& app, const JobId& job, const JobLog& log) {
  if (log.any) return;
  if (!log.tail.empty()) {
    app.out.note("only the end of what it wrote is kept");
    JobEvent event;
    event.kind = EventKind::log;
    for (size_t at = 0; at < log.tail.size();) {
      const size_t end = std::min(log.tail.find('\n', at), log.tail.size());
      event.data = {PayloadTag::utf8, Bytes::own(log.tail.substr(at, end - at))};
      show_line(app, job, 0, event, false);
      at = end + 1;
    }
  } else if (log.has_ended) {
    app.out.note(
        "it wrote nothing to stderr, or nothing of that is kept any more: a broker keeps "
        "the lines of the last jobs that ended, in memory");
  } else {
    app.out.note("it is " + std::string(status_name(log.status)) +
                 " and has written nothing to stderr yet");
  }
}

int job_log(App& app, Session& session, const JobId& job, bool follow) {
  JobLog log;
  session.event = [&](const JobId& id, uint32_t attempt, JobEvent& event) {
    if (!is_line(event)) return;
    log.any = true;
    show_line(app, id, attempt, event, false);
  };
  session.result = [&](const client::ResultView& view) {
    log.has_ended = true;
    if (view.entry.outcome.error) log.tail = view.entry.outcome.error->stderr_tail;
  };
  session.unknown = [&](const JobId&) { log.is_known = false; };
  session.connection().watch({job}, true, session.answer_deadline(),
                             [&](Result<std::vector<protocol::WatchAck::Item>> items) {
                               log.is_answered = true;
                               if (items && !items->empty()) log.status = items->front().status;
                             });
  const auto end = session.wait([&] {
    if (!log.is_known || log.has_ended) return true;
    return log.is_answered && !follow && !is_terminal(log.status);
  });
  session.event = nullptr;
  session.result = nullptr;
  session.unknown = nullptr;
  if (end == Session::End::signal) Signals::die_by(session.signal());
  if (end == Session::End::lost) return fail_with(app, session.lost_error());
  if (!log.is_known) {
    return fail_with(app,
                     {Errc::not_found, "no job " + job.str(), "see 'zgrid jobs'", Effect::none, 0});
  }
  if (end == Session::End::timeout) {
    return fail_with(
        app,
        {Errc::timeout, "--timeout is over; job " + job.str() + " goes on", {}, Effect::none, 0});
  }
  show_tail(app, job, log);
  return 0;
}

// Listens to the jobs that a worker has in hand now, each once.
Result<void> listen_to_jobs(Session& session, const std::string& worker, std::set<JobId>& known) {
  protocol::Query query;
  query.limit = kJobsMax;
  query.states = {JobStatus::running};
  auto answer = session.ask(std::move(query));
  if (!answer) return fail(answer.error());
  std::vector<JobId> fresh;
  for (const protocol::JobSummary& job : answer->jobs) {
    if (job.worker_name == worker && known.insert(job.job).second) fresh.push_back(job.job);
  }
  if (fresh.empty()) return {};
  bool is_answered = false;
  session.connection().watch(std::move(fresh), true, session.answer_deadline(),
                             [&](const auto&) { is_answered = true; });
  // What was kept of them comes before the answer.
  const auto end = session.wait([&] { return is_answered; });
  if (end == Session::End::signal) Signals::die_by(session.signal());
  if (end == Session::End::lost) return fail(session.lost_error());
  return {};
}

int worker_log(App& app, Session& session, const std::string& worker, const LogsCommand& command) {
  std::set<JobId> known;
  session.event = [&app](const JobId& job, uint32_t attempt, JobEvent& event) {
    if (is_line(event)) show_line(app, job, attempt, event, true);
  };
  Feed feed(app, session, command.follow,
            [&](const protocol::GridEvent& event) { return event.worker == worker; });
  const int exit = follow_feed(app, session, feed, command.limit, command.follow,
                               [&] { return listen_to_jobs(session, worker, known); });
  session.event = nullptr;
  return exit;
}

// The name of the worker that is meant; empty: it is none.
Result<std::string> worker_named(Session& session, const std::string& subject) {
  protocol::Query query;
  query.what = protocol::Query::What::workers;
  auto answer = session.ask(std::move(query));
  if (!answer) return fail(answer.error());
  for (const protocol::WorkerView& worker : answer->workers) {
    if (worker.facts.name == subject || worker.facts.id.str() == subject) return worker.facts.name;
  }
  return std::string();
}

// The states of every job are for `events`.
bool is_of_the_log(const protocol::GridEvent& event) {
  static const std::set<std::string> kStates{"job_queued", "job_waiting", "job_running",
                                             "job_succeeded"};
  return !kStates.contains(event.name);
}

}  // namespace

int run(App& app, const EventsCommand& command) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  if (command.follow) (*session)->end_with_reader();
  Feed feed(app, **session, command.follow, [](const protocol::GridEvent&) { return true; });
  return follow_feed(app, **session, feed, command.limit, command.follow);
}

int run(App& app, const LogsCommand& command) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  if (command.follow) (*session)->end_with_reader();
  const std::string& subject = command.subject;
  if (subject.empty()) {
    Feed feed(app, **session, false, is_of_the_log);
    return follow_feed(app, **session, feed, command.limit, command.follow);
  }
  if (subject != "last" && !JobId::parse(subject)) {
    auto worker = worker_named(**session, subject);
    if (!worker) return fail_with(app, worker.error());
    if (!worker->empty()) return worker_log(app, **session, *worker, command);
  }
  auto job = (*session)->resolve({subject});
  if (!job) {
    Error error = job.error();
    if (error.code == Errc::not_found) {
      error.message = "neither a job nor a worker: " + error.message;
      error.hint = "see 'zgrid jobs' and 'zgrid workers'";
    }
    return fail_with(app, error);
  }
  return job_log(app, **session, job->front(), command.follow);
}

}  // namespace zgrid::cli
