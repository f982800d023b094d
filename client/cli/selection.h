// Which jobs a command is about, and waiting for them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/collector.h"

namespace zgrid::cli {

// What the user typed, with `-` replaced by the ids on stdin. Call it before there is a Session:
// that one takes the signals, and a read would not be interrupted. Errc::timeout if stdin outlasts
// --timeout, Errc::not_found if it has no ids and nothing else was named.
Result<std::vector<std::string>> read_selectors(const App& app, const Selection& selection);

struct Opened {
  Session::Ptr session;
  std::vector<JobId> jobs;  // each once
};
// Connects, and finds the jobs in the order of their names, or of their submission for those of a
// run. None only for a run that has no jobs in the wanted states. Errc::usage before it connects.
Result<Opened> open_jobs(App& app, const Selection& selection);

// Lists of jobs whose watch is not answered yet.
struct Watching {
  size_t due = 0;
  std::optional<Error> problem;  // the first list that the broker did not answer as asked
};
// Watches in lists of bounded size; `each` (may be null) hears the state of every known job. An
// answer that is merely late is a problem only to who listens to it: the jobs stay watched.
void watch_all(Session& session, const std::vector<JobId>& jobs, bool events, Watching& watching,
               const std::function<void(const protocol::WatchAck::Item&)>& each);
// Turns until every list is answered and done() holds, or a watch failed. A connection that is over
// is End::lost, and no problem of the watch.
Session::End wait_watching(Session& session, Watching& watching, const std::function<bool()>& done,
                           MonoTime alarm_at = MonoTime::never(),
                           const std::function<void()>& alarm = nullptr);

// The exit code of a wait that ended; after a signal it ends the process by that. Tells of the
// problem of a watch.
int finish(App& app, Session& session, Collector& collector, const Watching& watching,
           Session::End end);

}  // namespace zgrid::cli
