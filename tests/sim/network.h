// Connections between peers and the broker, as a ROUTER and its DEALERs see them: in order within
// one connection, delayed at random, lost as a whole when a connection breaks.
// Threads: one world, one thread. Ownership: peers and the broker outlive the network's events.
#pragma once

#include <memory>
#include <string>

#include "protocol/codec.h"
#include "tests/sim/world.h"

namespace zgrid::sim {

class Peer;

// One connection. The broker knows it until it sends into it after its end.
struct Link {
  uint64_t id = 0;
  Peer* peer = nullptr;
  bool up = true;
  bool late = false;  // what was under way to the broker arrives after its end
  Micros last_up{0}, last_down{0};
};
using LinkRef = std::shared_ptr<Link>;

// A worker or a client.
class Peer {
 public:
  Peer(std::string peer_name, protocol::Role peer_role)
      : name(std::move(peer_name)), role(peer_role) {}
  virtual ~Peer() = default;
  virtual void on_frames(const LinkRef& link, const protocol::Frames& frames) = 0;
  virtual void on_link_down(const LinkRef& link) = 0;

  const std::string name;
  const protocol::Role role;
  Micros partitioned_until{0};
};

class BrokerEnd {
 public:
  virtual ~BrokerEnd() = default;
  virtual void on_frames(const LinkRef& link, const protocol::Frames& frames) = 0;
  [[nodiscard]] virtual bool is_listening() const = 0;
};

class Network {
 public:
  struct Options {
    Micros delay_min{50}, delay_max{2000};
    uint64_t spike_percent = 1;  // of messages are late by up to spike_max
    Micros spike_max{300'000};
    uint64_t duplicate_percent = 0;
    uint64_t repeat_percent = 0;  // of results come again, seconds later
    uint64_t late_percent = 0;    // of broken connections deliver late
  };
  Network(World& world, Options options) : world_(world), options_(options) {}
  void set_broker(BrokerEnd* broker) { broker_ = broker; }

  // Null: nobody listens, or the way is cut.
  LinkRef connect(Peer& peer);
  void send_up(const LinkRef& link, protocol::Frames frames);
  // Once more, so much later, whatever has become of the connection.
  void repeat_up(const LinkRef& link, protocol::Frames frames, Micros later);
  [[nodiscard]] uint64_t repeat_percent() const { return options_.repeat_percent; }
  // False: the connection is gone.
  bool send_down(const LinkRef& link, protocol::Frames frames);
  // What is under way is lost; the peer notices a little later.
  void cut(const LinkRef& link);
  // The peer's process is gone: nobody is told.
  void close(const LinkRef& link);
  void cut_all();
  // Messages vanish for that long, then the connection breaks.
  void partition(Peer& peer, Micros duration);
  void heal();
  // From now on nothing goes wrong.
  void calm();

 private:
  Micros delay();
  [[nodiscard]] bool is_cut(const Link& link) const;
  void deliver_up(const LinkRef& link, const protocol::Frames& frames);
  void deliver_down(const LinkRef& link, const protocol::Frames& frames);

  World& world_;
  Options options_;
  BrokerEnd* broker_ = nullptr;
  uint64_t next_id_ = 1;
  std::vector<LinkRef> links_;
};

// For traces: what it is and whom it is about.
std::string describe(const protocol::Message& message);
std::string brief(const JobId& job);
std::string brief(const Token& token);

}  // namespace zgrid::sim
