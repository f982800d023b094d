// What /proc says of processes: our children, who belongs to whom, and CPU time.
// Threads: any. Linux only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker/executors/fd.h"

namespace zgrid::worker {

struct ProcStat {
  pid_t pid = 0, parent = 0, group = 0, session = 0;
  char state = '?';     // 'Z' is a zombie
  uint64_t cpu_ms = 0;  // its own and that of the children it has waited for
};

// False if there is no such process (any more).
bool read_proc_stat(pid_t pid, ProcStat& into);

// True if the environment that the program was started with has exactly this "NAME=value".
bool has_environment(pid_t pid, std::string_view entry);

// The processes whose parent is us, zombies too. A subreaper gets its orphaned descendants here:
// the kernel gives them to the main thread, so its list is the one that is read.
class Children {
 public:
  [[nodiscard]] std::vector<pid_t> list();

 private:
  Fd file_;
};

// Adds to `groups` (process group -> cpu_ms) what their living members used.
void add_cpu_of_groups(std::map<pid_t, uint64_t>& groups);

}  // namespace zgrid::worker
