// The records of one commit, brought together by job: a job that is accepted, started and ended in
// one commit is one write, and one that is also purged in it is none.
// Threads: one at a time.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "broker/store/job_store.h"
#include "protocol/base/flat_map.h"

namespace zgrid::broker {

// The last record of each sort; null where there is none. They point into the records.
struct Folded {
  uint64_t seq = 0;
  const PutJob* job = nullptr;
  const PutState* state = nullptr;
  const PutEnd* end = nullptr;
  bool purged = false;  // after all of these: nothing of it is to be written
};

// To be written in the order of the functions below: jobs, purges, forgotten, drains, clock.
// Keeps its memory from commit to commit.
class Fold {
 public:
  // Replaces what was folded before. Jobs stay in the order in which they first appear.
  void fold(std::span<const Record> records);
  [[nodiscard]] const std::vector<Folded>& jobs() const { return jobs_; }
  // In order, none left out. Rows of purged jobs may be there from earlier commits.
  [[nodiscard]] const std::vector<const Purge*>& purges() const { return purges_; }
  // Numbers of purges of earlier commits or of this one.
  [[nodiscard]] const std::vector<uint64_t>& forgotten() const { return forgotten_; }
  [[nodiscard]] const std::vector<const PutDrain*>& drains() const { return drains_; }
  // The last one.
  [[nodiscard]] const std::optional<PutClock>& clock() const { return clock_; }

 private:
  Folded& of(uint64_t seq);
  void on(const PutJob& job) { of(job.seq).job = &job; }
  void on(const PutState& state);
  void on(const PutEnd& end);
  void on(const PutDrain& drain) { drains_.push_back(&drain); }
  void on(const Purge& purge);
  void on(const Forget& forget) { forgotten_.push_back(forget.number); }
  void on(const PutClock& clock) { clock_ = clock; }

  std::vector<Folded> jobs_;
  std::vector<const Purge*> purges_;
  std::vector<uint64_t> forgotten_;
  std::vector<const PutDrain*> drains_;
  std::optional<PutClock> clock_;
  NumberMap places_;
};

}  // namespace zgrid::broker
