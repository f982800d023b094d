// What a turn of the core brings about. The shell makes the records durable and carries out the
// rest; which send may go out before the commit is said here, and nowhere else.
#pragma once

#include <vector>

#include "broker/store/job_store.h"
#include "protocol/messages.h"

namespace zgrid::broker {

enum class Gate : uint8_t {
  // Promises and reveals nothing: heartbeats, refusals of messages.
  free,
  // The first assignment of a job that is not yet acknowledged, recorded in this turn's commit.
  overtake,
  // After the commits of this turn and of all earlier ones.
  after_commit,
};

struct Send {
  SessionId to = SessionId::none;
  Gate gate = Gate::after_commit;
  protocol::Message message;
  bool lazy = false;  // nobody waits for it: it may go with the next one to the same peer
};

// An assignment whose input is not in memory.
struct AssignmentToFill {
  SpecRef spec;
  protocol::Assignment entry;
};

// Something that only the store knows. It is read after the commits of this turn and of all
// earlier ones, and the answer goes to the session.
struct StoreRead {
  enum class What : uint8_t {
    results,    // a Results message for the jobs that ended
    summaries,  // an Answer with a summary of each job, in order
    list,       // an Answer with the jobs that fit the filter
    inputs,     // a Request: `assignments` with their inputs
    retries,    // nothing yet: Core::retry() with the jobs of `retries`
    explain,    // nothing yet: Core::explain() with `jobs`
    backup,     // an Answer once there is a copy of the store in `path`
  };
  SessionId to = SessionId::none;
  uint64_t request = 0;
  What what = What::results;
  std::vector<JobId> jobs;
  // The numbers under which the store has the jobs, or those of `assignments` or `retries`; 0: it
  // has forgotten it. Whoever reads fills them in (number_jobs).
  std::vector<uint64_t> seqs;
  // results: how each job ended, in the same order, should it be purged before it is read.
  struct End {
    JobStatus status = JobStatus::succeeded;
    uint32_t attempt = 0;
  };
  std::vector<End> ends;
  uint64_t bytes_max = UINT64_MAX;  // results: stop after so many of outputs
  JobFilter filter;
  std::vector<AssignmentToFill> assignments;
  std::vector<protocol::Retry::Item> retries;
  std::string path;
};

// Something that people should be told of: a line of the log.
struct Note {
  bool is_warning = false;
  std::string text;
  std::vector<std::pair<std::string_view, std::string>> fields;  // names are literals
};

// What is told of a job whose result is gone.
protocol::ResultEntry purged_result(const JobId& job, const StoreRead::End& end);

struct Effects {
  std::vector<Record> records;
  // How many jobs left for a worker in this turn, before their commit, and are short: their
  // results should be here in a moment.
  size_t expected_soon = 0;
  std::vector<Send> sends;
  std::vector<StoreRead> reads;
  std::vector<Note> notes;
  [[nodiscard]] bool empty() const { return records.empty() && sends.empty() && reads.empty(); }
  void clear() {
    records.clear();
    expected_soon = 0;
    sends.clear();
    reads.clear();
    notes.clear();
  }
};

}  // namespace zgrid::broker
