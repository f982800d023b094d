// Starts one program as the leader of its own process group, at the price of posix_spawn.
//
// Linux only: clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD), so that a large worker is not copied.
// Threads: any, but the child is killed when the thread that called spawn() ends
// (PR_SET_PDEATHSIG), so call it from one that lives as long as the process.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "worker/executors/fd.h"

namespace zgrid::worker {

struct SpawnRequest {
  std::string program;                   // a path; argv[0] is only what the program sees
  std::vector<std::string> argv;         // at least one
  std::vector<std::string> environment;  // "NAME=value", all of it
  std::string directory;                 // empty: ours
  std::string_view input;                // its stdin; copied before spawn() returns
  bool keep_input = false;               // instead: a pipe that we feed later
};

struct Spawned {
  pid_t pid = -1;  // also its process group
  Fd pidfd;        // readable once it ended
  Fd out, err;     // our ends of its stdout and stderr; non-blocking
  Fd in;           // with keep_input: our end of its stdin; non-blocking
};

// Errc::not_found if program or folder is missing, Errc::forbidden if it may not be run,
// Errc::not_ready if the system has no process, memory or descriptor to spare, else Errc::io.
// The message begins with "cannot run 'NAME': ". Nothing runs after an error.
//
// The child has no descriptor of ours but 0, 1 and 2, default signal handlers, an empty signal
// mask and a core limit of 0.
Result<Spawned> spawn(const SpawnRequest& request);

// Where `name` is: a name without '/' comes from `path` (folders with ':' between), one with '/'
// counts from `folder`. Errc::not_found or Errc::forbidden, worded as those of spawn().
Result<std::string> find_program(const std::string& name, std::string_view path,
                                 const std::string& folder);

}  // namespace zgrid::worker
