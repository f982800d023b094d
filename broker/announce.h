// The broker's side of discovery: a beacon each second, and at once in answer to a probe.
// Threads: one.
#pragma once

#include <memory>

#include "protocol/beacon.h"
#include "protocol/transport/beacon_socket.h"

namespace zgrid::broker {

class Announcer {
 public:
  static constexpr Millis kInterval{1000};

  // `keys` are beacon keys and grid ids, the newest secret's first: probes of any are answered,
  // announcements are made with the first.
  struct Membership {
    protocol::Key32 key;
    std::string grid_id;
  };
  Announcer(std::unique_ptr<protocol::BeaconSocket> socket, std::vector<Membership> members,
            protocol::Beacon self);

  // Sends what is due and answers what came.
  void turn(MonoTime now);
  [[nodiscard]] MonoTime next_wake() const { return next_; }
  [[nodiscard]] std::vector<int> fds() const { return socket_->fds(); }

 private:
  void answer(const protocol::BeaconSocket::Received& received);

  std::unique_ptr<protocol::BeaconSocket> socket_;
  std::vector<Membership> members_;
  protocol::Beacon self_;
  MonoTime next_{};
};

}  // namespace zgrid::broker
