// The stored parts of a job as the job: what recovery, reads, lists and the check of a store share.
// Threads: one at a time. Lifetime: must not outlive the database and the facts.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/store/facts_table.h"
#include "broker/store/rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

// Keys of the payloads that lie beside the log.
constexpr int64_t input_key(uint64_t seq) { return static_cast<int64_t>(seq * 2); }
constexpr int64_t output_key(uint64_t seq) { return static_cast<int64_t>(seq * 2 + 1); }

// Views of what is stored of a job, and what is said of it beside its parts.
struct JobParts {
  uint64_t seq = 0;
  JobStatus status = JobStatus::queued;
  bool is_broadcast = false;
  std::string_view accepted, run;
  std::optional<std::string_view> state, ended;
};

class RowReader {
 public:
  RowReader(Database& db, const FactsTable& facts) : db_(db), facts_(facts) {}
  Result<void> prepare();

  // What is not wanted is left out: payloads by their size, and with it input_left_out is set.
  struct Wanted {
    uint64_t input_bytes_max = UINT64_MAX;
    bool output = true;
  };
  // Both: Errc::corrupt, Errc::io, without saying which job it is.
  Result<StoredJob> job(const JobParts& parts, const Wanted& wanted);
  static Result<EndedJob> ended(const JobParts& parts);

  // Says which job it is.
  static Error about(const JobParts& parts, Error error);
  // "job 0198…", or "job number 7" where its id cannot be read.
  static std::string name_of(const JobParts& parts);

 private:
  Result<void> add_end(const JobParts& parts, bool with_output, StoredJob& job);
  Result<Bytes> payload(int64_t key, const Outside& outside, uint64_t seq);

  Database& db_;
  const FactsTable& facts_;
  SpecCache specs_;
  Statement payload_;
};

}  // namespace zgrid::broker
