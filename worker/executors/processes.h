// The child processes of a worker, from their start to the end of their whole process group.
//
// Nothing blocks: everything waits behind fd() and deadline(). A process is over when its leader
// has ended, every other member of its group was killed, and descendants that left the group
// (setsid) were found and killed too. What they wrote until then has been handed on.
// Threads: one, the same from the first start() to the end (spawn.h says why).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"
#include "worker/executors/guardian.h"
#include "worker/executors/proc_scan.h"
#include "worker/executors/spawn.h"

namespace zgrid::worker {

enum class ProcessId : uint64_t { none = 0 };  // never reused

struct ProcessEnd {
  // It never ran its program: what start() would have said, had the child found out by then.
  std::optional<Error> not_started;
  int exit_code = 0;              // 128 + N for signal N
  bool output_too_large = false;  // it was killed for that
  bool pipe_closed = false;       // it was killed because it closed its stdin or stdout; kept ones
  std::string stderr_tail;        // the last 4 KiB
  uint64_t cpu_ms = 0;            // of the leader and the children it waited for
};

// "ended with exit code 3", "was ended by SIGSEGV (exit code 139)".
std::string describe_exit(int exit_code);

class ProcessListener {
 public:
  virtual ~ProcessListener() = default;
  virtual void on_stdout(ProcessId id, std::string_view piece) = 0;
  // Without its newline; a longer line than kLogLineBytesMax comes in parts.
  virtual void on_stderr_line(ProcessId id, std::string_view line) = 0;
  // Last; the id means nothing afterwards.
  virtual void on_end(ProcessId id, const ProcessEnd& end) = 0;
};

class Processes {
 public:
  static constexpr size_t kLogLineBytesMax = 4096;  // one log event

  struct Options {
    uint64_t output_bytes_max = 16u << 20;  // of one stdout; one byte more kills its group
    Millis kill_grace{5000};
    // True if this program starts no children but these: then it becomes a subreaper, and every
    // other child that it finds is an escaped descendant. False in a program that embeds us.
    bool sole_parent = true;
  };
  struct Usage {
    MonoTime last_output{};  // or its start
    uint64_t cpu_ms = 0;
    uint64_t bytes_out = 0;
    bool stopped = false;  // every living member of its group is, by a signal
  };

  // `listener` outlives this. Errc::io if the system gives no epoll descriptor.
  static Result<std::unique_ptr<Processes>> open(Options options, ProcessListener& listener);
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  // Kills what runs and waits until it is gone; tells the listener nothing.
  ~Processes();

  // `marker` is a "NAME=value" of its environment, which its descendants inherit: when the last
  // process with it ends, escaped descendants that have it are killed. Empty: none are sought.
  // Errors are those of spawn(); what is found out later is told by ProcessEnd::not_started.
  Result<ProcessId> start(SpawnRequest request, std::string marker, Now now);
  // TERM to the group now, KILL after the grace. Again, or unknown: nothing happens.
  void terminate(ProcessId id, Now now);
  void kill(ProcessId id);

  // What follows is for processes that were started with keep_input.
  //
  // A new turn: hands on what was said since the last one, then counts output and keeps the tail of
  // stderr anew. False if there is nobody (any more) who could take it.
  bool begin_turn(ProcessId id, Now now);
  // How a line is written. `in_two` costs one more round trip: its end follows when everything
  // before it was read and all that was said until then has been handed on. So who reads before it
  // writes cannot have answered yet, and what is said while has_unread() is no answer.
  enum class Pace : uint8_t { at_once, in_two };
  // All of it, in the order of the calls; what does not fit into the pipe waits. False if its stdin
  // is closed: then nothing was written, and it will be killed.
  bool write(ProcessId id, std::string_view data, Pace pace, Now now);
  // Whether some of that was not read yet. A last byte alone does not count: a reader that knows
  // the end of a line from what it says may leave the newline for later.
  [[nodiscard]] bool has_unread(ProcessId id) const;
  // Hands on what is in its stderr now, its last line also without an end.
  void read_errors(ProcessId id, Now now);

  void run(Now now);
  [[nodiscard]] int fd() const { return epoll_.get(); }
  [[nodiscard]] MonoTime deadline() const;
  [[nodiscard]] size_t count() const { return processes_.size(); }
  // Reads /proc once for all that run.
  [[nodiscard]] std::map<ProcessId, Usage> usage(Now now);

 private:
  struct Process;
  enum class Source : uint64_t { out = 0, err = 1, exit = 2, in = 3 };

  Processes(Options options, ProcessListener& listener, Fd epoll);
  bool watch(int fd, ProcessId id, Source source);
  bool watch_output(Process& process);
  void close_end(Fd& fd, bool is_watched);
  [[nodiscard]] Process* find(ProcessId id) const;
  bool push(Process& process, Now now);
  void feed(Process& process, Now now);
  void end_closed(Process& process, Now now);
  static void signal_group(const Process& process, int signal);
  void on_ready(Process& process, Source source, Now now);
  bool read_out(Process& process, Now now);
  bool read_err(Process& process, Now now);
  void drain(Process& process, Now now);
  void add_log(Process& process, std::string_view piece);
  void on_leader_exit(Process& process, Now now);
  void try_finish(Process& process, Now now);
  bool escaped_are_gone(const Process& process);
  std::vector<ProcStat> strangers();
  bool bury(const ProcStat& stranger);
  void bury_stale(Now now);
  void finish(Process& process);
  void kill_everything();

  Options options_;
  ProcessListener& listener_;
  Fd epoll_;
  Guardian guardian_;
  ChangedSignals changed_signals_{options_.sole_parent ? ChangedSignals::kRemembered : Millis{0}};
  Children children_;
  std::unordered_map<uint64_t, std::unique_ptr<Process>> processes_;
  std::vector<char> buffer_;
  uint64_t next_id_ = 1;
  std::set<pid_t> condemned_;           // strangers that we killed
  std::map<pid_t, MonoTime> doubtful_;  // zombies that someone else in this program may await
};

}  // namespace zgrid::worker
