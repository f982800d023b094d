// One bulk on its way: submits what has room, shows what ended. See bulk.h.
// Threads: one thread; the session outlives it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "client/cli/bulk.h"
#include "client/cli/bulk_window.h"
#include "client/cli/progress.h"
#include "client/cli/submit.h"

namespace zgrid::cli {

// How several jobs ended.
class ExitTally {
 public:
  void add(JobStatus status);
  // The exit code: the first of 4, 1, 3, 0 that occurs.
  [[nodiscard]] int exit() const;
  // " --state failed,timed_out": those of the failures that occurred, as the verbs take them.
  [[nodiscard]] std::string failed_option() const;

 private:
  bool any_dead_ = false, any_failed_ = false, any_cancelled_ = false;
  std::set<JobStatus> failed_;
};

class BulkRun {
 public:
  // Outputs that wait for their turn and are kept for it: as much as one job's may be.
  static constexpr size_t kHeldBytesMax = limits::kPayloadBytesMax;
  // Of the jobs that failed, so many are told of; the run's list has all.
  static constexpr uint64_t kFailuresShown = 10;
  // Items read in one turn, so that results and signals are never far away.
  static constexpr size_t kItemsOfTurn = limits::kBatchItemsMax;

  BulkRun(App& app, Session& session, PreparedBulk bulk, bool is_private);
  ~BulkRun();
  BulkRun(const BulkRun&) = delete;
  BulkRun& operator=(const BulkRun&) = delete;
  int run();

 private:
  struct Open {
    uint64_t place = 0;
    uint64_t index = 0;
    bool is_acknowledged = false;
    Payload input;  // until it is acknowledged
  };
  // What is shown in order: a result, or with --detach an id.
  struct Shown {
    std::optional<JobResult> result;
    JobState state;
  };
  using Jobs = std::unordered_map<JobId, Open>;

  Renderer& out();
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] bool in_order() const;
  [[nodiscard]] bool is_done() const;
  [[nodiscard]] Millis nap() const;

  void fill();
  bool read_one();
  void submit(Item& item);
  void send(const JobId& id, const Open& open);
  void stop_reading(const Error& error);

  void on_accepted(const client::Accepted& accepted);
  void on_refused(const JobId& job, const Error& error);
  void on_result(const client::ResultView& view);
  void on_unknown(const JobId& job);
  void settle(Jobs::iterator job);
  void count(const JobResult& result);
  void count_failure();
  void cancel_rest();
  void cancel(std::vector<JobId> jobs);

  void place(uint64_t place, JobResult result);
  void place_nothing(uint64_t place);
  void flush();
  void show(const JobResult& result);
  bool tells_of_failure();
  void save(const JobResult& result);
  void show_ids(std::vector<JobState>& states);
  void fetch();
  void notes(MonoTime now);

  int finish();
  void tell_summary();
  void tell_of_others();
  int interrupted(Session::End end);
  [[nodiscard]] std::string so_far() const;
  [[nodiscard]] std::string how_to_go_on() const;

  App& app_;
  Session& session_;
  PreparedBulk bulk_;
  bool is_private_;
  client::JobIds ids_;
  client::SubmitFlags flags_;
  Progress progress_;
  MonoTime begun_;

  BulkWindow window_;
  Jobs open_;
  InOrder<JobId, Shown> order_;
  std::unordered_map<JobId, uint64_t> fetching_;  // parked ones, by place

  bool is_read_ = false;      // there is no more input, or it is not wanted
  bool must_wait_ = false;    // for more of it
  bool is_stopping_ = false;  // more failures than --max-fails
  size_t accepted_ = 0, open_accepted_ = 0;
  uint64_t last_index_ = 0;
  JobId first_;  // the first that was accepted
  Counts counts_;
  uint64_t cancelled_ = 0;  // of counts_.failed, because of is_stopping_
  uint64_t refused_ = 0, failures_shown_ = 0;
  ExitTally tally_;
  std::optional<Error> problem_;  // the first that is not a job's own
  MonoTime no_room_since_ = MonoTime::never();
  bool is_why_told_ = false, is_room_told_ = false;
};

}  // namespace zgrid::cli
