// A store in memory: for grids that promise nothing across a restart, and the yardstick of the
// contract tests. A job that ended stays until it is purged.
// Threads: one at a time.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "broker/store/fold.h"
#include "broker/store/id_map.h"
#include "broker/store/job_store.h"

namespace zgrid::broker {

class MemoryStore final : public JobStore {
 public:
  MemoryStore();

  [[nodiscard]] const StoreInfo& info() const override { return info_; }
  [[nodiscard]] CommitResult commit(std::span<const Record> records) override;
  [[nodiscard]] Result<void> recover(const Recovered& into) override;
  [[nodiscard]] Result<std::optional<StoredJob>> read(const JobId& id) override;
  [[nodiscard]] Result<std::vector<StoredJob>> list(const JobFilter& filter) override;
  [[nodiscard]] Result<void> backup(const std::string& path) override;

 private:
  void write(const Folded& folded);
  void purge(const Purge& purge);

  StoreInfo info_;
  Fold fold_;
  std::map<uint64_t, StoredJob> jobs_;  // by seq
  std::map<uint64_t, Purge> purged_;    // by number
  IdMap seqs_;
  std::map<WorkerId, std::string> draining_;
  std::optional<PutClock> clock_;
};

}  // namespace zgrid::broker
