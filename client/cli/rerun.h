// Running ended jobs again, as new jobs.
#pragma once

#include <functional>
#include <vector>

#include "client/cli/session.h"

namespace zgrid::cli {

struct Rerun {
  bool detach = false;  // print the new ids and do not wait
  // The new id follows from the old one: who asks again after an interruption makes no second job.
  bool once = false;
  bool lines = false;  // each output on lines of its own, even if there is only one
  // Called once with those that were accepted again, before they are waited for.
  std::function<void(const std::vector<JobId>& old)> accepted;
};

// Asks for a new job for each of these, while the broker is full again and again within --timeout
// or client.reconnect; then waits and prints as `submit` does. Returns the exit code: that of the
// first refusal, else of the new jobs; a signal ends the process.
int rerun_jobs(App& app, Session& session, const std::vector<JobId>& jobs, const Rerun& rerun);

}  // namespace zgrid::cli
