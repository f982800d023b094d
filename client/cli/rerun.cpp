#include "client/cli/rerun.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "client/cli/selection.h"
#include "client/cli/submit.h"
#include "protocol/hash.h"

namespace zgrid::cli {
namespace {

using protocol::Retry;
using protocol::RetryAck;

// Asks until every job was accepted or refused for good.
class Asking {
 public:
  Asking(App& app, Session& session, const std::vector<JobId>& jobs, bool once)
      : app_(app), session_(session), connection_(session.connection()) {
    client::JobIds ids;
    for (const JobId& job : jobs) {
      const JobId fresh = once ? protocol::child_id(job, {}) : ids.next(connection_.now().wall);
      new_ids_.emplace(job, fresh);
      open_.push_back({job, fresh});
    }
    begun_ = connection_.now().mono;
    deadline_ = session.acknowledged_by();
  }

  Session::End run() {
    while (!open_.empty()) {
      send();
      auto end = session_.wait([this] { return due_ == 0; });
      if (end != Session::End::done || open_.empty()) return end;
      if (!noted_ && connection_.now().mono - begun_ >= Micros(kWhyAfter)) {
        note_no_room(app_, *full_);
        noted_ = true;
      }
      bool is_time = false;
      end = session_.wait([&] { return is_time; }, again_at_, [&] { is_time = true; });
      if (end != Session::End::done) return end;
    }
    return Session::End::done;
  }

  // Old job to new one.
  [[nodiscard]] const std::unordered_map<JobId, JobId>& accepted() const { return accepted_; }
  [[nodiscard]] const std::optional<Error>& refusal() const { return refusal_; }
  // Why the rest was not accepted yet, if the broker said so.
  [[nodiscard]] const std::optional<Error>& full() const { return full_; }

 private:
  void send() {
    auto items = std::exchange(open_, {});
    again_at_ = MonoTime::never();
    for (size_t at = 0; at < items.size(); at += limits::kBatchItemsMax) {
      const size_t end = std::min(items.size(), at + limits::kBatchItemsMax);
      ++due_;
      connection_.retry(
          {items.begin() + static_cast<ptrdiff_t>(at), items.begin() + static_cast<ptrdiff_t>(end)},
          deadline_, [this](Result<std::vector<RetryAck::Item>> answer) {
            --due_;
            if (!answer) return refuse(answer.error());
            for (const RetryAck::Item& item : *answer) on_item(item);
          });
    }
  }

  void on_item(const RetryAck::Item& item) {
    if (!item.error) {
      accepted_.emplace(item.job, item.new_id);
      return;
    }
    const auto asked = new_ids_.find(item.job);
    if (client::is_passing(*item.error) && asked != new_ids_.end()) {
      const MonoTime at =
          client::next_try(*item.error, asked->second, connection_.now().mono, deadline_);
      if (at != MonoTime::never()) {
        full_ = item.error;
        again_at_ = std::min(again_at_, at);
        open_.push_back({asked->first, asked->second});
        return;
      }
    }
    refuse(*item.error);
  }

  void refuse(const Error& error) {
    app_.out.error(error);
    if (!refusal_) refusal_ = error;
  }

  App& app_;
  Session& session_;
  client::Connection& connection_;
  MonoTime begun_, deadline_, again_at_ = MonoTime::never();
  std::vector<Retry::Item> open_;                        // to be asked (again)
  std::unordered_map<JobId, JobId> new_ids_, accepted_;  // of old jobs
  std::optional<Error> refusal_, full_;
  size_t due_ = 0;
  bool noted_ = false;
};

// The exit code of an asking that ended early; what was accepted has been told.
int not_all_accepted(App& app, Session& session, Session::End end, const Asking& asking) {
  const std::string message = "not every retry was acknowledged";
  const std::string hint = "some may have been accepted: look with 'zgrid jobs'";
  switch (end) {
    case Session::End::done: break;
    case Session::End::lost: return fail_with(app, session.lost_error());
    case Session::End::signal:
      app.out.note(message + " yet; " + hint);
      Signals::die_by(session.signal());
    case Session::End::timeout:
      if (asking.full()) return fail_with(app, *asking.full());
      return fail_with(app,
                       {Errc::timeout, message + " within --timeout", hint, Effect::unknown, 0});
  }
  return exit_code(Errc::internal);
}

}  // namespace

int rerun_jobs(App& app, Session& session, const std::vector<JobId>& jobs, const Rerun& rerun) {
  Show show;
  show.in_order = !app.globals.json;
  if (jobs.size() > 1 || rerun.lines) show.layout = Layout::lines;
  Collector collector(app, session, show);
  Asking asking(app, session, jobs, rerun.once);
  auto end = asking.run();
  std::vector<JobId> old, fresh;
  std::vector<JobState> states;
  for (const JobId& job : jobs) {
    const auto found = asking.accepted().find(job);
    if (found == asking.accepted().end()) continue;
    old.push_back(job);
    fresh.push_back(found->second);
    states.push_back({found->second, JobStatus::queued, job});
  }
  if (end != Session::End::done) {
    app.out.accepted(states);  // they go on, and nobody waits for them
    return not_all_accepted(app, session, end, asking);
  }
  const int refused = asking.refusal() ? exit_code(asking.refusal()->code) : 0;
  if (rerun.detach) app.out.accepted(states);
  if (rerun.accepted && !old.empty()) rerun.accepted(old);
  if (rerun.detach) return refused;
  for (const JobId& job : fresh) collector.expect(job);
  Watching watching;
  watch_all(session, fresh, false, watching, nullptr);
  end = wait_watching(
      session, watching, [&] { return collector.is_done(); },
      session.connection().deadline_in(kWhyAfter),
      [&] { ask_why(app, session, collector.open_jobs()); });
  const int exit = finish(app, session, collector, watching, end);
  return refused != 0 ? refused : exit;
}

int run(App& app, const RetryCommand& command) {
  auto opened = open_jobs(app, command.jobs);
  if (!opened) return fail_with(app, opened.error());
  Rerun rerun;
  rerun.detach = command.detach;
  rerun.lines = !command.jobs.run.empty();
  return rerun_jobs(app, *opened->session, opened->jobs, rerun);
}

}  // namespace zgrid::cli
