// Holds back what must not be heard before it is durable.
// Pure: used by the broker's loop and by the simulation alike. Threads: one.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "broker/core/effects.h"

namespace zgrid::broker {

class CommitGate {
 public:
  // Takes a turn's sends. Those that need not wait are appended to `out`; the order of the others
  // is kept. Turns are numbered upwards; `has_records`: this turn's commit was handed to the store.
  void add(uint64_t turn, bool has_records, std::vector<Send>& sends, std::vector<Send>& out);
  // All commits up to this turn are durable: appends what waited for them.
  void durable(uint64_t turn, std::vector<Send>& out);
  // The last turn whose commit is not durable yet, or 0.
  [[nodiscard]] uint64_t waiting_for() const { return pending_commit_; }

 private:
  struct Held {
    uint64_t turn = 0;  // may go when this one is durable
    Send send;
  };
  std::deque<Held> held_;
  uint64_t pending_commit_ = 0;  // the newest turn with records that is not durable; 0 = none
};

}  // namespace zgrid::broker
