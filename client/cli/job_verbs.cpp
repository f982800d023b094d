// wait, result, cancel, attach: what is done with jobs that were submitted before.
#include <algorithm>

#include "client/cli/collector.h"
#include "client/cli/selection.h"
#include "client/cli/text.h"

namespace zgrid::cli {
namespace {

// Whether the outputs are those of several jobs. A run counts as several, however many it has.
bool is_of_many(const Opened& opened, const Selection& selection) {
  return opened.jobs.size() > 1 || !selection.run.empty();
}

int wait_for(App& app, const Selection& selection, Show show, bool events) {
  auto opened = open_jobs(app, selection);
  if (!opened) return fail_with(app, opened.error());
  if (is_of_many(*opened, selection)) show.layout = Layout::lines;
  Session& session = *opened->session;
  Collector collector(app, session, show);
  if (events) {
    if (app.globals.json) session.end_with_reader();  // else the events are on stderr
    const bool is_one = opened->jobs.size() == 1;
    session.event = [&app, is_one](const JobId& job, uint32_t attempt, JobEvent& event) {
      app.out.event(job, attempt, event, is_one ? "" : label_of(job.str()));
    };
  }
  for (const JobId& job : opened->jobs) collector.expect(job);
  Watching watching;
  watch_all(session, opened->jobs, events, watching, nullptr);
  const auto end = wait_watching(session, watching, [&] { return collector.is_done(); });
  session.event = nullptr;
  return finish(app, session, collector, watching, end);
}

}  // namespace

int run(App& app, const WaitCommand& command) {
  Show show;
  show.outputs = false;
  return wait_for(app, command.jobs, show, false);
}

int run(App& app, const AttachCommand& command) {
  Show show;
  show.in_order = !app.globals.json;
  return wait_for(app, command.jobs, show, true);
}

int run(App& app, const ResultCommand& command) {
  auto opened = open_jobs(app, command.jobs);
  if (!opened) return fail_with(app, opened.error());
  Session& session = *opened->session;
  Show show;
  show.in_order = !app.globals.json;
  if (is_of_many(*opened, command.jobs)) show.layout = Layout::lines;
  Collector collector(app, session, show);
  for (const JobId& job : opened->jobs) collector.expect(job);
  std::vector<JobState> unfinished;
  Watching watching;
  watch_all(session, opened->jobs, false, watching, [&](const protocol::WatchAck::Item& item) {
    if (!item.known || is_terminal(item.status)) return;
    unfinished.push_back({item.job, item.status});
    session.connection().unwatch(std::span<const JobId>(&item.job, 1));
    collector.drop(item.job);
  });
  const auto end = wait_watching(session, watching, [&] { return collector.is_done(); });
  const int exit = finish(app, session, collector, watching, end);
  if (watching.problem || end != Session::End::done || unfinished.empty()) return exit;
  const JobState& first = unfinished.front();
  return fail_with(
      app, {Errc::not_ready,
            "job " + first.job.str() + " is " + std::string(status_name(first.status)) +
                (unfinished.size() > 1
                     ? ", and " + std::to_string(unfinished.size() - 1) + " more have not ended"
                     : ""),
            "zgrid wait " + short_id(first.job.str()), Effect::none, 0});
}

int run(App& app, const CancelCommand& command) {
  auto opened = open_jobs(app, command.jobs);
  if (!opened) return fail_with(app, opened.error());
  Session& session = *opened->session;
  Show show;
  show.outputs = false;
  std::unordered_map<JobId, JobStatus> states;
  std::vector<JobId> stopping;
  std::optional<Error> problem;
  size_t answers_due = 0;
  auto& connection = session.connection();
  for (size_t at = 0; at < opened->jobs.size(); at += limits::kBatchItemsMax) {
    const size_t stop = std::min(opened->jobs.size(), at + limits::kBatchItemsMax);
    ++answers_due;
    connection.cancel({opened->jobs.begin() + static_cast<ptrdiff_t>(at),
                       opened->jobs.begin() + static_cast<ptrdiff_t>(stop)},
                      session.answer_deadline(),
                      [&](Result<std::vector<protocol::CancelAck::Item>> items) {
                        --answers_due;
                        if (!items) {
                          problem = items.error();
                          return;
                        }
                        for (const auto& item : *items) {
                          if (!item.known) continue;
                          states[item.job] = item.status;
                          if (!is_terminal(item.status)) stopping.push_back(item.job);
                        }
                      });
  }
  auto end = session.wait([&] { return answers_due == 0; });
  if (session.signal() != 0) Signals::die_by(session.signal());
  if (end == Session::End::lost) return fail_with(app, session.lost_error());
  if (problem) return fail_with(app, *problem);

  // Those that run are cancelled when their process groups are gone.
  session.result = [&](const client::ResultView& view) {
    states[view.entry.job] = view.entry.outcome.status;
  };
  // It ended, and was forgotten before we asked.
  session.unknown = [&](const JobId& job) {
    std::erase(stopping, job);
    states.erase(job);
  };
  if (end == Session::End::done && !stopping.empty()) {
    Watching watching;
    watch_all(session, stopping, false, watching, nullptr);
    end = wait_watching(session, watching, [&] {
      return std::all_of(stopping.begin(), stopping.end(),
                         [&](const JobId& job) { return is_terminal(states[job]); });
    });
    if (watching.problem) return fail_with(app, *watching.problem);
    if (session.signal() != 0) Signals::die_by(session.signal());
  }
  std::vector<JobState> shown;
  int exit = 0;
  for (const JobId& job : opened->jobs) {
    const auto state = states.find(job);
    if (state == states.end()) {
      exit = fail_with(
          app, {Errc::not_found, "no job " + job.str(), "see 'zgrid jobs'", Effect::none, 0});
      continue;
    }
    shown.push_back({job, state->second});
    if (state->second != JobStatus::cancelled && exit == 0) exit = 1;
  }
  app.out.cancelled(shown);
  if (end == Session::End::lost) return fail_with(app, session.lost_error());
  if (end == Session::End::timeout) {
    return fail_with(app, {Errc::timeout,
                           "job " + stopping.front().str() +
                               " has not ended within --timeout; its cancellation goes on",
                           "", Effect::happened, 0});
  }
  return exit;
}

}  // namespace zgrid::cli
