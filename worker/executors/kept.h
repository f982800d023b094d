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

  struct Answer {
    std::string line;   // without its newline
    bool more = false;  // something came behind it: this process does not keep to its turn
  };

  // `processes` outlives this. More than `idle_max` idle ones: the longest idle is ended.
  KeptProcesses(Processes& processes, size_t idle_max)
      : processes_(processes), idle_max_(idle_max) {}

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
  // The answer once it is complete. What nobody asked for ends the process.
  std::optional<Answer> on_stdout(ProcessId id, std::string_view piece, Now now);
  // Its request is over; it waits for the next one, or is ended.
  void release(ProcessId id, bool keep, Now now);
  // Gives back its scratch. `crashed`: it ended by itself in the middle of a request.
  std::string on_end(ProcessId id, bool crashed, Now now);

  // Ends all that are idle and forgets who crashed.
  void end_idle(Now now);
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
};

}  // namespace zgrid::worker
