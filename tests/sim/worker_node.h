// A worker's loop in a simulated process: the turns of worker/loop.cpp around the real core, with
// a runner whose attempts take virtual time, and a spool that survives the process.
// Threads: one world, one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include "tests/sim/broker_node.h"
#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "worker/core/core.h"

namespace zgrid::sim {

class WorkerNode final : public Peer {
 public:
  struct Options {
    uint32_t slots = 1;
    std::vector<std::pair<std::string, std::string>> tags;
    std::vector<std::string> services;
    uint64_t failure_percent = 10;
    uint64_t hang_percent = 0;     // of attempts show no sign of life for long
    uint64_t deadly_percent = 80;  // of attempts of "deadly" jobs kill the worker
    Bug bug = Bug::none;
  };
  WorkerNode(World& world, Network& network, Oracle& oracle, std::string worker_name,
             Options options);

  void start();
  void crash();                       // kill -9: only the spool and the id survive
  void retire() { retired_ = true; }  // it never starts again
  void leave();                       // a second SIGTERM: hands back what it has
  void drain();                       // SIGTERM; it starts again some time after it is done
  void pause(Micros duration);        // SIGSTOP, SIGCONT; its programs run on
  void on_frames(const LinkRef& link, const protocol::Frames& frames) override;
  void on_link_down(const LinkRef& link) override;
  [[nodiscard]] bool is_alive() const { return core_ != nullptr; }
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] const LinkRef& link() const { return link_; }
  [[nodiscard]] const WorkerId& id() const { return facts_.id; }

 private:
  void wake_at(Micros when);
  void turn();
  void try_connect();
  void lose_link(bool gracefully);
  void receive();
  void start_attempt(worker::Start start);
  void end_attempt(const Token& token, Outcome outcome, bool with_output);
  void abort_attempt(const Token& token, JobStatus reason);
  void kill_worker_after(Micros time, const Token& token);
  [[nodiscard]] std::vector<protocol::InHand> activity() const;
  Outcome make_outcome(JobStatus status, Micros run);
  // False: the process ended.
  bool carry_out(worker::Effects& effects);
  void send(const protocol::Message& message);
  void note_discards(const protocol::Message& message);

  World& world_;
  Network& network_;
  Oracle& oracle_;
  const Options options_;
  WorkerFacts facts_;

  std::unique_ptr<worker::Core> core_;
  uint64_t life_ = 0;
  bool retired_ = false;
  Micros started_{0}, paused_until_{0}, wake_at_{0};
  bool wake_set_ = false;

  LinkRef link_;
  bool connecting_ = false;
  bool up_news_ = false, down_news_ = false;
  std::deque<protocol::Frames> inbox_;
  // Sent before the end of the connection was noticed: the socket sends it on the next one.
  std::vector<protocol::Message> carried_over_;
  struct Running {
    Token token;
    Micros since{0};
    bool hangs = false, stopped = false;
  };
  std::map<Nonce, Running> running_;
  std::map<Nonce, worker::Finished> spool_;
};

}  // namespace zgrid::sim
