// The unfinished jobs by id. Their places in memory never change, and are used again; what a queue
// took is kept for the next one.
// Internal to the core. Threads: one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "broker/core/id_index.h"
#include "protocol/base/check.h"
#include "protocol/base/ids.h"

namespace zgrid::broker {

// Job: has an `id`; Job{} holds nothing.
template <class Job>
class JobTable {
 public:
  JobTable() = default;
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;

  // Null if there is none.
  [[nodiscard]] Job* find(const JobId& id) const {
    const auto place = place_of(id);
    return place ? &at(*place) : nullptr;
  }
  [[nodiscard]] bool contains(const JobId& id) const { return place_of(id).has_value(); }
  void prefetch(const JobId& id) const { index_.prefetch(id); }
  [[nodiscard]] size_t size() const { return index_.size(); }

  // A job as it is made, but for its id, which must be new.
  Job& add(const JobId& id) {
    if (free_.empty()) {
      const auto first = static_cast<uint32_t>(chunks_.size() * kChunk);
      chunks_.push_back(std::make_unique_for_overwrite<Chunk>());  // a Job sets all of itself
      for (uint32_t i = kChunk; i-- > 0;) free_.push_back(first + i);
    }
    const uint32_t place = free_.back();
    free_.pop_back();
    index_.add(id, place);
    Job& job = at(place);
    job.id = id;
    return job;
  }

  void erase(Job& job) {
    const auto place = place_of(job.id);
    ZGRID_CHECK(place);
    index_.erase(job.id, *place);
    job = Job{};
    free_.push_back(*place);
  }

  // In no order that means anything: sort what must not depend on it.
  template <class Visit>
  void for_each(Visit&& visit) const {
    index_.for_each([&](uint32_t place) { visit(at(place)); });
  }

 private:
  static constexpr uint32_t kChunk = 1024;
  using Chunk = std::array<Job, kChunk>;

  [[nodiscard]] Job& at(uint32_t place) const { return (*chunks_[place / kChunk])[place % kChunk]; }
  [[nodiscard]] std::optional<uint32_t> place_of(const JobId& id) const {
    return index_.find(id, [&](uint32_t place) { return at(place).id == id; });
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<uint32_t> free_;  // the last that became free is the first to be used again
  IdIndex index_;
};

}  // namespace zgrid::broker
