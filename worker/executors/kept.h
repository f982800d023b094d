// Processes that stay between the requests they serve: which are free, and when they are ended.
//
// Who runs the requests is the caller: it starts processes, feeds them and hands their output to
// on_stdout(). A process serves one request at a time; while it does it is busy.
// Threads: one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/executors/processes.h"

namespace zgrid::worker {

class KeptProcesses {
 public:
  // What a process is a copy of. Kept alive, so that no other one gets its address.
  using Program = std::shared_ptr<const void>;

  // The first repetition is at once; then the pause doubles.
  static constexpr Millis kPauseMin{100};
  static constexpr Millis kPauseMax{5000};

  // Most programs that break the rules do so at their start or behind each answer: for so many
  // requests a copy is watched, which takes longer (Processes::Pace).
  static constexpr uint32_t kWatchedTurns = 2;

  struct Answer {
    std::string line;   // without its newline
    bool more = false;  // something came behind it: this process does not keep to its turn
  };

  // `processes` outlives this. More than `idle_max` idle ones: the longest idle is ended.
  KeptProcesses(Processes& processes, size_t idle_max)
      : processes_(processes), idle_max_(idle_max) {}

  // It printed what is no answer, so that nobody knows which of its lines is one: its copies are
  // not kept any more, and those that are idle end.
  void distrust(const Program& program, Now now);
  [[nodiscard]] bool is_distrusted(const Program& program) const;
  // True once for each distrusted program, so that somebody says it.
  bool take_news(const Program& program);

  // An idle copy, now busy; nothing if there is none. The one that was used last is taken, so that
  // the others can be ended.
  std::optional<ProcessId> take(const Program& program, Now now);
  // When a copy may be started: later than now only after some that ended without any answer.
  [[nodiscard]] MonoTime may_start_at(const Program& program) const;
  [[nodiscard]] bool has_idle(const Program& program) const;
  // A process that was just started; it is busy. An `idle_time` of zero: it may stay for ever.
  // `scratch` comes back from on_end().
  void add(ProcessId id, Program program, std::string scratch, Millis idle_time);

  [[nodiscard]] bool has(ProcessId id) const { return all_.count(id) > 0; }
  // How many requests it was given, with the one that it has.
  [[nodiscard]] uint32_t turns(ProcessId id) const { return all_.at(id).turns; }
  // The answer once it is complete. From an idle one it is none: distrust().
  std::optional<Answer> on_stdout(ProcessId id, std::string_view piece, Now now);
  // Its request is over; it waits for the next one, or is ended: also if it is distrusted.
  void release(ProcessId id, bool keep, Now now);
  // Gives back its scratch. `crashed`: it ended by itself in the middle of a request.
  std::string on_end(ProcessId id, bool crashed, Now now);

  // Ends all that are idle: what they hold is needed.
  void end_idle(Now now);
  // The same, and forgets who crashed and who broke the rules: their programs may be others now.
  void start_anew(Now now);
  // Ends those whose time is up.
  void run(Now now);
  [[nodiscard]] MonoTime deadline() const;
  // When all of them are gone without an on_end(): what they had.
  [[nodiscard]] std::vector<std::string> take_scratches();

 private:
  struct Copy {
    Program program;
    std::string scratch;
    Millis idle_time{0};
    std::string line;  // what came of the answer
    bool busy = true;
    uint32_t turns = 1;
    bool answered = false;  // ever
    MonoTime idle_until = MonoTime::never();
  };
  struct Crashes {
    Program program;
    uint32_t in_a_row = 0;
    MonoTime not_before{};
  };

  void end(ProcessId id, Now now);

  Processes& processes_;
  size_t idle_max_;
  std::map<ProcessId, Copy> all_;
  std::vector<ProcessId> idle_;  // the longest idle first
  std::map<const void*, Crashes> crashes_;
  std::map<Program, bool> distrusted_;  // and whether that is still news
};

}  // namespace zgrid::worker
