#include "protocol/transport/beacon_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "protocol/transport/net_interfaces.h"

namespace zgrid::protocol {
namespace {

using transport::choose_networks;
using transport::Network;

constexpr std::chrono::seconds kPatience{10};

// Not the beacons' own: others may be running here.
uint16_t random_port() {
  std::random_device device;
  return static_cast<uint16_t>(20'000 + device() % 12'000);
}

std::unique_ptr<BeaconSocket> open_on(const BeaconSocket::Options& options) {
  auto opened = BeaconSocket::open(options);
  EXPECT_TRUE(opened) << opened.error().message;
  return std::move(*opened);
}

std::unique_ptr<BeaconSocket> open_on(uint16_t port) { return open_on({false, {}, port}); }

bool hears(BeaconSocket& socket, BeaconSocket::Received& into) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!socket.receive(into)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::vector<pollfd> items;
    for (const int fd : socket.fds()) items.push_back({fd, POLLIN, 0});
    poll(items.data(), items.size(), 50);
  }
  return true;
}

TEST(BeaconSocket, ABroadcastIsHeardByEverybodyAndAnAnswerByWhoAsked) {
  const uint16_t port = random_port();
  auto asker = open_on(port), first = open_on(port), second = open_on(port);
  asker->broadcast("who is there");
  BeaconSocket::Received at_first, at_second, own;
  ASSERT_TRUE(hears(*first, at_first));
  ASSERT_TRUE(hears(*second, at_second));
  ASSERT_TRUE(hears(*asker, own));
  EXPECT_EQ(at_first.datagram, "who is there");
  EXPECT_EQ(at_second.datagram, "who is there");
  EXPECT_EQ(own.datagram, "who is there");
  EXPECT_EQ(at_first.interface, "lo");
  EXPECT_TRUE(at_first.address.starts_with("127.0.0.1:")) << at_first.address;
  EXPECT_NE(at_first.address, "127.0.0.1:" + std::to_string(port));

  first->send_to(at_first.address, "I am");
  BeaconSocket::Received answer;
  ASSERT_TRUE(hears(*asker, answer));
  EXPECT_EQ(answer.datagram, "I am");
  EXPECT_FALSE(first->receive(answer));
  EXPECT_FALSE(second->receive(answer));
  EXPECT_FALSE(asker->receive(answer));

  ASSERT_EQ(asker->interfaces().size(), 1u);
  const auto lo = asker->interfaces()[0];
  EXPECT_EQ(lo.name, "lo");
  EXPECT_EQ(lo.address, "127.0.0.1");
  EXPECT_EQ(lo.broadcast, "127.255.255.255");
  EXPECT_EQ(lo.sent, 1u);
  EXPECT_EQ(lo.received, 2u);
  EXPECT_EQ(lo.send_failed, 0u);
}

TEST(BeaconSocket, RefreshingKeepsWhatDidNotChange) {
  const uint16_t port = random_port();
  auto one = open_on(port), other = open_on(port);
  const auto fds = one->fds();
  EXPECT_EQ(fds.size(), 2u);
  other->broadcast("before");
  one->refresh();
  EXPECT_EQ(one->fds(), fds);
  BeaconSocket::Received received;
  EXPECT_TRUE(hears(*one, received));
}

TEST(BeaconSocket, NothingIsSentBeyondItsNetworks) {
  auto socket = open_on(random_port());
  for (const char* address : {"192.0.2.77:9", "10.0.0.1:9", "8.8.8.8:53", "nonsense", "", ":9",
                              "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000"}) {
    socket->send_to(address, "x");
  }
  EXPECT_EQ(socket->interfaces().at(0).sent, 0u);
  EXPECT_EQ(socket->interfaces().at(0).send_failed, 0u);
}

TEST(BeaconSocket, AnAnswerToNobodyHurtsNobody) {
  const uint16_t port = random_port();
  auto socket = open_on(port), other = open_on(port);
  std::string gone;
  {
    auto asker = open_on(port);
    asker->broadcast("hello");
    BeaconSocket::Received received;
    ASSERT_TRUE(hears(*socket, received));
    gone = received.address;
  }
  socket->send_to(gone, "too late");
  BeaconSocket::Received received;
  while (socket->receive(received)) {
  }
  other->broadcast("next");
  ASSERT_TRUE(hears(*socket, received));
  EXPECT_EQ(received.datagram, "next");
}

