// The UDP side of beacons: one socket for each interface, sharing the port with every other
// zgrid process and any other ZeroMQ beacon listener of this host.
//
// Nothing leaves the host unless an interface is asked for: the default is the loopback broadcast
// address 127.255.255.255. An interface that goes down and comes up again gets a new socket
// (one bound while it was down stays deaf).
// Threads: one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid::protocol {

class BeaconSocket {
 public:
  struct Options {
    bool lan = false;                     // every interface that is up, but virtual ones
    std::vector<std::string> interfaces;  // or exactly these, by name
    uint16_t port = 5670;
  };
  static Result<std::unique_ptr<BeaconSocket>> open(const Options& options);
  virtual ~BeaconSocket() = default;

  // To the broadcast address of each interface. Failures of single interfaces are counted, not
  // fatal: an interface may be going down.
  virtual void broadcast(std::string_view datagram) = 0;
  virtual void send_to(const std::string& address, std::string_view datagram) = 0;
  struct Received {
    std::string address;    // "10.0.0.7:5670": where it came from
    std::string interface;  // "lo"
    std::string datagram;
  };
  virtual bool receive(Received& into) = 0;  // false: none waits
  // Looks for interfaces that came or went; call about once a second.
  virtual void refresh() = 0;
  // Poll these for reading; they change only in refresh().
  [[nodiscard]] virtual std::vector<int> fds() const = 0;
  struct Interface {
    std::string name, address, broadcast;
    uint64_t sent = 0, send_failed = 0, received = 0;
    int last_errno = 0;
  };
  [[nodiscard]] virtual std::vector<Interface> interfaces() const = 0;
};

}  // namespace zgrid::protocol
