// The log of a store: a table of rows (log_row.h), and where in it each job is found.
//
// Rows are appended, one for some jobs of a commit. A row whose entries have all been replaced, or
// whose jobs were purged, is deleted; one of whose jobs some were purged is written again without
// them. Where entries are is known in memory only, in 16 bytes for a job (4 KiB for one that
// outlives its neighbours), and found out at the start.
// Threads: one at a time. Lifetime: must not outlive the database.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/log_row.h"
#include "broker/store/rising_map.h"
#include "broker/store/sqlite_db.h"
#include "broker/store/sqlite_rows.h"

namespace zgrid::broker {

// Where a job is, and what is asked of many jobs at once.
struct JobPlace {
  uint64_t accepted_row : 48 = 0;  // 0: while the log is loaded, of a purged job's old state
  uint64_t status : 8 = 0;
  uint64_t is_broadcast : 1 = 0;
  uint64_t is_eventful : 1 = 0;
  uint64_t has_outside : 1 = 0;
  uint64_t changed_row : 48 = 0;  // 0: nothing came after the commit that accepted it
  [[nodiscard]] bool is_empty() const { return accepted_row == 0 && changed_row == 0; }
  [[nodiscard]] JobStatus state() const { return static_cast<JobStatus>(status); }
};

class LogTable {
 public:
  explicit LogTable(Database& db) : db_(db) {}

  // Once, before anything else. Reads every row. Errc::io, and Errc::corrupt for the first damage;
  // or each is told, the rows that cannot be read are passed over, and their jobs are missing.
  // `meta` says how far the log goes: exactly, if the store was closed in an orderly way.
  using OnDamage = std::function<void(Error&&)>;
  Result<void> load(const MetaPart& meta, const OnDamage& on_damage = {});
  // As of the last commit.
  [[nodiscard]] LogExtent extent() const { return {rows_, next_row_}; }

  // Null if there is no such job.
  [[nodiscard]] const JobPlace* find(uint64_t seq) const { return places_.find(seq); }
  [[nodiscard]] const RisingMap<JobPlace>& jobs() const { return places_; }

  // Within an open transaction, in this order. False: the database, or error(), says why.
  // `seqs` rise; what is not known is passed over.
  [[nodiscard]] bool purge(std::span<const uint64_t> seqs);
  // A job that is not known must be accepted with it. `run` is that of a job that is accepted.
  [[nodiscard]] bool add(const LogEntry& entry, std::string_view run);
  [[nodiscard]] bool finish();
  // How it ended.
  void committed();
  void rolled_back();
  // Why the last transaction failed, if a row could not be read.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  // The parts of a job, valid until the next call of this object. Errc::corrupt, Errc::io.
  Result<JobParts> parts(uint64_t seq, const JobPlace& place);
  // Calls `visit(seq, place)` for the jobs that were accepted with that run and in one of these
  // states (none: in any), the newest first, until it says false.
  using OnJob = std::function<bool(uint64_t seq, const JobPlace& place)>;
  Result<void> of_run(const std::string& run, std::span<const JobStatus> states,
                      const OnJob& visit);

  // So many dead rows wait for the next commit.
  static constexpr size_t kDeadRowsMax = 64;

 private:
  struct Live {
    uint32_t entries = 0;  // those that were neither replaced nor purged
    [[nodiscard]] bool is_empty() const { return entries == 0; }
  };
  // A row that is being filled. Its number is taken with its first entry.
  struct Open {
    LogRowWriter row;
    uint64_t number = 0;
    std::string run;
  };
  // An entry of a row, without its parts.
  struct Added {
    Added(uint64_t row, const LogEntry& entry);
    uint64_t row, seq;
    JobStatus status;
    bool is_accepted, has_state, is_broadcast, is_eventful, has_outside;
  };
  // A row that was deleted or written again; then so many entries are left.
  struct Changed {
    uint64_t row = 0;
    uint32_t left = 0;
  };
  struct Cached {
    uint64_t number = 0;  // 0: none
    std::string run, bytes;
    LogRow row;
  };
  // Rows by their numbers' last digits. Rows that are asked for one after another mostly follow
  // each other; the two of a job must not drive each other out.
  static constexpr size_t kCachedRows = 128;
  using Cache = std::array<Cached, kCachedRows>;

  Result<void> prepare();
  void learn(const Added& added);
  void replaced(uint64_t row);
  Result<void> drop_orphans(const OnDamage& on_damage);
  Open* open_row(const LogEntry& entry, std::string_view run);
  bool write(Open& open);
  bool write_again(uint64_t row, std::span<const uint64_t> gone, uint32_t left);
  bool drop_rows();
  void end_transaction();
  [[nodiscard]] bool is_live(uint64_t row, const LogEntry& entry) const;
  Result<void> check_extent(const MetaPart& meta, uint64_t rows_with_run);
  Result<const Cached*> row(uint64_t number, Cache& cache);
  Result<const LogEntry*> entry(uint64_t number, uint64_t seq, Cache& cache, const Cached** in);

  Database& db_;
  struct Statements {
    Statement put, change, drop, row, of_run;
  } sql_;

  RisingMap<JobPlace> places_;
  RisingMap<Live> live_;
  std::vector<uint64_t> dead_;  // rows without live entries
  uint64_t rows_ = 0;           // of the table
  uint64_t next_row_ = 1;

  // Of the open transaction.
  // One for each of the runs that were accepted last, so that mixed runs share rows, too.
  static constexpr size_t kOpenRuns = 8;
  std::vector<Open> accepted_;
  Open later_;
  uint64_t first_new_ = 0;  // 0: no row was begun
  uint64_t dropped_ = 0;    // rows
  bool drops_dead_ = false;
  std::vector<uint64_t> gone_;  // jobs
  std::vector<uint64_t> drop_;  // rows, rising
  std::vector<Changed> changed_;
  std::vector<Added> added_;
  std::optional<Error> error_;

  std::unique_ptr<Cache> accepted_cache_ = std::make_unique<Cache>();
  std::unique_ptr<Cache> later_cache_ = std::make_unique<Cache>();
};

}  // namespace zgrid::broker
