// The broker's real core between one client and many workers, in virtual time: no socket, disk or
// codec. Everything that leaves the core is checked, outside of what is measured.
//
// Jobs come at a fixed rate of virtual time and run for a fixed time, so that equally many are in
// hand however many workers share them.
// Threads: one. Memory: bounded by retention, but for two bytes for each job that ever was.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/core.h"

namespace zgrid::bench {

// Counts instead of chance, so that runs are alike.
class Counting final : public broker::Entropy {
 public:
  void fill(std::span<uint8_t> into) override;

 private:
  uint64_t count_ = 0;
};

class SimGrid {
 public:
  struct Options {
    size_t workers = 1;
    size_t in_hand = 3000;     // jobs that run at once, of all workers
    size_t jobs_per_turn = 1;  // submitted, and ended, in a turn of the core
    uint32_t prefetch = 1;     // a worker's window is so many times its slots
    uint64_t jobs_max = 10'000'000;
    uint64_t retention_jobs = 100'000;
    bool rules = false;  // also what tests/sim checks of every turn; slow
  };
  explicit SimGrid(const Options& options);
  ~SimGrid();

  // So many jobs more. False: something was wrong, see problem().
  bool run(uint64_t jobs);
  // Until nothing is under way; then everything must add up.
  bool finish();

  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] size_t workers() const { return options_.workers; }
  [[nodiscard]] uint64_t ended() const { return ended_; }
  // The time that the core itself took since the last call, and for how many jobs and messages.
  struct Cost {
    uint64_t ns = 0, jobs = 0, turns = 0, received = 0, sent = 0;
    double cpu_share = 1;  // of the time of the last run() in which this thread ran
  };
  Cost take_cost() { return std::exchange(cost_, {}); }

 private:
  struct Rules;
  struct Arrival {
    SessionId from;
    protocol::Role role;
    protocol::Message message;
  };
  // What was given out in one turn ends in one turn.
  struct Due {
    MonoTime at;
    std::vector<std::pair<uint32_t, protocol::FinalEntry>> ends;  // by worker
  };

  void join(size_t worker);
  void submit(size_t jobs);
  void end_what_is_due();
  void turn();
  void take(broker::Effects& effects);
  void on(size_t worker, protocol::Request& request);
  void on(const protocol::Results& results);
  void on(const protocol::SubmitAck& ack);
  void on(const protocol::FinalAck& ack);
  void on(const broker::Record& record);
  void step(uint64_t job, uint8_t from, uint8_t to, const char* what);
  void fail(std::string what);

  const Options options_;
  Counting entropy_;
  broker::Core core_;
  SpecRef spec_;
  Payload payload_;
  Now now_;
  Micros turn_time_;
  std::vector<Arrival> inbox_;
  std::deque<Due> due_;
  std::vector<protocol::Final> finals_;  // of this turn, by worker
  std::vector<uint32_t> has_final_;
  std::vector<uint32_t> in_hand_;  // by worker
  std::vector<uint64_t> batches_;  // by worker
  uint32_t window_ = 1;
  std::vector<uint8_t> life_;     // by job: see State in grid.cpp
  std::vector<uint8_t> records_;  // by job: accepted, running, ended
  uint64_t submitted_ = 0, acknowledged_ = 0, assigned_ = 0, ended_ = 0, requests_ = 0;
  std::unique_ptr<Rules> rules_;
  Cost cost_;
  std::string problem_;
};

}  // namespace zgrid::bench
