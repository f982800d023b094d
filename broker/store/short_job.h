// An ordinary job that ended, in little more than a third of what a StoredJob takes: for the store
// in memory, where ended jobs are nearly all there is.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "broker/store/job_store.h"

namespace zgrid::broker {

class ShortJob {
 public:
  // Nothing, and `job` as it was, unless it succeeded without anything that few jobs have: a key, a
  // trace, a parent or children, losses or failures, an event type of its own, usage. What it was
  // in before it ended is not kept. `newest` is the owner of an earlier one, which mostly is the
  // same, and becomes this one's.
  static std::unique_ptr<ShortJob> of(StoredJob& job, std::shared_ptr<const std::string>& newest);

  [[nodiscard]] StoredJob whole(uint64_t seq) const;
  [[nodiscard]] const JobId& id() const { return id_; }
  [[nodiscard]] const JobSpec& spec() const { return spec_->job; }
  static constexpr JobStatus kStatus = JobStatus::succeeded;

 private:
  JobId id_;
  SpecRef spec_;
  Payload input_, output_;
  uint64_t index_ = 0;
  std::shared_ptr<const std::string> owner_;
  Hash128 body_;
  WallTime submitted_, started_, finished_;
  GridTime accepted_, ended_;
  Micros run_{0};
  WorkerFactsRef worker_;
  uint32_t attempt_ = 0;
};

}  // namespace zgrid::broker
