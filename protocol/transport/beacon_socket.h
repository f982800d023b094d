// The UDP side of beacons: for each interface one socket that hears broadcasts, sharing the port
// with every other zgrid process and any other ZeroMQ beacon listener of this host, and one of its
// own that sends, so that answers come back to who has asked. IPv4.
//
// Nothing leaves the host unless an interface is asked for: the default is the loopback broadcast
// address 127.255.255.255. An interface that goes down and comes up again gets a new socket
// (one bound while it was down stays deaf).
// Threads: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid::protocol {

class BeaconSocket {
 public:
  struct Options {
    bool lan = false;  // loopback and every interface that is up, but virtual ones
    std::vector<std::string> interfaces;  // or exactly these, by name
    uint16_t port = 5670;
  };
  // Errc::cannot_create if no interface could be opened. An interface that is not there is no
  // error: it may come.
  static Result<std::unique_ptr<BeaconSocket>> open(const Options& options);
  virtual ~BeaconSocket() = default;

  // To the broadcast address of each interface. Failures of single interfaces are counted, not
  // fatal: an interface may be going down. The sender hears its own.
  virtual void broadcast(std::string_view datagram) = 0;
  // To a Received.address. Does nothing for an address outside of the interfaces' networks.
  virtual void send_to(const std::string& address, std::string_view datagram) = 0;
  struct Received {
    std::string address;    // "10.0.0.7:40001": where it came from and an answer is heard
    std::string interface;  // "lo"
    std::string datagram;
  };
  // False: none waits. Datagrams over 255 bytes are dropped.
  virtual bool receive(Received& into) = 0;
  // Looks for interfaces that came or went; call about once a second.
  virtual void refresh() = 0;
  // Poll these for reading; they change only in refresh().
  [[nodiscard]] virtual std::vector<int> fds() const = 0;
  struct Interface {
    std::string name, address, broadcast;
    uint64_t sent = 0, send_failed = 0, received = 0;
    int last_errno = 0;  // of the last thing that failed; 0 = nothing has
  };
  [[nodiscard]] virtual std::vector<Interface> interfaces() const = 0;
};

}  // namespace zgrid::protocol
