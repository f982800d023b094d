#include "client/cli/bulk_run.h"

#include <unistd.h>

#include <algorithm>

#include "client/cli/text.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

Progress::Form form_of(const App& app, const Bulk& bulk) {
  if (!bulk.progress || app.globals.quiet) return Progress::Form::none;
  const auto term = app.env.variables.find("TERM");
  const bool is_dumb = term != app.env.variables.end() && term->second == "dumb";
  const bool is_terminal = ::isatty(STDERR_FILENO) == 1 && !is_dumb;
  return is_terminal ? Progress::Form::bar : Progress::Form::lines;
}

// Whether the next job may fare better than this one.
bool is_of_one_job(const Error& error) {
  return error.code == Errc::conflict || error.code == Errc::bad_input ||
         error.code == Errc::too_large;
}

}  // namespace

void ExitTally::add(JobStatus status) {
  const int exit = exit_of(status);
  any_dead_ |= exit == 4;
  any_failed_ |= exit == 1;
  any_cancelled_ |= exit == 3;
  if (exit == 1 || exit == 4) failed_.insert(status);
}

std::string ExitTally::failed_option() const {
  std::string text;
  for (const JobStatus status : failed_) {
    text += (text.empty() ? " --state " : ",") + std::string(status_name(status));
  }
  return text;
}

int ExitTally::exit() const { return any_dead_ ? 4 : any_failed_ ? 1 : any_cancelled_ ? 3 : 0; }

BulkRun::BulkRun(App& app, Session& session, PreparedBulk bulk, bool is_private)
    : app_(app),
      session_(session),
      bulk_(std::move(bulk)),
      is_private_(is_private),
      progress_(form_of(app, bulk_.command.bulk), STDERR_FILENO, session.connection().now().mono),
      begun_(session.connection().now().mono),
      order_(kHeldBytesMax) {
  const SubmitCommand& command = bulk_.command;
  flags_.watch = !command.detach;
  flags_.events = command.follow && !command.detach;
  flags_.rerun_failed = command.rerun_failed;
  flags_.retry_full = !command.no_queue;
  session_.accepted = [this](const client::Accepted& accepted) { on_accepted(accepted); };
  session_.refused = [this](const JobId& job, const Error& error) { on_refused(job, error); };
  session_.result = [this](const client::ResultView& view) { on_result(view); };
  session_.unknown = [this](const JobId& job) { on_unknown(job); };
  if (flags_.events) {
    session_.event = [this](const JobId& job, uint32_t attempt, JobEvent& event) {
      const auto found = open_.find(job);
      const std::string name =
          found == open_.end() ? short_id(job.str()) : std::to_string(found->second.index);
      out().event(job, attempt, event, "[" + name + "] ");
    };
  }
}

BulkRun::~BulkRun() {
  session_.accepted = nullptr;
  session_.refused = nullptr;
  session_.result = nullptr;
  session_.unknown = nullptr;
  session_.event = nullptr;
}

// Whatever is written next stands where the bar was.
Renderer& BulkRun::out() {
  progress_.hide();
  return app_.out;
}

bool BulkRun::in_order() const {
  return bulk_.command.detach || (!app_.globals.json && !bulk_.folder);
}

Counts BulkRun::counts() const {
  Counts counts = counts_;
  counts.total = bulk_.source.total();
  if (is_read_) counts.total = window_.submitted_so_far();
  return counts;
}

int BulkRun::run() {
  if (!is_private_) out().note("run " + bulk_.command.run);
  while (true) {
    fill();
    flush();
    if (is_done()) return finish();
    const MonoTime now = session_.connection().now().mono;
    notes(now);
    progress_.draw(counts(), now);
    const auto end = session_.turn(nap(), must_wait_ ? bulk_.source.fd() : -1);
    if (end != Session::End::done) return interrupted(end);
  }
}

bool BulkRun::is_done() const {
  return is_read_ && window_.open() == 0 && (!in_order() || order_.empty());
}

