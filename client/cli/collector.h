// Waits for the results of jobs and shows them: in the order asked for, or as they end.
// Threads: one thread; the session outlives it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/cli/session.h"

namespace zgrid::cli {

// How the results are shown.
struct Show {
  bool outputs = true;    // false: only why a job failed
  bool in_order = false;  // of expect(); else as each ends
  Layout layout = Layout::bare;
  bool is_private = false;  // the jobs end with this process
};

class Collector {
 public:
  // Takes over session.result and session.unknown.
  Collector(App& app, Session& session, const Show& show);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // One more job, shown after those before it.
  void expect(const JobId& job);
  // Not waited for any more.
  void drop(const JobId& job);
  void set_layout(Layout layout) { show_.layout = layout; }
  [[nodiscard]] bool is_done() const { return open_.empty(); }
  [[nodiscard]] std::vector<JobId> open_jobs() const;
  [[nodiscard]] const std::map<size_t, JobStatus>& statuses() const { return statuses_; }

  // The exit code once it is done: of the jobs, or 66 if the broker did not know one or had
  // purged its result.
  [[nodiscard]] int exit() const;
  // Tells why the wait ended early and how to go on; returns the exit code. After a signal the
  // caller must end the process by session.signal().
  int interrupted(Session::End end);

 private:
  void on_result(const client::ResultView& view);
  void arrived(size_t place, JobResult result);
  void show(const JobResult& result);
  void show_purged(const JobResult& result);
  int interrupted_private(Session::End end, const std::string& subject);
  void flush();

  App& app_;
  Session& session_;
  Show show_;
  size_t next_place_ = 0;
  std::unordered_map<JobId, size_t> open_;      // job to place
  std::set<size_t> open_places_;                // of open_
  std::unordered_map<JobId, JobResult> early_;  // came before expect()
  std::map<size_t, JobResult> held_;            // wait for those before them
  std::map<size_t, JobStatus> statuses_;
  bool any_missing_ = false;  // unknown, or purged
};

}  // namespace zgrid::cli
