// The store's thread and its disk: commits take time, fail in all four ways, and of what was not
// durable when the broker died a prefix survives. The rows themselves are the real MemoryStore's.
// Threads: one world, one thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "broker/store/committer.h"
#include "broker/store/memory_store.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

namespace zgrid::sim {

class Disk {
 public:
  struct Options {
    Micros commit_min{200}, commit_max{8000};
    uint64_t stall_percent = 0;        // of commits take up to a second
    uint64_t not_written_percent = 0;  // nothing is written; tried again
    uint64_t unknown_percent = 0;      // written or not; tried again
    uint64_t low_space_percent = 0;    // written into the reserve
    uint64_t fatal_permille = 0;       // the process must stop
    Micros read_max{300};
  };
  Disk(World& world, Oracle& oracle, Options options)
      : world_(world), oracle_(oracle), options_(options) {}

  // What broker::Committer offers, by the same names and with the same meaning.
  struct Done {
    uint64_t durable_up_to = 0;
    bool fatal = false;
    bool refusing = false;
    using Ready = broker::Committer::Done::Ready;
    std::vector<Ready> ready;
  };
  using Reader = std::function<std::function<void()>(broker::JobStore&)>;
  void commit(uint64_t turn, std::vector<broker::Record> records);
  void read(Reader reader);
  Done poll();

  // A broker process starts; `wake` is called when poll() has news.
  void open(std::function<void()> wake);
  // It dies.
  void crash();
  void calm();
  broker::JobStore& store() { return store_; }

 private:
  struct Turn {
    uint64_t number = 0;
    std::vector<broker::Record> records;
    Reader reader;
  };
  struct Batch {
    uint64_t up_to = 0, number = 0;
    std::vector<broker::Record> records;
  };
  void work();
  void write();
  void end_write();
  void apply();
  void news();

  World& world_;
  Oracle& oracle_;
  Options options_;
  broker::MemoryStore store_;
  uint64_t life_ = 0;  // events of an earlier process are void
  std::function<void()> wake_;
  std::deque<Turn> queue_;
  std::shared_ptr<Batch> batch_;  // on its way
  uint64_t next_batch_ = 1, last_turn_ = 0;
  bool reading_ = false;
  uint32_t unknowns_ = 0;
  Done done_;
};

}  // namespace zgrid::sim