// How long nothing has to be done unless something comes.
Millis BulkRun::nap() const {
  if (!is_read_ && !must_wait_ && window_.has_room()) return Millis{0};
  MonoTime due = progress_.next();
  if (!is_why_told_) due = std::min(due, begun_ + Micros(kWhyAfter));
  if (no_room_since_ != MonoTime::never()) {
    due = std::min(due, no_room_since_ + Micros(kWhyAfter));
  }
  constexpr Millis kNap{60'000};
  if (due == MonoTime::never()) return kNap;
  const auto left = std::chrono::ceil<Millis>(due - session_.connection().now().mono);
  return std::clamp(left, Millis{1}, kNap);
}

// ---- submitting -------------------------------------------------------------------------

void BulkRun::fill() {
  must_wait_ = false;
  for (size_t i = 0; i < kItemsOfTurn && !is_read_ && window_.has_room(); ++i) {
    if (!read_one()) return;
  }
}

// False if no more can be read now.
bool BulkRun::read_one() {
  Item item;
  auto got = bulk_.source.next(item);
  if (!got) {
    stop_reading(got.error());
    return false;
  }
  switch (*got) {
    case BulkSource::Got::item: submit(item); return !is_read_;
    case BulkSource::Got::later: must_wait_ = true; return false;
    case BulkSource::Got::end: is_read_ = true; return false;
  }
  return false;
}

void BulkRun::submit(Item& item) {
  auto input = bulk_.maker.make(item);
  if (!input) {
    Error error = input.error();
    error.message = bulk_.source.where(item.index) + ": " + error.message;
    return stop_reading(error);
  }
  const JobId id = ids_.next(session_.connection().now().wall);
  Open open;
  open.index = last_index_ = item.index;
  open.input = std::move(*input);
  open.place = window_.submitted(open.input.data.size());
  send(id, open_.emplace(id, std::move(open)).first->second);
}

void BulkRun::send(const JobId& id, const Open& open) {
  client::Submission submission;
  submission.spec = bulk_.spec;
  submission.entry.id = id;
  submission.entry.input = open.input;
  submission.entry.index = open.index;
  if (!bulk_.command.key.empty()) {
    submission.entry.key = bulk_.command.key + "/" + std::to_string(open.index);
  }
  session_.connection().submit(std::move(submission), flags_, session_.acknowledged_by());
}

// What was submitted before goes on.
void BulkRun::stop_reading(const Error& error) {
  is_read_ = true;
  Error told = error;
  if (window_.submitted_so_far() > 0) {
    told.message += "; " + std::to_string(window_.submitted_so_far()) + " before it were submitted";
  }
  out().error(told);
  if (!problem_) problem_ = error;
}

// ---- what the broker says ---------------------------------------------------------------

// It is not under way any more.
void BulkRun::settle(Jobs::iterator job) {
  if (!job->second.is_acknowledged) {
    window_.acknowledged(job->second.input.data.size());
  } else {
    --open_accepted_;
  }
  window_.ended();
  open_.erase(job);
}

void BulkRun::on_accepted(const client::Accepted& accepted) {
  const auto found = open_.find(accepted.submitted);
  if (found == open_.end()) return;  // its result came first
  ++accepted_;
  if (first_.is_nil()) first_ = accepted.job;
  if (bulk_.command.detach) {
    const JobState state{accepted.job, accepted.status, {}, found->second.index};
    order_.put(found->second.place, accepted.job, Shown{std::nullopt, state}, 0);
    ++counts_.succeeded;
    return settle(found);
  }
  Open open = std::move(found->second);
  window_.acknowledged(open.input.data.size());
  open.input = {};
  open.is_acknowledged = true;
  ++open_accepted_;
  open_.erase(found);
  // Another job's id, if the key was known.
  open_.emplace(accepted.job, std::move(open));
  if (is_stopping_) cancel({accepted.job});
}

void BulkRun::on_refused(const JobId& job, const Error& error) {
  const auto found = open_.find(job);
  if (found == open_.end()) return;
  // The broker stayed full for as long as one submit waits; but our own jobs will make room.
  if (client::is_passing(error) && flags_.retry_full && open_accepted_ > 0 && !is_stopping_) {
    return send(job, found->second);
  }
  const uint64_t place = found->second.place;
  const uint64_t index = found->second.index;
  settle(found);
  place_nothing(place);
  ++refused_;
  if (refused_ <= kFailuresShown) {
    Error told = is_private_ ? refusal_on_private_grid(error, bulk_.command.kind) : error;
    told.message = bulk_.source.where(index) + ": " + told.message;
    out().error(told);
  }
  if (!problem_) problem_ = error;
  if (!is_of_one_job(error)) is_read_ = true;  // the others would fare the same
  count_failure();
}

void BulkRun::on_result(const client::ResultView& view) {
  JobResult result = JobResult::take(view);
  const JobId job = result.entry.job;
  if (const auto fetched = fetching_.find(job); fetched != fetching_.end()) {
    const uint64_t at = fetched->second;
    fetching_.erase(fetched);
    return place(at, std::move(result));
  }
  const auto found = open_.find(job);
  if (found == open_.end()) return;
  const uint64_t at = found->second.place;
  if (!found->second.is_acknowledged) ++accepted_;
  settle(found);
  count(result);
  if (in_order()) return place(at, std::move(result));
  show(result);
}

// It was submitted long ago, and forgotten between its acknowledgement and our question.
void BulkRun::on_unknown(const JobId& job) {
  const Error error{Errc::not_found, "no job " + job.str(), "see 'zgrid jobs'", Effect::none, 0};
  uint64_t at = 0;
  if (const auto fetched = fetching_.find(job); fetched != fetching_.end()) {
    at = fetched->second;
    fetching_.erase(fetched);
  } else if (const auto found = open_.find(job); found != open_.end()) {
    at = found->second.place;
    settle(found);
    ++counts_.failed;
  } else {
    return;
  }
  place_nothing(at);
  out().error(error);
  if (!problem_) problem_ = error;
}

// ---- failures ---------------------------------------------------------------------------

void BulkRun::count(const JobResult& result) {
  tally_.add(result.status());
  if (result.status() == JobStatus::succeeded) {
    ++counts_.succeeded;
  } else if (result.status() == JobStatus::cancelled) {
    ++counts_.failed;  // but nothing that went wrong
    ++cancelled_;
  } else {
    count_failure();
  }
}

void BulkRun::count_failure() {
  ++counts_.failed;
  const auto& max = bulk_.command.bulk.max_fails;
  if (max && counts_.failed - cancelled_ > *max && !is_stopping_) cancel_rest();
}

void BulkRun::cancel_rest() {
  is_stopping_ = true;
  is_read_ = true;
  out().note("more than " + std::to_string(*bulk_.command.bulk.max_fails) +
             " failed: the rest of run " + bulk_.command.run + " is cancelled");
  std::vector<JobId> jobs;
  for (const auto& [job, open] : open_) {
    // The others follow when they are accepted.
    if (open.is_acknowledged) jobs.push_back(job);
    if (jobs.size() == limits::kBatchItemsMax) cancel(std::exchange(jobs, {}));
  }
  cancel(std::move(jobs));
}

// The answer needs no handling: each job's end arrives as its result.
void BulkRun::cancel(std::vector<JobId> jobs) {
  if (jobs.empty()) return;
  session_.connection().cancel(std::move(jobs), MonoTime::never(),
                               [](const Result<std::vector<protocol::CancelAck::Item>>&) {});
}

// ---- the end ----------------------------------------------------------------------------

int BulkRun::finish() {
  progress_.hide();
  if (window_.submitted_so_far() == 0 && !problem_) {
    app_.out.note("the input has no item: there was nothing to submit");
  }
  if (!is_private_ && !bulk_.command.detach) tell_summary();
  if (bulk_.folder && !problem_ && !is_stopping_) tell_of_others();
  return problem_ ? exit_code(problem_->code) : tally_.exit();
}

int BulkRun::interrupted(Session::End end) {
  progress_.hide();
  if (is_private_) {
    const std::string text = so_far() + "; the rest ended with its private grid";
    if (end == Session::End::lost) return fail_with(app_, session_.lost_error());
    if (end == Session::End::timeout) {
      return fail_with(app_, {Errc::timeout, text, "", Effect::happened, 0});
    }
    app_.out.note(text);
    return 128 + session_.signal();
  }
  switch (end) {
    case Session::End::done: return finish();
    case Session::End::signal:
      app_.out.note(so_far() + (accepted_ > 0 ? ", the others go on; " : "; ") + how_to_go_on());
      return 128 + session_.signal();
    case Session::End::timeout:
      if (const Error* reason = session_.connection().waits_for_room();
          reason != nullptr && accepted_ == 0) {
        return fail_with(app_, *reason);
      }
      return fail_with(app_, {Errc::timeout,
                              so_far() + " within the --timeout of " +
                                  format_duration(app_.globals.timeout.value_or(Millis{0})),
                              how_to_go_on(), Effect::happened, 0});
    case Session::End::lost: {
      Error error = session_.lost_error();
      error.message += "; " + so_far();
      error.hint = "once the broker is back: " + how_to_go_on();
      return fail_with(app_, error);
    }
  }
  return exit_code(Errc::internal);
}

int submit_bulk(App& app, Session& session, PreparedBulk bulk, bool is_private) {
  return BulkRun(app, session, std::move(bulk), is_private).run();
}

}  // namespace zgrid::cli
