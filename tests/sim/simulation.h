// A whole grid from one seed: which nodes, which load, which faults, and the verdict.
// Threads: one world, one thread; different worlds may run on different threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/broker_node.h"
#include "tests/sim/client_node.h"
#include "tests/sim/worker_node.h"

namespace zgrid::sim {

struct Verdict {
  uint64_t seed = 0;
  std::string violation;  // empty: every promise was kept
  uint64_t digest = 0;    // equal for equal runs
  Oracle::Tally tally;
  TurnRules::Tally rules;
};

class Simulation {
 public:
  struct Options {
    uint64_t seed = 1;
    bool tracing = false;
    Bug bug = Bug::none;
    // Brokers die and come back, and nothing else goes wrong.
    bool broker_restarts_only = false;
  };
  explicit Simulation(Options options);
  Verdict run();

  // For scenarios that a test directs by itself.
  World& world() { return world_; }
  Network& network() { return *network_; }
  Oracle& oracle() { return oracle_; }
  BrokerNode& broker() { return *broker_; }

 private:
  void build();
  void add_workers();
  void plan_load();
  void plan_faults();
  void act();
  void fault();
  void submit(ClientNode& client);
  void submit_again(ClientNode& client);
  void run_again(ClientNode& client);
  void build_limits(BrokerNode::Options& broker);
  void set_wall();
  void restart_broker();
  void probe_workers();
  bool rest_until(Micros time);
  void check_end();
  [[nodiscard]] std::string make_input();
  SpecRef make_spec();
  void calm_down();
  void undrain_all();
  void explain();
  [[nodiscard]] bool is_at_rest() const;
  [[nodiscard]] std::string what_is_missing() const;
  template <class T>
  T& any(std::vector<std::unique_ptr<T>>& nodes) {
    return *nodes[world_.random.below(nodes.size())];
  }

  const Options options_;
  World world_;
  Oracle oracle_{world_};
  std::unique_ptr<Network> network_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<BrokerNode> broker_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  // What may go wrong in this world.
  bool broker_dies_ = false, broker_pauses_ = false, workers_die_ = false, workers_pause_ = false;
  bool workers_drain_ = false, links_break_ = false, partitions_ = false, cancels_ = false;
  bool wall_jumps_ = false, hangs_ = false, deadly_ = false, reruns_ = false, inputs_vary_ = false;
  BrokerNode::Options limits_;
  WorkerNode* gone_ = nullptr;  // and never comes back
  bool is_over_ = false;
};

}  // namespace zgrid::sim
