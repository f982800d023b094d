// A store in memory: for grids that promise nothing across a restart, and the yardstick of the
// contract tests. A job that ended stays until it is purged.
// Threads: one at a time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "broker/store/fold.h"
#include "broker/store/job_store.h"
#include "broker/store/short_job.h"

namespace zgrid::broker {

class MemoryStore final : public JobStore {
 public:
  MemoryStore();

  [[nodiscard]] const StoreInfo& info() const override { return info_; }
  [[nodiscard]] bool is_instant() const override { return true; }
  [[nodiscard]] CommitResult commit(std::span<const Record> records) override;
  [[nodiscard]] Result<void> recover(const Recovered& into) override;
  [[nodiscard]] Result<std::optional<StoredJob>> read(const JobId& id, uint64_t seq) override;
  [[nodiscard]] Result<std::vector<StoredJob>> list(const JobFilter& filter) override;
  [[nodiscard]] Result<void> backup(const std::string& path) override;

 private:
  void write(const Folded& folded);
  void purge(const Purge& purge);
  void keep(const PutJob& job);
  void drop(uint64_t seq);

  StoreInfo info_;
  Fold fold_;
  // In order of their seqs, which mostly follow each other: the first one tells where another is.
  struct Kept {
    uint64_t seq = 0;
    // One of them; neither: purged.
    std::unique_ptr<StoredJob> job;
    std::unique_ptr<ShortJob> ended;

    [[nodiscard]] bool is_purged() const { return !job && !ended; }
    [[nodiscard]] const JobId& id() const { return ended ? ended->id() : job->accepted.id; }
    [[nodiscard]] StoredJob whole() const { return ended ? ended->whole(seq) : *job; }
    [[nodiscard]] bool matches(const JobFilter& filter) const;
  };
  Kept* find(uint64_t seq);                           // null: unknown, or purged
  std::deque<Kept>::iterator place_of(uint64_t seq);  // where it is, or belongs
  static constexpr size_t kHolesMin = 1024;
  std::deque<Kept> jobs_;
  size_t holes_ = 0;                          // places without a job
  std::shared_ptr<const std::string> owner_;  // of the last one that ended
  std::map<uint64_t, Purge> purged_;          // by number
  std::map<WorkerId, std::string> draining_;
  std::optional<PutClock> clock_;
};

}  // namespace zgrid::broker
