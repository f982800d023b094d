#include "protocol/transport/beacon_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/beacon.h"
#include "protocol/transport/net_interfaces.h"

namespace zgrid::protocol {
namespace {

using transport::Network;

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

sockaddr_in to_sockaddr(uint32_t address, uint16_t port) {
  sockaddr_in raw{};
  raw.sin_family = AF_INET;
  raw.sin_addr.s_addr = htonl(address);
  raw.sin_port = htons(port);
  return raw;
}

// Not ok, with errno, if the address is not there (yet, or any more) or the port is taken by a
// program that does not share it.
Fd bound_socket(uint32_t address, uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  const sockaddr_in raw = to_sockaddr(address, port);
  if (fd.get() < 0 || setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on) != 0 ||
      (port != 0 && setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) ||
      bind(fd.get(), reinterpret_cast<const sockaddr*>(&raw), sizeof raw) != 0) {
    const int number = errno;
    fd = Fd();
    errno = number;
  }
  return fd;
}

// A broadcast reaches every socket that shares a port, a datagram for one host only one of them:
// so answers are asked for, and given, on a socket that shares its port with nobody.
struct Link {
  Network network;
  Fd listener;  // on the broadcast address and the beacon port
  Fd talker;    // on the interface's own address and any port
  BeaconSocket::Interface facts;

  [[nodiscard]] bool is_open() const { return listener.get() >= 0; }
  void try_to_open(uint16_t port) {
    Fd first = bound_socket(network.broadcast, port);
    if (first.get() >= 0) {
      talker = bound_socket(network.address, 0);
      if (talker.get() >= 0) {
        listener = std::move(first);
        return;
      }
    }
    facts.last_errno = errno;
  }
  void send(uint32_t to, uint16_t port, std::string_view datagram) {
    const sockaddr_in raw = to_sockaddr(to, port);
    const ssize_t sent = sendto(talker.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&raw), sizeof raw);
    if (sent >= 0) {
      ++facts.sent;
    } else {
      ++facts.send_failed;
      facts.last_errno = errno;
    }
  }
};

Link make_link(const Network& network, uint16_t port) {
  Link link;
  link.network = network;
  link.facts.name = network.name;
  link.facts.address = transport::format_ipv4(network.address);
  link.facts.broadcast = transport::format_ipv4(network.broadcast);
  link.try_to_open(port);
  return link;
}

class UdpBeaconSocket final : public BeaconSocket {
 public:
  explicit UdpBeaconSocket(Options options) : options_(std::move(options)) { refresh(); }

  void broadcast(std::string_view datagram) override {
    ZGRID_CHECK(datagram.size() <= kBeaconBytesMax);
    for (Link& link : links_) {
      if (link.is_open()) link.send(link.network.broadcast, options_.port, datagram);
    }
  }

  void send_to(const std::string& address, std::string_view datagram) override {
    ZGRID_CHECK(datagram.size() <= kBeaconBytesMax);
    uint32_t to = 0;
    uint16_t port = 0;
    if (!transport::parse_address(address, to, port)) return;
    for (Link& link : links_) {
      const uint32_t mask = link.network.netmask;
      if (!link.is_open() || (to & mask) != (link.network.address & mask)) continue;
      link.send(to, port, datagram);
      return;
    }
    // Nobody outside of our networks is answered: what came from there was not a broadcast.
  }

  bool receive(Received& into) override {
    // Each call starts at another socket, so that a flood on one does not hide the others.
    const size_t sockets = links_.size() * 2;
    for (size_t i = 0; i < sockets; ++i) {
      const size_t at = (next_ + i) % sockets;
      Link& link = links_[at / 2];
      if (link.is_open() && receive_from(link, at % 2 == 0 ? link.listener : link.talker, into)) {
        next_ = at + 1;
        return true;
      }
    }
    return false;
  }

  void refresh() override {
    const auto wanted = transport::choose_networks(transport::list_networks(), options_);
    std::vector<Link> links;
    for (const Network& network : wanted) {
      const auto same = std::find_if(links_.begin(), links_.end(),
                                     [&](const Link& link) { return link.network == network; });
      if (same == links_.end()) {
        links.push_back(make_link(network, options_.port));
        continue;
      }
      links.push_back(std::move(*same));
      if (!links.back().is_open()) links.back().try_to_open(options_.port);
    }
    links_ = std::move(links);
  }

  [[nodiscard]] std::vector<int> fds() const override {
    std::vector<int> fds;
    for (const Link& link : links_) {
      if (!link.is_open()) continue;
      fds.push_back(link.listener.get());
      fds.push_back(link.talker.get());
    }
    return fds;
  }

  [[nodiscard]] std::vector<Interface> interfaces() const override {
    std::vector<Interface> all;
    for (const Link& link : links_) all.push_back(link.facts);
    return all;
  }

 private:
  static bool receive_from(Link& link, const Fd& fd, Received& into) {
    for (;;) {
      std::array<char, kBeaconBytesMax + 1> buffer;
      sockaddr_in from{};
      socklen_t from_size = sizeof from;
      const ssize_t size = recvfrom(fd.get(), buffer.data(), buffer.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size < 0) {
        // An answer that found nobody comes back as an error of this socket; the next one may be
        // a datagram.
        if (errno == EINTR || errno == ECONNREFUSED) continue;
        if (errno != EAGAIN) link.facts.last_errno = errno;
        return false;
      }
      ++link.facts.received;
      if (static_cast<size_t>(size) > kBeaconBytesMax) continue;
      into.address = transport::format_ipv4(ntohl(from.sin_addr.s_addr)) + ":" +
                     std::to_string(ntohs(from.sin_port));
      into.interface = link.network.name;
      into.datagram.assign(buffer.data(), static_cast<size_t>(size));
      return true;
    }
  }

  Options options_;
  std::vector<Link> links_;
  size_t next_ = 0;
};

}  // namespace

Result<std::unique_ptr<BeaconSocket>> BeaconSocket::open(const Options& options) {
  auto opened = std::make_unique<UdpBeaconSocket>(options);
  const auto interfaces = opened->interfaces();
  if (!interfaces.empty() && opened->fds().empty()) {
    const Interface& first = interfaces.front();
    return fail(Errc::cannot_create,
                "cannot listen for beacons on UDP port " + std::to_string(options.port) + " of " +
                    first.name + ": " + std::strerror(first.last_errno),
                "another program may own the port; brokers named by --broker are found without it");
  }
  return opened;
}

}  // namespace zgrid::protocol
