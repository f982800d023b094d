// Which jobs a command is about, and waiting for them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/collector.h"

namespace zgrid::cli {

// What the user typed, with `-` replaced by the ids on stdin.
Result<std::vector<std::string>> read_selectors(const Selection& selection);

struct Opened {
  std::unique_ptr<Session> session;
  std::vector<JobId> jobs;  // each once
};
// Connects, and finds the jobs in the order of their names, or of their submission for those of a
// run. None only for a run that has no jobs in the wanted states. Errc::usage before it connects.
Result<Opened> open_jobs(App& app, const Selection& selection);

// Watches in lists of bounded size; `each` (may be null) hears the state of every known job.
// `answers_due` counts the lists that are not answered yet.
void watch_all(Session& session, const std::vector<JobId>& jobs, bool events, size_t& answers_due,
               const std::function<void(const protocol::WatchAck::Item&)>& each);

// The exit code of a wait that ended; after a signal it ends the process by that.
int finish(Session& session, Collector& collector, Session::End end);

}  // namespace zgrid::cli