TEST(BeaconSocket, DatagramsThatAreTooLongAreDropped) {
  const uint16_t port = random_port();
  auto socket = open_on(port);
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(0x7fffffff);
  for (const size_t size : {size_t{256}, size_t{60'000}, size_t{255}, size_t{0}}) {
    const std::string datagram(size, 'x');
    ASSERT_EQ(sendto(fd, datagram.data(), size, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
              static_cast<ssize_t>(size));
  }
  BeaconSocket::Received received;
  ASSERT_TRUE(hears(*socket, received));
  EXPECT_EQ(received.datagram.size(), 255u);
  ASSERT_TRUE(hears(*socket, received));
  EXPECT_EQ(received.datagram.size(), 0u);
  close(fd);
}

TEST(BeaconSocket, APortThatIsNotSharedIsAnError) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(0x7fffffff);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  const auto opened = BeaconSocket::open({false, {}, ntohs(address.sin_port)});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Errc::cannot_create);
  close(fd);
}

TEST(BeaconSocket, AnInterfaceThatIsNotThereIsNoError) {
  auto socket = open_on({false, {"no-such-if"}, random_port()});
  EXPECT_TRUE(socket->fds().empty());
  BeaconSocket::Received received;
  socket->broadcast("x");
  EXPECT_FALSE(socket->receive(received));
}

TEST(NetInterfaces, OnlyWhatIsAskedForIsChosen) {
  const auto network = [](const char* name, uint32_t broadcast) {
    return Network{name, broadcast - 1, 0xffffff00, broadcast, std::string(name) == "lo"};
  };
  const std::vector<Network> all = {
      network("lo", 0x7fffffff),      network("eth0", 0x0a0000ff),  network("eth0", 0x0a0001ff),
      network("eth0", 0x0a0000ff),    network("wlan0", 0xc0a801ff), network("docker0", 0xac1100ff),
      network("br-12ab", 0xac1200ff), network("veth7", 0xac1300ff), network("virbr0", 0xc0a87aff),
      network("tun0", 0x0a0800ff),    network("wg0", 0x0a0900ff),   network("br0", 0x0a0a00ff)};
  const auto chosen = [&](const BeaconSocket::Options& options) {
    std::string names;
    for (const auto& each : choose_networks(all, options)) names += each.name + " ";
    return names;
  };
  EXPECT_EQ(chosen({}), "lo ");
  EXPECT_EQ(chosen({true, {}, 1}), "lo eth0 eth0 wlan0 br0 ");
  EXPECT_EQ(chosen({true, {"wg0", "wlan0"}, 1}), "wlan0 wg0 ");
  EXPECT_EQ(chosen({false, {"docker0"}, 1}), "docker0 ");
  EXPECT_EQ(chosen({false, {"none"}, 1}), "");
}

// Runs in a thread of its own, since a network namespace belongs to a thread.
class TwoHosts {
 public:
  // False if this machine does not let us.
  bool make() {
    if (std::system("command -v ip >/dev/null 2>&1") != 0) return false;
    if (unshare(CLONE_NEWNET) != 0) return false;
    a_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) != 0) return false;
    b_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    const std::string other = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(a_);
    return run("ip link set lo up && ip link add lan0 type veth peer name lan1 && "
               "ip link set lan1 netns " +
               other +
               " && ip addr add 10.99.0.2/24 brd + dev lan0 && "
               "ip link set lan0 up") &&
           (enter_a(), run("ip link set lo up && ip link set lan1 name lan0 && "
                           "ip addr add 10.99.0.1/24 brd + dev lan0 && ip link set lan0 up"));
  }
  ~TwoHosts() {
    if (a_ >= 0) close(a_);
    if (b_ >= 0) close(b_);
  }
  void enter_a() const { EXPECT_EQ(setns(a_, CLONE_NEWNET), 0); }
  void enter_b() const { EXPECT_EQ(setns(b_, CLONE_NEWNET), 0); }
  static bool run(const std::string& command) {
    return std::system(("{ " + command + "; } >/dev/null 2>&1").c_str()) == 0;
  }

 private:
  int a_ = -1, b_ = -1;
};

// Broadcasts until the other side hears it: a link that came up needs a moment.
bool reaches(BeaconSocket& from, BeaconSocket& to, BeaconSocket::Received& heard) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    from.broadcast("beacon");
    std::vector<pollfd> items;
    for (const int fd : to.fds()) items.push_back({fd, POLLIN, 0});
    poll(items.data(), items.size(), 50);
    while (to.receive(heard)) {
      if (heard.interface == "lan0") return true;
    }
  }
  return false;
}

void try_two_hosts(bool& skipped) {
  TwoHosts hosts;
  skipped = !hosts.make();
  if (skipped) return;
  const BeaconSocket::Options lan{true, {}, 5670};
  hosts.enter_a();
  auto a = open_on(lan);
  hosts.enter_b();
  auto b = open_on(lan);
  EXPECT_EQ(b->interfaces().size(), 2u);
  BeaconSocket::Received heard;
  ASSERT_TRUE(reaches(*b, *a, heard));
  EXPECT_TRUE(heard.address.starts_with("10.99.0.2:"));
  a->send_to(heard.address, "answer");
  do {
    ASSERT_TRUE(hears(*b, heard));
  } while (heard.datagram != "answer");
  EXPECT_TRUE(heard.address.starts_with("10.99.0.1:"));

  ASSERT_TRUE(TwoHosts::run("ip link set lan0 down"));
  b->broadcast("into the void");
  b->refresh();
  EXPECT_EQ(b->interfaces().size(), 1u);
  ASSERT_TRUE(TwoHosts::run("ip link set lan0 up"));
  b->refresh();
  EXPECT_EQ(b->interfaces().size(), 2u);
  EXPECT_TRUE(reaches(*b, *a, heard));
  hosts.enter_a();
  a->refresh();
  EXPECT_TRUE(reaches(*a, *b, heard));
}

TEST(BeaconSocket, TwoHostsHearEachOtherAlsoAfterALinkWentAndCame) {
  bool skipped = false;
  std::thread([&] { try_two_hosts(skipped); }).join();
  if (skipped) GTEST_SKIP() << "no network namespaces here: run as root, with iproute2";
}

}  // namespace
}  // namespace zgrid::protocol
