// A store in memory: for grids that promise nothing across a restart, and the yardstick of the
// contract tests. A job that ended stays until the process ends.
// Threads: one at a time.
#pragma once

#include <map>
#include <set>

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

 private:
  void write(const Folded& folded);

  StoreInfo info_;
  Fold fold_;
  std::map<uint64_t, StoredJob> jobs_;  // by seq
  IdMap seqs_;
  std::set<WorkerId> draining_;
};

}  // namespace zgrid::broker
