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

}  // namespace zgrid::cli
