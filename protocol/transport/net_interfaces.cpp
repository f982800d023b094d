#include "protocol/transport/net_interfaces.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>

namespace zgrid::protocol::transport {
namespace {

constexpr uint32_t kLoopbackBroadcast = 0x7fffffff;
constexpr uint32_t kLoopbackAddress = 0x7f000001;

uint32_t ipv4_of(const sockaddr* address) {
  if (address == nullptr || address->sa_family != AF_INET) return 0;
  return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
}

}  // namespace

std::vector<Network> list_networks() {
  std::vector<Network> networks;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return networks;
  for (const ifaddrs* it = first; it != nullptr; it = it->ifa_next) {
    if (it->ifa_addr == nullptr || it->ifa_addr->sa_family != AF_INET) continue;
    if ((it->ifa_flags & IFF_UP) == 0) continue;
    Network network;
    // The label of a second address may be NAME:LABEL.
    network.name = std::string(it->ifa_name).substr(0, std::string_view(it->ifa_name).find(':'));
    network.address = ipv4_of(it->ifa_addr);
    network.netmask = ipv4_of(it->ifa_netmask);
    network.is_loopback = (it->ifa_flags & IFF_LOOPBACK) != 0;
    if (network.is_loopback) {
      // Further addresses of loopback have nobody else behind them.
      if (network.address != kLoopbackAddress) continue;
      network.broadcast = kLoopbackBroadcast;
    } else if ((it->ifa_flags & IFF_BROADCAST) != 0) {
      network.broadcast = ipv4_of(it->ifa_broadaddr);
    }
    if (network.broadcast != 0) networks.push_back(network);
  }
  freeifaddrs(first);
  return networks;
}

std::vector<Network> choose_networks(const std::vector<Network>& all,
                                     const BeaconSocket::Options& options) {
  std::vector<Network> chosen;
  for (const Network& network : all) {
    const bool named = std::find(options.interfaces.begin(), options.interfaces.end(),
                                 network.name) != options.interfaces.end();
    const bool wanted = options.interfaces.empty()
                            ? network.is_loopback || (options.lan && !is_virtual(network.name))
                            : named;
    const bool twice = std::any_of(chosen.begin(), chosen.end(), [&](const Network& other) {
      return other.name == network.name && other.broadcast == network.broadcast;
    });
    if (wanted && !twice) chosen.push_back(network);
  }
  return chosen;
}

bool is_virtual(std::string_view name) {
  for (const std::string_view prefix : {"docker", "br-", "veth", "virbr", "tun", "wg"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

std::string format_ipv4(uint32_t address) {
  const in_addr raw{htonl(address)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &raw, text, sizeof text) == nullptr ? std::string() : text;
}

bool parse_address(const std::string& text, uint32_t& address, uint16_t& port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return false;
  in_addr raw{};
  if (inet_pton(AF_INET, text.substr(0, colon).c_str(), &raw) != 1) return false;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  if (parsed.ec != std::errc{} || parsed.ptr != end || port == 0) return false;
  address = ntohl(raw.s_addr);
  return true;
}

}  // namespace zgrid::protocol::transport
