// The unfinished jobs by id. Their places in memory never change, and are used again.
// Internal to the core. Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "protocol/base/flat_map.h"
#include "protocol/base/ids.h"

namespace zgrid::broker {

template <class Job>
class JobTable {
 public:
  JobTable() = default;
  JobTable(const JobTable&) = delete;
  JobTable& operator=(const JobTable&) = delete;
  ~JobTable() {
    for_each([](const Job& job) { delete &job; });
  }

  // Null if there is none.
  [[nodiscard]] Job* find(const JobId& id) const {
    const auto place = places_.find(id);
    return place ? at(*place) : nullptr;
  }
  [[nodiscard]] bool contains(const JobId& id) const { return places_.find(id).has_value(); }
  void prefetch(const JobId& id) const { places_.prefetch(id); }
  [[nodiscard]] size_t size() const { return places_.size(); }

  // A job as it is made, but for its id, which must be new.
  Job& add(const JobId& id) {
    std::unique_ptr<Job> job;
    if (spares_.empty()) {
      job = std::make_unique<Job>();
    } else {
      job = std::move(spares_.back());
      spares_.pop_back();
    }
    job->id = id;
    Job& added = *job.release();
    places_.set(id, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(&added)));
    return added;
  }

  void erase(Job& job) {
    places_.erase(job.id);
    std::unique_ptr<Job> gone(&job);
    if (spares_.size() >= kSparesMax) return;
    *gone = Job{};
    spares_.push_back(std::move(gone));
  }

  // In no order that means anything: sort what must not depend on it.
  template <class Visit>
  void for_each(Visit&& visit) const {
    places_.for_each([&](const JobId&, uint64_t place) { visit(*at(place)); });
  }

 private:
  static constexpr size_t kSparesMax = 4096;  // about what is in hand of a busy grid

  static Job* at(uint64_t place) { return reinterpret_cast<Job*>(static_cast<uintptr_t>(place)); }

  FlatMap<JobId, IdTailHash> places_;
  std::vector<std::unique_ptr<Job>> spares_;
};

}  // namespace zgrid::broker
