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

// What the living members of a process group are at.
struct GroupUse {
  uint64_t cpu_ms = 0;
  uint32_t living = 0;   // zombies are not
  uint32_t stopped = 0;  // of those: by a signal or a debugger
};
// Adds to each of these process groups. Reads /proc once for all.
void add_use_of_groups(std::map<pid_t, GroupUse>& groups);

}  // namespace zgrid::worker
