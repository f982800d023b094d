#include "client/cli/collector.h"

#include <algorithm>

#include "client/cli/text.h"
#include "protocol/base/units.h"

namespace zgrid::cli {

Collector::Collector(App& app, Session& session, const Show& show)
    : app_(app), session_(session), show_(show) {
  session_.result = [this](const client::ResultView& view) { on_result(view); };
  session_.unknown = [this](const JobId& job) {
    if (!open_.contains(job)) return;
    any_missing_ = true;
    app_.out.error({Errc::not_found, "no job " + job.str(), "see 'zgrid jobs'", Effect::none, 0});
    drop(job);
  };
}

Collector::~Collector() {
  session_.result = nullptr;
  session_.unknown = nullptr;
}

void Collector::expect(const JobId& job) {
  const size_t place = next_place_++;
  const auto early = early_.find(job);
  if (early == early_.end()) {
    open_.emplace(job, place);
    open_places_.insert(place);
    return;
  }
  JobResult result = std::move(early->second);
  early_.erase(early);
  arrived(place, std::move(result));
}

void Collector::drop(const JobId& job) {
  if (const auto found = open_.find(job); found != open_.end()) {
    open_places_.erase(found->second);
    open_.erase(found);
  }
  flush();
}

std::vector<JobId> Collector::open_jobs() const {
  std::vector<std::pair<size_t, JobId>> places;
  for (const auto& [job, place] : open_) places.emplace_back(place, job);
  std::sort(places.begin(), places.end());
  std::vector<JobId> jobs;
  for (const auto& [place, job] : places) jobs.push_back(job);
  return jobs;
}

void Collector::on_result(const client::ResultView& view) {
  JobResult result = JobResult::take(view);
  const JobId job = result.entry.job;
  const auto found = open_.find(job);
  if (found == open_.end()) {
    early_.emplace(job, std::move(result));
    return;
  }
  const size_t place = found->second;
  open_places_.erase(place);
  open_.erase(found);
  arrived(place, std::move(result));
}

void Collector::arrived(size_t place, JobResult result) {
  statuses_.emplace(place, result.status());
  if (!show_.in_order) return show(result);
  held_.emplace(place, std::move(result));
  flush();
}

// Everything that no open job stands before.
void Collector::flush() {
  const size_t first_open = open_places_.empty() ? next_place_ : *open_places_.begin();
  while (!held_.empty() && held_.begin()->first < first_open) {
    const JobResult result = std::move(held_.begin()->second);
    held_.erase(held_.begin());
    show(result);
  }
}

void Collector::show(const JobResult& result) {
  if (result.entry.purged) return show_purged(result);
  show_.outputs ? app_.out.result(result, show_.layout) : app_.out.ended(result);
}

// Its output is gone, whatever the state was: nothing may be taken for an empty one.
void Collector::show_purged(const JobResult& result) {
  any_missing_ = true;
  app_.out.error(client::purged_error(result.entry));
}

int Collector::exit() const {
  if (any_missing_) return exit_code(Errc::not_found);
  std::vector<int> exits;
  for (const auto& [place, status] : statuses_) exits.push_back(exit_of(status));
  return fold_exits(exits);
}

int Collector::interrupted(Session::End end) {
  const std::vector<JobId> open = open_jobs();
  std::string names;
  std::string attach = "zgrid attach";
  constexpr size_t kNamed = 3;
  for (size_t i = 0; i < open.size() && i < kNamed; ++i) {
    names += (i == 0 ? "" : ", ") + open[i].str();
    attach += " " + short_id(open[i].str());
  }
  if (open.size() > kNamed) names += " and " + std::to_string(open.size() - kNamed) + " more";
  const std::string subject = (open.size() == 1 ? "job " : "jobs ") + names;
  if (show_.is_private) return interrupted_private(end, subject);
  const std::string verb = open.size() == 1 ? " goes on" : " go on";
  switch (end) {
    case Session::End::done: return exit();
    case Session::End::signal:
      app_.out.note(subject + verb + "; to follow: " + attach);
      return 128 + session_.signal();
    case Session::End::timeout:
      return fail_with(app_, {Errc::timeout,
                              subject + verb + ": not ended within the --timeout of " +
                                  format_duration(app_.globals.timeout.value_or(Millis{0})),
                              attach, Effect::happened, 0});
    case Session::End::lost: {
      Error error = session_.lost_error();
      error.hint = "once the broker is back: " + attach;
      return fail_with(app_, error);
    }
  }
  return exit_code(Errc::internal);
}

// There is nothing to attach to: the grid goes with this process.
int Collector::interrupted_private(Session::End end, const std::string& subject) {
  switch (end) {
    case Session::End::done: return exit();
    case Session::End::signal:
      app_.out.note(subject + " ended unfinished with its private grid");
      return 128 + session_.signal();
    case Session::End::timeout:
      return fail_with(app_, {Errc::timeout,
                              subject + " did not end within the --timeout of " +
                                  format_duration(app_.globals.timeout.value_or(Millis{0})),
                              "it ended with its private grid", Effect::happened, 0});
    case Session::End::lost: return fail_with(app_, session_.lost_error());
  }
  return exit_code(Errc::internal);
}

}  // namespace zgrid::cli
