// The way of a child from its birth to its program.
//
// Until it runs its program, a child made with CLONE_VM works in our memory, while we go on: what
// it reads, the stack that it stands on and what it has to say back are in a Launch, which outlasts
// that time. Waiting for it, as vfork() does, would keep a worker from its other slots for as
// long as the kernel loads the program.
//
// Linux only. Where the child cannot make system calls without a trace in our thread's errno
// (neither x86-64 nor AArch64), and under ThreadSanitizer, the caller does wait.
// Threads: one at a time.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"
#include "worker/executors/fd.h"

namespace zgrid::worker {

struct Command {
  std::string path;
  std::vector<std::string> argv;         // at least one
  std::vector<std::string> environment;  // "NAME=value", all of it
  std::string directory;                 // empty: ours
};

// The signals that this program handles or ignores: a child must reset them. There are 64 to ask
// for, which costs as much as a hundredth of a short program, so the answer is good for a moment.
class ChangedSignals {
 public:
  // For a program of our own. One that embeds us may change what it does at a signal at any time.
  static constexpr Millis kRemembered{1000};

  explicit ChangedSignals(Millis remembered = kRemembered) : remembered_(remembered) {}

  // Bit n - 1 is signal n.
  uint64_t find(MonoTime now);

 private:
  Millis remembered_;
  uint64_t signals_ = 0;
  MonoTime until_{};
};

class Launch {
 public:
  // `in`, `out` and `err` become 0, 1 and 2 of the child. They are above 2, and may be closed after
  // start().
  Launch(Command command, int in, int out, int err);
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;
  // Waits until is_over().
  ~Launch();

  // The child's process id, and its pidfd in `pidfd`; -1 and errno if there is none. Once only.
  // `signals` are reset.
  pid_t start(uint64_t signals, Fd& pidfd);

  // Whether the child has left our memory: it runs its program, or is gone.
  [[nodiscard]] bool is_over() const { return in_our_memory_.load() == 0; }
  // The child has been waited for.
  void child_is_gone() { in_our_memory_.store(0); }
  // Why it never ran its program; nothing before it has ended by that, or if it did run.
  [[nodiscard]] std::optional<Error> failure() const;

 private:
  struct Task;
  static constexpr size_t kStackBytes = 16384;  // the child makes system calls only

  static int child_main(void* task);

  Command command_;
  std::vector<char*> argv_, environment_;
  std::unique_ptr<Task> task_;
  std::atomic<int> in_our_memory_{0};  // the kernel sets it to 0 and wakes who waits for it
  alignas(16) std::array<char, kStackBytes> stack_;
};

// Errc::not_found if program or folder is missing, Errc::forbidden if it may not be run,
// Errc::not_ready if the system has no process, memory or descriptor to spare, else Errc::io.
Error cannot_run(const std::string& name, int error, const std::string& what);
// strerror() for any thread.
std::string error_text(int error);

}  // namespace zgrid::worker
