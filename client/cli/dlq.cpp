// dlq: jobs that were set aside, because they lost their worker again and again.
#include <algorithm>
#include <unordered_set>

#include "client/cli/rerun.h"
#include "client/cli/selection.h"

namespace zgrid::cli {
namespace {

Result<std::vector<protocol::JobSummary>> list(Session& session, uint32_t limit,
                                               const std::string& run) {
  protocol::Query query;
  query.limit = limit;
  query.run = run;
  query.states = {JobStatus::dead_letter};
  auto answer = session.ask(std::move(query));
  if (!answer) return fail(answer.error());
  return std::move(answer->jobs);
}

// Errc::not_found unless it is on the list.
Result<void> check_dead(const protocol::JobSummary& job) {
  if (job.status == JobStatus::dead_letter) return {};
  return fail(Errc::not_found,
              "job " + job.job.str() + " is not on the dead-letter list: it is " +
                  std::string(status_name(job.status)),
              "'zgrid dlq ls' shows the list; 'zgrid retry' runs any ended job again");
}

struct Chosen {
  Session::Ptr session;
  std::vector<JobId> jobs;  // each once, oldest first or as they were named
};
Result<Chosen> choose(App& app, const Selection& jobs, bool all) {
  if (all != jobs.selectors.empty()) {
    return fail(Errc::usage, all ? "either jobs or --all" : "which job is missing",
                "give ids, unique tails of ids, last, - or --all");
  }
  auto selectors = read_selectors(app, jobs);
  if (!selectors) return fail(selectors.error());
  auto session = Session::open(app);
  if (!session) return fail(session.error());
  Chosen chosen{std::move(*session), {}};
  if (all) {
    auto dead = list(*chosen.session, 0, {});
    if (!dead) return fail(dead.error());
    for (auto job = dead->rbegin(); job != dead->rend(); ++job) chosen.jobs.push_back(job->job);
    if (chosen.jobs.empty()) app.out.note("the dead-letter list is empty");
    return chosen;
  }
  auto found = chosen.session->look_up(*selectors);
  if (!found) return fail(found.error());
  std::unordered_set<JobId> seen;
  for (const protocol::JobSummary& job : *found) {
    if (auto ok = check_dead(job); !ok) return fail(ok.error());
    if (seen.insert(job.job).second) chosen.jobs.push_back(job.job);
  }
  return chosen;
}

// Takes jobs off the list: what stays known is id, key and state.
Result<void> purge(Session& session, const std::vector<JobId>& jobs) {
  size_t due = 0;
  std::optional<Error> problem;
  for (size_t at = 0; at < jobs.size(); at += limits::kBatchItemsMax) {
    const size_t end = std::min(jobs.size(), at + limits::kBatchItemsMax);
    ++due;
    session.connection().purge(
        {jobs.begin() + static_cast<ptrdiff_t>(at), jobs.begin() + static_cast<ptrdiff_t>(end)},
        session.answer_deadline(), [&](Result<std::vector<protocol::CancelAck::Item>> items) {
          --due;
          if (!items) problem = items.error();
        });
  }
  const auto end = session.wait([&due] { return due == 0; });
  if (session.signal() != 0) Signals::die_by(session.signal());
  if (end == Session::End::lost) return fail(session.lost_error());
  if (problem) return fail(*problem);
  if (end == Session::End::done) return {};
  return fail(Errc::timeout, "the broker did not answer within --timeout", {}, Effect::unknown);
}

}  // namespace

int run(App& app, const DlqListCommand& command) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  // One more than is shown tells whether there are more.
  const bool is_bounded = command.limit != 0 && command.limit != UINT32_MAX;
  auto jobs = list(**session, is_bounded ? command.limit + 1 : 0, command.run);
  if (!jobs) return fail_with(app, jobs.error());
  const bool has_more = is_bounded && jobs->size() > command.limit;
  if (has_more) jobs->resize(command.limit);
  app.out.dead_letters(*jobs);
  if (has_more) {
    app.out.note("the newest " + std::to_string(command.limit) + "; --limit 0 shows all");
  }
  return 0;
}

int run(App& app, const DlqShowCommand& command) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  auto found = (*session)->look_up({command.job});
  if (!found) return fail_with(app, found.error());
  const JobId job = found->front().job;
  if (auto ok = check_dead(found->front()); !ok) return fail_with(app, ok.error());
  std::optional<JobResult> result;
  bool is_unknown = false;
  (*session)->result = [&](const client::ResultView& view) { result = JobResult::take(view); };
  (*session)->unknown = [&](const JobId&) { is_unknown = true; };
  Watching watching;
  // Who asks once hears of a late answer, too.
  watch_all(**session, {job}, false, watching, [](const protocol::WatchAck::Item&) {});
  const auto end = wait_watching(**session, watching, [&] { return result || is_unknown; });
  (*session)->result = nullptr;
  (*session)->unknown = nullptr;
  if ((*session)->signal() != 0) Signals::die_by((*session)->signal());
  if (end == Session::End::lost) return fail_with(app, (*session)->lost_error());
  if (watching.problem) return fail_with(app, *watching.problem);
  if (end == Session::End::timeout) {
    return fail_with(
        app, {Errc::timeout, "the broker did not answer within --timeout", "", Effect::none, 0});
  }
  if (!result || result->entry.purged) {
    return fail_with(app, {Errc::not_found, "job " + job.str() + " was purged",
                           "only its id, key and state are known", Effect::none, 0});
  }
  app.out.details(*result);
  return 0;
}

int run(App& app, const DlqRetryCommand& command) {
  auto chosen = choose(app, command.jobs, command.all);
  if (!chosen) return fail_with(app, chosen.error());
  if (chosen->jobs.empty()) {
    if (command.detach) app.out.accepted({});
    return 0;
  }
  Rerun rerun;
  rerun.detach = command.detach;
  rerun.once = true;
  rerun.lines = command.all;
  // Their successors run: the list is for what still waits for somebody.
  rerun.accepted = [&](const std::vector<JobId>& old) {
    if (auto ok = purge(*chosen->session, old); !ok) {
      app.out.note("they run again, but stay on the list: " + ok.error().message);
    }
  };
  return rerun_jobs(app, *chosen->session, chosen->jobs, rerun);
}

int run(App& app, const DlqPurgeCommand& command) {
  auto chosen = choose(app, command.jobs, command.all);
  if (!chosen) return fail_with(app, chosen.error());
  if (!chosen->jobs.empty()) {
    if (auto ok = purge(*chosen->session, chosen->jobs); !ok) return fail_with(app, ok.error());
    app.out.note("purged " + std::to_string(chosen->jobs.size()) + " dead-lettered job" +
                 (chosen->jobs.size() == 1 ? "" : "s"));
  }
  if (!app.globals.json) return 0;
  std::vector<JobState> states;
  for (const JobId& job : chosen->jobs) states.push_back({job, JobStatus::dead_letter});
  app.out.cancelled(states);
  return 0;
}

}  // namespace zgrid::cli
