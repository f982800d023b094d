// A client that does what client/connection.cpp does: it keeps what is not acknowledged, submits
// it again with the same ids after a reconnection, and watches again what is outstanding.
// Threads: one world, one thread.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "tests/sim/network.h"
#include "tests/sim/oracle.h"

namespace zgrid::sim {

class ClientNode final : public Peer {
 public:
  ClientNode(World& world, Network& network, Oracle& oracle, std::string client_name);

  void start();
  void submit(std::vector<SpecRef> specs, std::vector<protocol::JobEntry> jobs, bool events);
  void watch(std::vector<JobId> jobs, bool events);
  void cancel(std::vector<JobId> jobs);
  // Runs ended jobs again, under these ids; asked again until there is an answer that counts.
  void retry(std::vector<protocol::Retry::Item> items);
  void purge(std::vector<JobId> jobs);
  void query(protocol::Query query);
  void control(protocol::Control::Op op, const std::string& worker);

  void on_frames(const LinkRef& link, const protocol::Frames& frames) override;
  void on_link_down(const LinkRef& link) override;
  [[nodiscard]] const LinkRef& link() const { return link_; }

  // Everything was answered and each watched job has its result.
  [[nodiscard]] bool is_idle() const {
    return retries_ == 0 && submits_.empty() && calls_.empty() && watched_.empty();
  }
  [[nodiscard]] std::string what_is_missing() const;
  [[nodiscard]] const std::vector<uint64_t>& counts() const { return counts_; }
  // All that it ever submitted.
  struct Submitted {
    SpecRef spec;
    protocol::JobEntry entry;
  };
  [[nodiscard]] const std::vector<Submitted>& history() const { return history_; }
  // All that it ever asked to run again.
  [[nodiscard]] const std::vector<protocol::Retry::Item>& reruns() const { return reruns_; }

 private:
  enum class State : uint8_t { down, greeting, up };
  void connect_later();
  void greet();
  void beat(uint64_t beats);
  void send(const protocol::Message& message);
  void call(uint64_t request, protocol::Message message);
  void rewatch();
  void on_message(protocol::SubmitAck& ack);
  void on_message(protocol::Results& results);
  void on_message(protocol::WatchAck& ack);
  void on_message(protocol::CancelAck& ack) { calls_.erase(ack.request); }
  void on_message(protocol::RetryAck& ack);
  void on_message(protocol::Answer& answer);
  void on_message(protocol::Welcome&);
  void on_message(protocol::Disconnect&);
  template <class M>
  void on_message(M&) {}

  World& world_;
  Network& network_;
  Oracle& oracle_;
  State state_ = State::down;
  LinkRef link_;
  uint64_t beats_ = 0;
  uint64_t next_request_ = 1;
  std::map<uint64_t, protocol::Submit> submits_;  // not acknowledged
  size_t retries_ = 0;                            // refused for now
  std::map<uint64_t, protocol::Message> calls_;   // not answered
  std::map<JobId, bool> watched_;                 // with its events?
  std::set<JobId> got_;                           // results of these came
  std::vector<Submitted> history_;
  std::vector<protocol::Retry::Item> reruns_;
  std::vector<uint64_t> counts_;
};

}  // namespace zgrid::sim
