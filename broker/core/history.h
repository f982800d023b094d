// What is remembered of jobs that ended, in order of their end: first those whose results were
// purged, then those whose results the store still has.
//
//   end_job() ─▶ kept ──(retention is over, or too many)──▶ purged ──(retention of ids)──▶
//   forgotten
//
// Purged jobs lie in chunks: one row of the store each, forgotten together. It decides nothing
// about time; retention.cpp does. Some 90 bytes a job. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/core/id_index.h"
#include "broker/store/job_store.h"

namespace zgrid::broker {

// One job that ended.
struct Past {
  JobId id;
  Hash128 body;
  uint64_t seq = 0;
  GridTime ended;
  uint64_t bytes = 0;    // in the store; 0 once purged
  uint32_t attempt = 0;  // the last one; its result was accepted
  JobStatus status = JobStatus::succeeded;
  bool by_broker = false;  // unless the broker ended the job itself (kept for this life only)
  bool purged = false;
  bool forgotten = false;  // its place is not free yet
};

class History {
 public:
  // Places are counted from `first`, for tests near the end of their numbers.
  explicit History(uint32_t first = 0) : first_(first), next_kept_(first) {}

  // Null if it is unknown, or forgotten.
  [[nodiscard]] const Past* find(const JobId& id) const;

  // Has the processor fetch what find() and add() will look at first.
  void prefetch(const JobId& id) const { index_.prefetch(id); }

  // The newest end. `key` and `children` may be empty.
  void add(const Past& past, std::string key, std::vector<JobId> children);
  // Recovery, in this order: purged rows by number, then ended jobs in any order, then sort().
  void restore(Purge&& purge);
  void sort();

  // A broadcast's children; null for other jobs.
  [[nodiscard]] const std::vector<JobId>* children(const JobId& id) const;

  // The oldest job with a result; null: none.
  [[nodiscard]] const Past* oldest_kept();
  // Marks the oldest kept one as purged; the record of it, into which more may go.
  Purge purge_oldest(GridTime at);
  void purge_more(Purge& purge);
  // The same for single jobs, out of turn. Unknown and purged ones are passed over.
  Purge purge(const std::vector<JobId>& ids, GridTime at);

  // When the oldest chunk was purged; nothing: there is none.
  [[nodiscard]] std::optional<GridTime> oldest_purge() const;
  // Forgets the oldest chunk. `each` hears of every job in it, with its key, before it is gone.
  template <class Each>
  Forget forget_oldest(Each&& each) {
    Chunk chunk = std::move(chunks_.front());
    chunks_.pop_front();
    for (const uint32_t place : chunk.places) {
      each(at(place), key_of(at(place).id));
      drop(place);
    }
    pop_forgotten();
    return Forget{chunk.number};
  }

  // Every job that is not forgotten, oldest end first.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Past& past : pasts_) {
      if (!past.forgotten) visit(past);
    }
  }

  [[nodiscard]] uint64_t kept() const { return kept_; }
  [[nodiscard]] uint64_t kept_bytes() const { return kept_bytes_; }
  [[nodiscard]] uint64_t size() const { return known_; }

 private:
  struct Chunk {
    uint64_t number = 0;
    GridTime at;
    std::vector<uint32_t> places;
  };

  // Places are counted up, and over.
  [[nodiscard]] const Past& at(uint32_t place) const { return pasts_[place - first_]; }
  [[nodiscard]] Past& at(uint32_t place) { return pasts_[place - first_]; }
  [[nodiscard]] uint32_t end() const { return first_ + static_cast<uint32_t>(pasts_.size()); }
  [[nodiscard]] const std::string& key_of(const JobId& id) const;
  uint32_t append(const Past& past, std::string key, std::vector<JobId> children);
  void purge_place(uint32_t place, Purge& into, Chunk& chunk);
  Purge open_purge(GridTime at, Chunk& chunk);
  void drop(uint32_t place);
  void pop_forgotten();

  [[nodiscard]] std::optional<uint32_t> place_of(const JobId& id) const;

  std::deque<Past> pasts_;
  uint32_t first_;      // the place of pasts_.front()
  uint32_t next_kept_;  // no kept job lies before this place
  std::deque<Chunk> chunks_;
  uint64_t next_number_ = 1;
  uint64_t kept_ = 0, kept_bytes_ = 0, known_ = 0;
  IdIndex index_;
  // What few jobs have.
  std::unordered_map<JobId, std::string> keys_;
  std::unordered_map<JobId, std::vector<JobId>> children_;
};

}  // namespace zgrid::broker
