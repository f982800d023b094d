// Kills what a worker left behind when the worker itself was killed with no time to clean up.
//
// PR_SET_PDEATHSIG reaches the leaders of the process groups only. So a small process of its own
// waits for the end of the worker (its end of a pipe closes) and then kills every group that the
// worker had noted in memory shared by both. In the worker a note costs one store, no call.
// Threads: one. The guardian process is made by the first guard().
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "worker/executors/fd.h"

namespace zgrid::worker {

class Guardian {
 public:
  // More than a worker has slots; groups beyond it are simply not guarded.
  static constexpr size_t kGroupsMax = 8192;

  Guardian() = default;
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;
  ~Guardian();

  void guard(pid_t group);
  void forget(pid_t group);
  // -1 if there is none (yet).
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  void start();

  struct Table;
  Table* table_ = nullptr;
  pid_t pid_ = -1;
  Fd alive_;  // closed by the kernel when we die
};

}  // namespace zgrid::worker
