// The embedded store: one SQLite file with a write-ahead log (sqlite_schema.h has its layout).
//
// A commit is one transaction and one sync of the log, which was grown beforehand and is written
// over from its start after each checkpoint. Checkpoints are made by tend(). After the first I/O
// error the files are not touched any more: SQLite would go on, and later commits would succeed,
// but after a failed sync nobody knows what the disk has.
// Threads: one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/store/facts_table.h"
#include "broker/store/fold.h"
#include "broker/store/job_store.h"
#include "broker/store/log_mark.h"
#include "broker/store/log_table.h"
#include "broker/store/sqlite_db.h"
#include "broker/store/sqlite_rows.h"
#include "broker/store/store_files.h"

namespace zgrid::broker {

class SqliteStore final : public JobStore {
 public:
  // A checkpoint is due after this many pages of 4 KiB: a longer one is seen as latency.
  static constexpr uint32_t kWalPagesDue = 1000;
  // Made by commit() itself if nobody called tend().
  static constexpr uint32_t kWalPagesForced = 4 * kWalPagesDue;
  // The log is this long from the start: what is due, and a commit of large payloads.
  static constexpr uint64_t kWalBytes = 16u << 20;

  // Makes the file if there is none, migrates one of an older release, raises the epoch, on a full
  // disk with the space that is kept in reserve (then tend() says so from the start). After an
  // unclean stop it first reads the log and looks whether all pages fit together, from the disk
  // rather than from memory: about a second for each GB. Rows are checked as they are read.
  static Result<std::unique_ptr<JobStore>> open(const std::string& path);
  ~SqliteStore() override;

  [[nodiscard]] const StoreInfo& info() const override { return info_; }
  [[nodiscard]] CommitResult commit(std::span<const Record> records) override;
  [[nodiscard]] CommitResult tend() override;
  [[nodiscard]] Result<void> recover(const Recovered& into) override;
  [[nodiscard]] Result<std::optional<StoredJob>> read(const JobId& id, uint64_t seq) override;
  [[nodiscard]] Result<std::vector<StoredJob>> list(const JobFilter& filter) override;
  [[nodiscard]] Result<void> backup(const std::string& path) override;

 private:
  struct Statements {
    Statement begin, commit, rollback;
    Statement put_payload, drop_payload, put_drain, drop_drain, put_clock, put_purge, drop_purge;
  };
  SqliteStore(std::string path, StoreLock lock, std::unique_ptr<Database> db);

  Result<void> prepare();
  Result<void> with_reserve(const std::function<Result<void>()>& write);
  [[nodiscard]] uint64_t log_bytes_wanted(const std::string& log) const;
  Result<void> begin_epoch();
  Result<void> guard_log(const std::string& wal);

  CommitResult try_commit();
  CommitResult failed();
  CommitResult die(const std::string& reason);
  // False: the database knows why.
  bool write_all();
  bool write_job(const Folded& folded);
  bool write_state(const Folded& folded, LogEntry& entry);
  bool write_end(const Folded& folded, LogEntry& entry);
  bool write_drain(const PutDrain& drain);
  bool write_clock(const PutClock& clock);
  bool purge_jobs();
  bool write_purge(const Purge& purge);
  bool forget(uint64_t number);
  bool may_checkpoint();
  bool write_payload(int64_t key, const Payload& payload);

  Result<void> recover_clock(const Recovered& into);
  Result<void> recover_purges(const Recovered& into);
  Result<void> recover_jobs(const Recovered& into);
  Result<void> recover_drains(const Recovered& into);
  Result<StoredJob> read_at(uint64_t seq, const JobPlace& place, const RowReader::Wanted& wanted);
  [[nodiscard]] Error in_store(Error error) const;

  std::string path_;
  StoreInfo info_;
  StoreLock lock_;
  std::unique_ptr<Database> db_;
  Statements sql_;
  FactsTable facts_;
  RowReader reader_{*db_, facts_};
  LogTable log_{*db_};
  Reserve reserve_;
  LogMarker marker_;

  Fold fold_;
  std::string accepted_part_, state_part_, ended_part_;  // of the entry that is being written
  std::vector<uint64_t> purged_seqs_;                    // of the commit that is being written
  std::optional<Error> damage_;                          // why a state could not be read for it
  bool low_space_ = false;
  bool dead_ = false;  // after a fatal error
};

}  // namespace zgrid::broker
