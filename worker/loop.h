// The worker's loop: the shell around its core. It never runs a job itself for long: programs are
// child processes, so that heartbeats go out however busy the machine is.
// Threads: one.
#pragma once

#include <memory>

#include "client/clock.h"
#include "protocol/log/log.h"
#include "worker/broker_link.h"
#include "worker/core/core.h"
#include "worker/run_worker.h"
#include "worker/runner.h"
#include "worker/spool.h"

namespace zgrid::worker {

class Loop {
 public:
  struct Parts {
    CoreConfig config;
    BrokerLink link;
    Spool spool;
    Runner::Options runner;
    client::Clock clock;
    Log* log = nullptr;
    int drain_fd = -1, stop_fd = -1, reload_fd = -1;
    std::function<void(const std::string&)> on_ready;
  };
  explicit Loop(Parts parts);

  // Opens the runner and reads the spool. Errc::config for a bad workflow file.
  Result<void> prepare();
  Result<void> run();

 private:
  static constexpr int kBatch = 1000;
  static constexpr Millis kMeasure{1000};  // load and activity, for the next heartbeat
  static constexpr Millis kSpoolRetry{1000};

  struct Signals {
    bool stop = false, drain = false, reload = false;
  };

  Result<bool> turn();  // true: done
  void receive_batch();
  [[nodiscard]] Signals look_at_signals() const;
  void drain();
  void reload();
  void measure();
  Result<bool> carry_out(Effects& effects);
  void write_spool();
  void wait();

  Parts parts_;
  Core core_;
  std::unique_ptr<Runner> runner_;
  Now now_;
  MonoTime next_measure_;
  std::vector<Finished> to_spool_;  // not written yet: the disk refused
  MonoTime next_spool_;
  bool was_welcomed_ = false;
  bool drain_seen_ = false;
  bool more_waits_ = false;
  protocol::Frames frames_;
};

}  // namespace zgrid::worker
