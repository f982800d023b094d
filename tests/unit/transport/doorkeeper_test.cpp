// What a router does while its process runs out of file descriptors.
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/transport/grid_fixture.h"

namespace zgrid::protocol {
namespace {

size_t descriptors() {
  size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count - 3;  // ".", ".." and the folder's own
}

class DoorkeeperTest : public GridFixture {
 protected:
  // Room for so many more descriptors.
  DoorkeeperTest() { getrlimit(RLIMIT_NOFILE, &before_); }
  ~DoorkeeperTest() override {
    leave();
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  void allow(size_t more) {
    const rlimit lowered{descriptors() + more, before_.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lowered), 0);
  }
  bool is_closed() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return router_->keep_descriptors({std::chrono::duration_cast<Micros>(now)});
  }
  // One more connection that says nothing. By system calls, for ThreadSanitizer knows of one table
  // of descriptors only.
  void come() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons(static_cast<uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1))));
    const long fd = syscall(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    syscall(SYS_connect, fd, &address, sizeof address);
    crowd_.push_back(fd);
  }
  void leave() {
    for (const long fd : crowd_) syscall(SYS_close, fd);
    crowd_.clear();
  }
  void exchange(Dealer& member) {
    ASSERT_TRUE(member.send(frames_of({"still here"})));
    Router::Received received;
    ASSERT_TRUE(router_gets(received));
    ASSERT_EQ(router_->send(received.routing_id, frames_of({"so am I"}), backlog_),
              Router::Sent::ok);
    Frames frames;
    ASSERT_TRUE(dealer_gets(member, frames));
  }

  rlimit before_{};
  std::vector<long> crowd_;
};

TEST_F(DoorkeeperTest, newcomers_wait_while_few_descriptors_are_left_and_members_are_served) {
  // Before anyone comes: how many may come without a look is reckoned from what is free. Few, so
  // that a slow machine fills them before libzmq ends the first of those who say nothing (5 s).
  allow(400);
  auto member = good_dealer();
  exchange(*member);
  EXPECT_FALSE(is_closed());
  ASSERT_TRUE(eventually([&] {
    // One after the other: here the crowd takes its descriptors from the same limit.
    const size_t before = descriptors();
    come();
    return is_closed() || !eventually([&] {
             std::this_thread::sleep_for(Millis{1});
             return descriptors() >= before + 2 || is_closed();
           });
  }));
  ASSERT_TRUE(is_closed());
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_LT(descriptors() + 50, limit.rlim_cur) << "it noticed at the very end";
  exchange(*member);

  const uint64_t handshakes = router_->counts().handshakes;
  auto newcomer = good_dealer();
  ASSERT_TRUE(newcomer->send(frames_of({"me, too"})));
  exchange(*member);
  EXPECT_EQ(router_->counts().handshakes, handshakes);

  leave();
  ASSERT_TRUE(eventually([&] { return !is_closed() || (router_->wait(Millis{20}, -1), false); }));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(received.frames.at(0).view(), "me, too");
  exchange(*member);
}

// More at once than there is room for: libzmq meets the limit before the doorkeeper can act.
TEST_F(DoorkeeperTest, a_crowd_that_comes_at_once_is_turned_away_and_accept_is_not_tried_for_ever) {
  allow(100);
  auto member = good_dealer();
  exchange(*member);
  std::atomic<bool> may_leave{false};
  // In a table of descriptors of its own, as another process would.
  std::thread crowd([&] {
    ASSERT_EQ(close_range(3, ~0U, CLOSE_RANGE_UNSHARE), 0);
    for (int i = 0; i < 120; ++i) come();
    while (!may_leave) std::this_thread::sleep_for(Millis{1});
    leave();
  });
  EXPECT_TRUE(eventually([&] { return is_closed(); }));
  // Nobody waits any more: the failures come to an end, long before the first guest does (5 s).
  uint64_t failed = router_->counts().accept_failed, quiet = 0;
  EXPECT_TRUE(eventually([&] {
    std::this_thread::sleep_for(Millis{20});
    const uint64_t now = router_->counts().accept_failed;
    quiet = std::exchange(failed, now) == now ? quiet + 1 : 0;
    return quiet == 10;
  }));
  EXPECT_LT(failed, 5000U);
  exchange(*member);
  may_leave = true;
  crowd.join();
}

}  // namespace
}  // namespace zgrid::protocol
