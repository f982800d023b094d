// Submitting a job, or many, and seeing them through, on any grid.
#pragma once

#include <variant>

#include "client/cli/bulk.h"
#include "client/cli/input.h"
#include "client/cli/session.h"

namespace zgrid::cli {

// All of a command that needs no broker.
using Prepared = std::variant<PreparedJob, PreparedBulk>;
Result<Prepared> prepare(App& app, const SubmitCommand& command);

// Submits, then waits, follows or detaches as the command says. Returns the exit code; after a
// signal (session.signal() is not 0) the caller must end the process by it. `is_private`: the grid
// ends with this process, so there is nothing to attach to later.
int submit(App& app, Session& session, const SubmitCommand& command, Prepared prepared,
           bool is_private);

// After so long a command says why it still waits: for a worker, or for room in the broker.
inline constexpr Seconds kWhyAfter{2};
// Notes for those of these jobs that no worker has, in the broker's own words.
void ask_why(App& app, Session& session, const std::vector<JobId>& jobs);
// The broker's refusal in words that fit a private grid, whose one worker is the command's own.
Error refusal_on_private_grid(const Error& refusal, JobKind kind);
// That the broker refused jobs for a reason that passes, and that they are tried again.
void note_no_room(App& app, const Error& reason);

}  // namespace zgrid::cli
