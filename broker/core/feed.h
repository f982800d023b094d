// What happened on the grid lately, and the log lines of jobs that ended: both in memory, both
// bounded, both gone with the broker. What people look at with `zgrid events` and `zgrid logs`.
//
// The feed is a ring. Its numbers start at the wall clock's microseconds, so that they also ascend
// over restarts, and whoever asks for what came after a number learns whether anything between was
// dropped. Workers' events and jobs that end badly are always in it; the other jobs' only while
// somebody follows, so that a busy grid with nobody looking pays nothing for it.
// Threads: one.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_map>

#include "protocol/base/limits.h"
#include "protocol/messages.h"

namespace zgrid::broker {

class Feed {
 public:
  // The first turn's. A wall clock that was set back since the last start gives numbers that were
  // used before: who follows then sees a gap that is none.
  void start(WallTime now) { next_seq_ = static_cast<uint64_t>(std::max<int64_t>(now.us, 0)) + 1; }
  // `seq` is given here; texts are cut to their limits.
  void add(protocol::GridEvent event);
  // Somebody follows from now on for limits::kFollowed.
  void follow(MonoTime now);
  void advance(MonoTime now) {
    if (is_followed_ && now > followed_until_) is_followed_ = false;
  }
  [[nodiscard]] bool is_followed() const { return is_followed_; }
  // Those after `since` (0: all that are there), and whether some of them are not there any more.
  void read(uint64_t since, protocol::Answer& into) const;

 private:
  std::deque<protocol::GridEvent> events_;
  uint64_t next_seq_ = 1;
  MonoTime followed_until_;
  bool is_followed_ = false;
};

// The latest events of an attempt, for those who attach later.
struct EventLog {
  std::deque<JobEvent> events;
  size_t bytes = 0;
  bool cut = false;        // older ones were dropped
  bool has_lines = false;  // it wrote to stderr
};

// Of jobs that ended, those that wrote anything: the last ones within the limits.
class PastLogs {
 public:
  struct Kept {
    uint32_t attempt = 0;
    EventLog log;
  };
  void keep(const JobId& job, uint32_t attempt, EventLog log);
  void drop(const JobId& job);
  // Null if it is not kept (any more).
  [[nodiscard]] const Kept* find(const JobId& job) const;

 private:
  std::unordered_map<JobId, Kept> logs_;  // only looked up
  std::deque<JobId> order_;               // oldest first; may name some that were dropped
  size_t bytes_ = 0;
};

}  // namespace zgrid::broker
