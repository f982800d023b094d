// The IPv4 networks of this host that beacons may use.
// Threads: free functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/transport/beacon_socket.h"

namespace zgrid::protocol::transport {

// One address of an interface. Addresses are in host byte order.
struct Network {
  std::string name;
  uint32_t address = 0;
  uint32_t netmask = 0;
  uint32_t broadcast = 0;  // 127.255.255.255 for loopback
  bool is_loopback = false;
  friend bool operator==(const Network&, const Network&) = default;
};

// Those that are up and know broadcasts, and loopback.
std::vector<Network> list_networks();
// Of them, those that the options ask for, one for each interface and broadcast address.
std::vector<Network> choose_networks(const std::vector<Network>& all,
                                     const BeaconSocket::Options& options);
// docker*, br-*, veth*, virbr*, tun*, wg*: nobody lives there whom we want to meet.
bool is_virtual(std::string_view name);

std::string format_ipv4(uint32_t address);
// "10.0.0.7:5670". False for another form.
bool parse_address(const std::string& text, uint32_t& address, uint16_t& port);

}  // namespace zgrid::protocol::transport
