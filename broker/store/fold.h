// The records of one commit, brought together by job: a job that is accepted, started and ended in
// one commit is one write.
// Threads: one at a time.
#pragma once

#include <span>
#include <vector>

#include "broker/store/id_map.h"
#include "broker/store/job_store.h"

namespace zgrid::broker {

// The last record of each sort; null where there is none. They point into the records.
struct Folded {
  JobId id;
  const PutJob* job = nullptr;
  const PutState* state = nullptr;
  const PutEnd* end = nullptr;
};

// Keeps its memory from commit to commit.
class Fold {
 public:
  // Replaces what was folded before. Jobs stay in the order in which they first appear.
  void fold(std::span<const Record> records);
  [[nodiscard]] const std::vector<Folded>& jobs() const { return jobs_; }
  // In order, none left out.
  [[nodiscard]] const std::vector<PutDrain>& drains() const { return drains_; }

 private:
  Folded& of(const JobId& id);

  std::vector<Folded> jobs_;
  std::vector<PutDrain> drains_;
  IdMap places_;
};

}  // namespace zgrid::broker
