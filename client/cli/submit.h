// Submitting one job and seeing it through, on any grid.
#pragma once

#include "client/cli/input.h"
#include "client/cli/session.h"

namespace zgrid::cli {

// Submits, then waits, follows or detaches as the command says. Returns the exit code; after a
// signal (session.signal() is not 0) the caller must end the process by it. `is_private`: the grid
// ends with this process, so there is nothing to attach to later.
int submit_job(App& app, Session& session, const SubmitCommand& command, PreparedJob job,
               bool is_private = false);

// After so long a command says why it still waits: for a worker, or for room in the broker.
inline constexpr Seconds kWhyAfter{2};
// Notes for those of these jobs that no worker has, in the broker's own words.
void ask_why(App& app, Session& session, const std::vector<JobId>& jobs);
// That the broker refused jobs for a reason that passes, and that they are tried again.
void note_no_room(App& app, const Error& reason);

}  // namespace zgrid::cli
