// Starts one program as the leader of its own process group, for less than posix_spawn takes: it is
// not awaited until the program is loaded (launch.h).
//
// Linux only: clone(CLONE_VM | CLONE_PIDFD), so that a large worker is not copied.
// Threads: any, but the child is killed when the thread that called spawn() ends
// (PR_SET_PDEATHSIG), so call it from one that lives as long as the process.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"
#include "worker/executors/fd.h"
#include "worker/executors/launch.h"

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
  pid_t pid = -1;  // also its process group, at the latest when the launch is over
  Fd pidfd;        // readable once it ended
  Fd out, err;     // our ends of its stdout and stderr; non-blocking
  Fd in;           // with keep_input: our end of its stdin; non-blocking
  // Of no use any more when it is over and has not failed. Its failure() is what only the child
  // could find out, such as a missing folder or interpreter; such a child ends at once.
  std::unique_ptr<Launch> launch;
};

// The codes of cannot_run(). The message begins with "cannot run 'NAME': ". Nothing runs after an
// error.
//
// The program has no descriptor of ours but 0, 1 and 2, no signal handler, ignores no signal, and
// has an empty signal mask and a core limit of 0.
Result<Spawned> spawn(SpawnRequest request, ChangedSignals& signals, Now now);

// Where `name` is: a name without '/' comes from `path` (folders with ':' between), one with '/'
// counts from `folder`. Errc::not_found or Errc::forbidden, worded as those of spawn().
Result<std::string> find_program(const std::string& name, std::string_view path,
                                 const std::string& folder);

}  // namespace zgrid::worker
