#include "client/cli/selection.h"

#include <algorithm>
#include <unordered_set>

#include "client/cli/input.h"

namespace zgrid::cli {
namespace {

// The ids that a selection means, in order. An empty list only for a run none of whose jobs is in
// the wanted states.
Result<std::vector<JobId>> select(App& app, Session& session, const Selection& selection,
                                  const std::vector<std::string>& selectors) {
  auto jobs = session.resolve(selectors);
  if (!jobs || selection.run.empty()) return jobs;

  protocol::Query query;
  query.run = selection.run;
  query.states = selection.states;
  auto answer = session.ask(query);
  if (!answer) return fail(answer.error());
  if (answer->jobs.empty()) {
    query.states.clear();
    query.limit = 1;
    auto any = session.ask(query);
    if (!any) return fail(any.error());
    if (any->jobs.empty()) {
      return fail(Errc::not_found, "no jobs of run '" + selection.run + "'", "see 'zgrid jobs'");
    }
    app.out.note("no job of run '" + selection.run + "' is in that state");
  }
  // Newest first on the wire; people and scripts think in the order of submission.
  for (auto job = answer->jobs.rbegin(); job != answer->jobs.rend(); ++job) {
    jobs->push_back(job->job);
  }
  return jobs;
}

// Checked before anything is connected.
Result<void> check(const Selection& selection) {
  if (selection.selectors.empty() && selection.run.empty()) {
    return fail(Errc::usage, "which job is missing",
                "give an id, a unique tail of one, last, - or --run NAME");
  }
  if (!selection.states.empty() && selection.run.empty()) {
    return fail(Errc::usage, "--state needs --run");
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_selectors(const App& app, const Selection& selection) {
  std::vector<std::string> selectors;
  for (const std::string& selector : selection.selectors) {
    if (selector != "-") {
      selectors.push_back(selector);
      continue;
    }
    auto ids = read_ids_from_stdin(app.globals.timeout);
    if (!ids) return fail(ids.error());
    selectors.insert(selectors.end(), ids->begin(), ids->end());
  }
  if (selectors.empty() && !selection.selectors.empty() && selection.run.empty()) {
    return fail(Errc::not_found, "no ids on stdin",
                "- reads one id a line: did the command before it print any?");
  }
  return selectors;
}

Result<Opened> open_jobs(App& app, const Selection& selection) {
  if (auto ok = check(selection); !ok) return fail(ok.error());
  auto selectors = read_selectors(app, selection);
  if (!selectors) return fail(selectors.error());
  auto session = Session::open(app);
  if (!session) return fail(session.error());
  auto jobs = select(app, **session, selection, *selectors);
  if (!jobs) return fail(jobs.error());
  Opened opened{std::move(*session), {}};
  std::unordered_set<JobId> seen;
  for (const JobId& job : *jobs) {
    if (seen.insert(job).second) opened.jobs.push_back(job);
  }
  return opened;
}

void watch_all(Session& session, const std::vector<JobId>& jobs, bool events, Watching& watching,
               const std::function<void(const protocol::WatchAck::Item&)>& each) {
  for (size_t at = 0; at < jobs.size(); at += limits::kBatchItemsMax) {
    const size_t end = std::min(jobs.size(), at + limits::kBatchItemsMax);
    ++watching.due;
    session.connection().watch(
        {jobs.begin() + static_cast<ptrdiff_t>(at), jobs.begin() + static_cast<ptrdiff_t>(end)},
        events, session.answer_deadline(),
        [&watching, each](Result<std::vector<protocol::WatchAck::Item>> items) {
          --watching.due;
          if (!items) {
            const bool matters = each || items.error().code != Errc::timeout;
            if (matters && !watching.problem) watching.problem = items.error();
            return;
          }
          if (!each) return;
          for (const auto& item : *items) each(item);
        });
  }
}

Session::End wait_watching(Session& session, Watching& watching, const std::function<bool()>& done,
                           MonoTime alarm_at, const std::function<void()>& alarm) {
  const auto end =
      session.wait([&] { return watching.problem.has_value() || (watching.due == 0 && done()); },
                   alarm_at, alarm);
  if (!watching.problem || !session.connection().is_over()) return end;
  watching.problem.reset();
  return end == Session::End::done ? Session::End::lost : end;
}

int finish(App& app, Session& session, Collector& collector, const Watching& watching,
           Session::End end) {
  if (end == Session::End::done && watching.problem) return fail_with(app, *watching.problem);
  const int exit = end == Session::End::done ? collector.exit() : collector.interrupted(end);
  if (session.signal() != 0) Signals::die_by(session.signal());
  return exit;
}

}  // namespace zgrid::cli
