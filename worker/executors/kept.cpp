#include "worker/executors/kept.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::worker {

std::optional<ProcessId> KeptProcesses::take(const Program& program, Now now) {
  while (true) {
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                    [&](ProcessId id) { return all_.at(id).program == program; });
    if (found == idle_.rend()) return std::nullopt;
    const ProcessId id = *found;
    // Still idle while it is asked what it said meanwhile: if that is anything, on_stdout() ends
    // it.
    const bool can = processes_.begin_turn(id, now);
    const auto still = std::find(idle_.begin(), idle_.end(), id);
    if (still == idle_.end()) continue;
    idle_.erase(still);
    if (!can) {
      processes_.terminate(id, now);
      continue;
    }
    Copy& copy = all_.at(id);
    copy.busy = true;
    ++copy.turns;
    copy.line.clear();
    return id;
  }
}

bool KeptProcesses::has_idle(const Program& program) const {
  return std::any_of(idle_.begin(), idle_.end(),
                     [&](ProcessId id) { return all_.at(id).program == program; });
}

MonoTime KeptProcesses::may_start_at(const Program& program) const {
  const auto found = crashes_.find(program.get());
  return found == crashes_.end() ? MonoTime{} : found->second.not_before;
}

void KeptProcesses::add(ProcessId id, Program program, std::string scratch, Millis idle_time) {
  Copy copy;
  copy.program = std::move(program);
  copy.scratch = std::move(scratch);
  copy.idle_time = idle_time;
  ZGRID_CHECK(all_.emplace(id, std::move(copy)).second);
}

std::optional<KeptProcesses::Answer> KeptProcesses::on_stdout(ProcessId id, std::string_view piece,
                                                              Now now) {
  Copy& copy = all_.at(id);
  if (!copy.busy) {
    // Whoever asked next would take it for the answer. One that was told to end may say anything.
    const bool is_idle = std::find(idle_.begin(), idle_.end(), id) != idle_.end();
    if (is_idle) distrust(Program(copy.program), now);
    return std::nullopt;
  }
  const size_t newline = piece.find('\n');
  copy.line.append(piece.substr(0, newline));
  if (newline == std::string_view::npos) return std::nullopt;
  copy.answered = true;
  crashes_.erase(copy.program.get());
  return Answer{std::exchange(copy.line, {}), newline + 1 < piece.size()};
}

void KeptProcesses::release(ProcessId id, bool keep, Now now) {
  Copy& copy = all_.at(id);
  ZGRID_CHECK(copy.busy);
  copy.busy = false;
  if (!keep || is_distrusted(copy.program)) return processes_.terminate(id, now);
  copy.idle_until =
      copy.idle_time.count() > 0 ? now.mono + Micros(copy.idle_time) : MonoTime::never();
  idle_.push_back(id);
  if (idle_.size() > idle_max_) end(idle_.front(), now);
}

std::string KeptProcesses::on_end(ProcessId id, bool crashed, Now now) {
  const auto found = all_.find(id);
  Copy copy = std::move(found->second);
  all_.erase(found);
  idle_.erase(std::remove(idle_.begin(), idle_.end(), id), idle_.end());
  if (crashed && !copy.answered) {
    Crashes& crashes = crashes_[copy.program.get()];
    crashes.program = copy.program;
    if (crashes.in_a_row > 0) {
      const uint32_t doublings = std::min(crashes.in_a_row - 1, 10u);
      crashes.not_before = now.mono + Micros(std::min(kPauseMin * (1 << doublings), kPauseMax));
    }
    ++crashes.in_a_row;
  }
  return std::move(copy.scratch);
}

// It is listed until on_end().
void KeptProcesses::end(ProcessId id, Now now) {
  idle_.erase(std::remove(idle_.begin(), idle_.end(), id), idle_.end());
  processes_.terminate(id, now);
}

void KeptProcesses::distrust(const Program& program, Now now) {
  distrusted_.emplace(program, true);
  std::vector<ProcessId> copies;
  for (const ProcessId id : idle_) {
    if (all_.at(id).program == program) copies.push_back(id);
  }
  for (const ProcessId id : copies) end(id, now);
}

bool KeptProcesses::is_distrusted(const Program& program) const {
  return distrusted_.count(program) > 0;
}

bool KeptProcesses::take_news(const Program& program) {
  const auto found = distrusted_.find(program);
  return found != distrusted_.end() && std::exchange(found->second, false);
}

void KeptProcesses::start_anew(Now now) {
  crashes_.clear();
  distrusted_.clear();
  end_idle(now);
}

void KeptProcesses::end_idle(Now now) {
  for (const ProcessId id : std::exchange(idle_, {})) processes_.terminate(id, now);
}

void KeptProcesses::run(Now now) {
  std::vector<ProcessId> due;
  for (const ProcessId id : idle_) {
    if (all_.at(id).idle_until <= now.mono) due.push_back(id);
  }
  for (const ProcessId id : due) end(id, now);
}

std::vector<std::string> KeptProcesses::take_scratches() {
  std::vector<std::string> scratches;
  for (auto& [id, copy] : all_) scratches.push_back(std::move(copy.scratch));
  all_.clear();
  idle_.clear();
  return scratches;
}

MonoTime KeptProcesses::deadline() const {
  MonoTime earliest = MonoTime::never();
  for (const ProcessId id : idle_) earliest = std::min(earliest, all_.at(id).idle_until);
  return earliest;
}

}  // namespace zgrid::worker
