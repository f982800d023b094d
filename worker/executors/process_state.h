// What Processes knows of one process. For the files that implement Processes alone.
#pragma once

#include <string>

#include "worker/executors/processes.h"

namespace zgrid::worker {

inline constexpr Millis kRecheckMin{1};    // killed processes are usually gone by then
inline constexpr Millis kRecheckMax{50};   // one that hangs in the kernel costs 20 looks a second
inline constexpr int kSignalBase = 128;    // an exit code above it stands for a signal
inline constexpr int kReadsPerTurn = 16;   // so that one loud child does not starve the loop
inline constexpr Millis kClosedGrace{50};  // an ending process closes its pipes before it is gone
// Output is listened to after so long. A process that has ended by then is heard at its end: that
// saves a wake-up, for a process closes its pipes a moment before it can be waited for.
inline constexpr Millis kListenAfter{2};

struct Processes::Process {
  ProcessId id = ProcessId::none;
  Spawned child;
  std::string marker;
  std::string log_line;   // what came since the last newline
  std::string unwritten;  // for its stdin, once that has room
  size_t written = 0;     // of it; a large one is not moved for each piece
  size_t held = 0;        // so much of its end waits until everything before it was read
  bool in_watched = false, output_watched = false;
  bool one_page = false;  // its stdin has room again only when it is empty
  ProcessEnd end;
  Usage usage;
  bool terminating = false;
  bool leader_gone = false;
  MonoTime listen_at = MonoTime::never();  // its output is not watched before
  MonoTime wake = MonoTime::never();       // KILL is due, or the group is looked at again
  Millis recheck = kRecheckMin;
};

}  // namespace zgrid::worker
