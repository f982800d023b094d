// The broker's loop in a simulated process: the turns of broker/loop.cpp around the real core and
// the real gate. It can be killed, stopped and continued.
// Threads: one world, one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "broker/core/gate.h"
#include "tests/sim/disk.h"
#include "tests/sim/network.h"

namespace zgrid::sim {

// Bugs that prove the oracle.
enum class Bug : uint8_t {
  none,
  early_ack,         // an acknowledgement does not wait for its commit
  early_reveal,      // answers about jobs do not wait
  stale_accepted,    // a late result counts for the current attempt
  result_forgotten,  // a worker forgets a result when it is sent
  alone_ignored,     // a second job for a worker where one must be alone
  purge_early,       // results are purged before their time
  ids_early,         // ids are forgotten before their time
  wall_deadline,     // deadlines run on the wall clock
  abort_overtakes,   // the gate does not wait for inputs that are read
  wedged_uncounted,  // an attempt that hung is run again and costs nothing
  inputs_swapped     // what the store read for one job goes to another
};

class BrokerNode final : public BrokerEnd {
 public:
  struct Options {
    uint64_t small_batch_percent = 0;  // of turns read only a few messages
    bool overtake = true;
    uint64_t queue_jobs_max = 10'000;
    uint64_t memory_bytes = 64u << 20;
    uint64_t in_flight_max = 1'000'000;
    uint64_t retention_jobs = 1'000'000;
    uint64_t retention_bytes = 1u << 30;
    Millis retention{7 * 24 * 3'600'000LL};
    Millis retention_ids{7 * 24 * 3'600'000LL};
    Millis wedged_after{60'000};
    Bug bug = Bug::none;
  };
  BrokerNode(World& world, Network& network, Disk& disk, Oracle& oracle, Options options);

  void start();
  void crash();                 // kill -9; the disk decides what survives
  void stop();                  // in good order
  void pause(Micros duration);  // SIGSTOP, SIGCONT
  void calm();
  void on_frames(const LinkRef& link, const protocol::Frames& frames) override;
  [[nodiscard]] bool is_listening() const override { return core_ != nullptr; }
  [[nodiscard]] const broker::Core* core() const { return core_.get(); }

 private:
  // A worker that said READY, and when it was last heard as the core counts that: gaps of the loop
  // move it on.
  struct Heard {
    SessionId session = SessionId::none;
    WorkerId worker;
    MonoTime at;
  };
  void wake_at(Micros when);
  void turn(uint64_t life);
  void receive_batch();
  void receive_one(const LinkRef& link, const protocol::Frames& frames);
  void handle(broker::Effects& effects, bool is_last = false);
  void run_read(broker::StoreRead read);
  void collect(Disk::Done& done);
  void deliver();
  void drop(SessionId id);
  void extend(Micros gap);
  [[nodiscard]] broker::CoreConfig make_config();
  [[nodiscard]] Now core_clock();
  void plant(broker::Effects& effects);
  void plant_second_job(broker::Effects& effects);
  void plant(protocol::Message& message);
  void finish_turn(Now now);
  void hear(const Peer& peer, SessionId session, const protocol::Message& message);
  void on_workers_lost(size_t lost, MonoTime now);

  World& world_;
  Network& network_;
  Disk& disk_;
  Oracle& oracle_;
  Options options_;
  StoreId store_id_;
  uint64_t epoch_ = 0;
  uint64_t life_ = 0;
  Micros started_{0}, paused_until_{0}, wake_at_{0};
  bool wake_set_ = false;

  std::unique_ptr<broker::Core> core_;
  broker::CommitGate gate_;
  std::deque<std::pair<LinkRef, protocol::Frames>> inbox_;
  std::map<uint64_t, SessionId> sessions_;  // by link
  std::map<std::string, Heard> heard_;      // by the worker's name
  std::map<SessionId, LinkRef> links_;
  uint64_t next_session_ = 1;
  uint64_t turn_ = 0;
  bool drained_ = true, refusing_ = false;
  size_t inputs_due_ = 0;
  MonoTime slept_until_;
  Micros wall_seen_{0}, wall_added_{0};  // of the planted clock
  std::vector<broker::Send> outgoing_;
};

}  // namespace zgrid::sim
