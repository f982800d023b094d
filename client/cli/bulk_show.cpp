// What of a bulk is printed, and when.
#include "client/cli/bulk_run.h"

namespace zgrid::cli {

// Its turn comes later, or now.
void BulkRun::place(uint64_t place, JobResult result) {
  const JobId job = result.entry.job;
  Bytes& output = result.entry.output.data;
  // A small output must not keep the message in which it came.
  if (output.size() <= limits::kInlinePayloadBytesMax) output = output.detach();
  const size_t bytes = sizeof(Shown) + output.size();
  order_.put(place, job, Shown{std::move(result), {}}, bytes);
}

void BulkRun::place_nothing(uint64_t place) {
  if (in_order()) order_.skip(place);
}

// Shows everything whose turn has come.
void BulkRun::flush() {
  if (!in_order()) return window_.shown_until(window_.submitted_so_far());
  std::vector<JobState> states;
  while (auto shown = order_.take()) {
    if (shown->result) {
      show(*shown->result);
    } else {
      states.push_back(shown->state);
    }
  }
  show_ids(states);
  window_.shown_until(order_.next());
  fetch();
}

// One document an id, since nobody knows how many there will be.
void BulkRun::show_ids(std::vector<JobState>& states) {
  if (states.empty()) return;
  if (!app_.globals.json) return out().accepted(states);
  for (const JobState& state : states) out().accepted({state});
}

// Asks again for outputs that had to be let go, as far as there is room for them now.
void BulkRun::fetch() {
  std::vector<JobId> jobs;
  const auto ask = [&] {
    if (jobs.empty()) return;
    session_.connection().watch(std::exchange(jobs, {}), false, MonoTime::never(), nullptr);
  };
  uint64_t place = order_.next();
  while (const auto next = order_.to_fetch(place)) {
    fetching_.emplace(*next, place);
    jobs.push_back(*next);
    if (jobs.size() == limits::kBatchItemsMax) ask();
  }
  ask();
}

void BulkRun::show(const JobResult& result) {
  // Whatever the state was: nothing may be taken for an empty output.
  if (result.entry.purged) {
    const Error error = client::purged_error(result.entry);
    if (!problem_) problem_ = error;
    if (tells_of_failure()) out().error(error);
    return;
  }
  if (bulk_.folder) save(result);
  if (app_.globals.json) return out().result(result, Layout::lines);
  if (result.status() == JobStatus::succeeded) {
    if (!bulk_.folder) out().result(result, Layout::lines);
  } else if (!is_stopping_ || result.status() != JobStatus::cancelled) {
    if (tells_of_failure()) out().ended(result);
  }
}

// True for the first few.
bool BulkRun::tells_of_failure() {
  ++failures_shown_;
  if (failures_shown_ == kFailuresShown + 1) {
    out().note(is_private_ ? "more failures are not shown"
                           : "more failures are not shown; 'zgrid result --run " +
                                 bulk_.command.run + tally_.failed_option() + "' tells of them");
  }
  return failures_shown_ <= kFailuresShown;
}

// A folder that cannot be written would lose one output after another: no more are asked for.
void BulkRun::save(const JobResult& result) {
  const auto saved = bulk_.folder->write(result.entry.index, result);
  if (saved) return;
  if (!problem_ || problem_->code != Errc::io) out().error(saved.error());
  is_read_ = true;
  problem_ = saved.error();
}

// ---- what still waits -------------------------------------------------------------------

void BulkRun::notes(MonoTime now) {
  auto& connection = session_.connection();
  const Error* full = connection.waits_for_room();
  if (full == nullptr) {
    no_room_since_ = MonoTime::never();
  } else if (!is_room_told_) {
    if (no_room_since_ == MonoTime::never()) no_room_since_ = now;
    if (now - no_room_since_ >= Micros(kWhyAfter)) {
      is_room_told_ = true;
      no_room_since_ = MonoTime::never();
      note_no_room(app_, *full);
    }
  }
  if (is_why_told_ || now - begun_ < Micros(kWhyAfter)) return;
  is_why_told_ = true;
  // That later ones wait for earlier ones needs no words.
  if (counts_.done() == 0 && open_.contains(first_)) ask_why(app_, session_, {first_});
}

// ---- the end ----------------------------------------------------------------------------

void BulkRun::tell_summary() {
  const uint64_t failed = counts_.failed - cancelled_;
  if (failed == 0 && cancelled_ == 0 && !bulk_.command.bulk.progress) return;
  const Micros passed = session_.connection().now().mono - begun_;
  std::string text = "run " + bulk_.command.run + ": " + std::to_string(counts_.succeeded) +
                     " succeeded, " + std::to_string(failed) + " failed";
  if (cancelled_ > 0) text += ", " + std::to_string(cancelled_) + " cancelled";
  const double seconds = std::max(1e-3, static_cast<double>(passed.count()) / 1e6);
  text += " in " + format_span(passed) + " (" +
          format_rate(static_cast<double>(counts_.done()) / seconds) + "/s)";
  if (failed > refused_) {
    text += "; see 'zgrid jobs --run " + bulk_.command.run + tally_.failed_option() + "'";
  }
  app_.out.note(text);
}

// Results of the same run that are not of this command: the run was larger once.
void BulkRun::tell_of_others() {
  const std::vector<uint64_t> others = bulk_.folder->untouched();
  if (others.empty()) return;
  app_.out.note("'" + bulk_.command.bulk.out + "' also holds " + std::to_string(others.size()) +
                (others.size() == 1 ? " result" : " results") + " of run " + bulk_.command.run +
                " that this command did not ask for, the first of index " +
                std::to_string(others.front()));
}

// What became of it so far.
std::string BulkRun::so_far() const {
  const std::string subject = "run " + bulk_.command.run + ": ";
  if (accepted_ == 0) return subject + "no job was accepted";
  std::string text = subject + std::to_string(accepted_) +
                     (accepted_ == 1 ? " job was accepted" : " jobs were accepted");
  if (!bulk_.command.detach) text += ", " + std::to_string(counts_.done()) + " ended";
  return text;
}

std::string BulkRun::how_to_go_on() const {
  std::string text;
  if (accepted_ > 0) text = "to follow: zgrid attach --run " + bulk_.command.run;
  if (is_read_ && window_.unacknowledged() == 0) return text;
  if (!text.empty()) text += "; ";
  return text + (bulk_.command.key.empty() ? "not all of it was accepted"
                                           : "the same command again goes on from here");
}

}  // namespace zgrid::cli
