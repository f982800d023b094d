// wait, result, cancel, attach: what is done with jobs that were submitted before.
#include <algorithm>

#include "client/cli/collector.h"
#include "client/cli/selection.h"
#include "client/cli/text.h"

namespace zgrid::cli {
namespace {

int wait_for(App& app, const Selection& selection, const Show& show, bool events) {
  auto opened = open_jobs(app, selection);
  if (!opened) return fail_with(app, opened.error());
  Session& session = *opened->session;
  Collector collector(app, session, show);
  if (events) {
    session.event = [&app](const JobId& job, uint32_t attempt, JobEvent& event) {
      app.out.event(job, attempt, event);
    };
  }
  for (const JobId& job : opened->jobs) collector.expect(job);
  size_t answers_due = 0;
  watch_all(session, opened->jobs, events, answers_due, nullptr);
  const auto end = session.wait([&] { return collector.is_done() && answers_due == 0; });
  session.event = nullptr;
  return finish(session, collector, end);
}

}  // namespace

int run(App& app, const WaitCommand& command) {
  Show show;
  show.outputs = false;
  return wait_for(app, command.jobs, show, false);
}

int run(App& app, const AttachCommand& command) {
  return wait_for(app, command.jobs, Show{}, true);
}

int run(App& app, const ResultCommand& command) {
  auto opened = open_jobs(app, command.jobs);
  if (!opened) return fail_with(app, opened.error());
  Session& session = *opened->session;
  Show show;
  show.in_order = !app.globals.json;
  Collector collector(app, session, show);
  for (const JobId& job : opened->jobs) collector.expect(job);
  std::vector<JobState> unfinished;
  size_t answers_due = 0;
  watch_all(session, opened->jobs, false, answers_due, [&](const protocol::WatchAck::Item& item) {
    if (!item.known || is_terminal(item.status)) return;
    unfinished.push_back({item.job, item.status});
    session.connection().unwatch(std::span<const JobId>(&item.job, 1));
    collector.drop(item.job);
  });
  const auto end = session.wait([&] { return collector.is_done() && answers_due == 0; });
  const int exit = finish(session, collector, end);
  if (end != Session::End::done || unfinished.empty()) return exit;
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
  if (end == Session::End::done && !stopping.empty()) {
    watch_all(session, stopping, false, answers_due, nullptr);
    end = session.wait([&] {
      return std::all_of(stopping.begin(), stopping.end(),
                         [&](const JobId& job) { return is_terminal(states[job]); });
    });
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
