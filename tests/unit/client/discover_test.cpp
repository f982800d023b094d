// Finding brokers, over a beacon socket that the test plays.
#include "client/discover.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>

namespace zgrid::client {
namespace {

class FakeBeacons final : public protocol::BeaconSocket {
 public:
  struct Wire {
    std::vector<std::string> sent;
    std::deque<Received> waiting;
  };
  explicit FakeBeacons(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  void broadcast(std::string_view datagram) override { wire_->sent.emplace_back(datagram); }
  void send_to(const std::string&, std::string_view) override {}
  bool receive(Received& into) override {
    if (wire_->waiting.empty()) return false;
    into = std::move(wire_->waiting.front());
    wire_->waiting.pop_front();
    return true;
  }
  void refresh() override {}
  [[nodiscard]] std::vector<int> fds() const override { return {}; }
  [[nodiscard]] std::vector<Interface> interfaces() const override { return {}; }

 private:
  std::shared_ptr<Wire> wire_;
};

class DiscoverTest : public ::testing::Test {
 protected:
  DiscoverTest() {
    char folder[] = "/tmp/zgrid-discover-XXXXXX";
    EXPECT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  ~DiscoverTest() override {
    std::remove(cache_file().c_str());
    std::remove(folder_.c_str());
  }
  [[nodiscard]] std::string cache_file() const { return folder_ + "/last-broker"; }
  static protocol::Root root(uint8_t first) {
    protocol::Key32 bytes{};
    bytes[0] = first;
    return protocol::Root(bytes);
  }
  void open(std::vector<std::string> peers = {}) {
    BeaconFinder::Options options;
    options.roots = {root(1)};
    options.peers = std::move(peers);
    options.cache_file = cache_file();
    finder_.emplace(std::move(options), std::make_unique<FakeBeacons>(wire_), now_);
  }
  void pass(Millis duration) {
    now_ = now_ + Micros(duration);
    finder_->turn(now_);
  }
  // What a broker of the grid of `secret` answers to our latest probe.
  void answer(uint16_t port, uint64_t epoch, uint8_t secret = 1, bool with_nonce = true) {
    protocol::Beacon beacon;
    beacon.type = protocol::Beacon::Type::answer;
    beacon.grid_id = protocol::grid_id(root(secret));
    beacon.boot.bytes[0] = static_cast<uint8_t>(port);
    beacon.epoch = epoch;
    beacon.port = port;
    beacon.name = "b" + std::to_string(port);
    const auto key = protocol::beacon_key(root(secret));
    if (with_nonce) {
      const auto probe = protocol::decode_beacon(wire_->sent.at(0), key);
      ASSERT_TRUE(probe);
      beacon.nonce = probe->nonce;
    }
    wire_->waiting.push_back({"127.0.0.1:5670", "lo", protocol::encode_beacon(beacon, key)});
  }

  std::string folder_;
  MonoTime now_{Micros{1'000'000}};
  std::shared_ptr<FakeBeacons::Wire> wire_ = std::make_shared<FakeBeacons::Wire>();
  std::optional<BeaconFinder> finder_;
};

TEST_F(DiscoverTest, TheBestBrokerIsOfferedFirstAndOthersLater) {
  open();
  pass(Millis{0});
  answer(1001, 3);
  answer(1002, 9);
  pass(Millis{1});
  EXPECT_TRUE(finder_->endpoints().empty());
  pass(Millis{20});
  ASSERT_EQ(finder_->endpoints().size(), 1u);
  EXPECT_EQ(finder_->endpoints()[0], "tcp://127.0.0.1:1002");
  pass(Millis{1000});
  EXPECT_EQ(finder_->endpoints().size(), 2u);
}

TEST_F(DiscoverTest, AnAnswerWithoutOurNonceIsNotBelieved) {
  open();
  pass(Millis{0});
  answer(1001, 3, 1, false);
  pass(Millis{100});
  pass(Millis{1500});
  EXPECT_TRUE(finder_->endpoints().empty());
  EXPECT_TRUE(finder_->settled());
}

TEST_F(DiscoverTest, AnotherGridIsNoticedButNotOffered) {
  open();
  pass(Millis{0});
  answer(1001, 3, 2, false);
  pass(Millis{100});
  EXPECT_TRUE(finder_->endpoints().empty());
  ASSERT_EQ(finder_->other_grids().size(), 1u);
  EXPECT_EQ(finder_->other_grids()[0], protocol::grid_id(root(2)));
}

TEST_F(DiscoverTest, TheAddressThatWorkedLastIsOfferedAtOnce) {
  open();
  finder_->on_welcome("tcp://127.0.0.1:7777");
  struct stat info {};
  ASSERT_EQ(stat(cache_file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  open({"tcp://10.0.0.1:5670"});
  const std::vector<std::string> expected{"tcp://127.0.0.1:7777", "tcp://10.0.0.1:5670"};
  EXPECT_EQ(finder_->endpoints(), expected);
}

TEST_F(DiscoverTest, TheFoldersOfTheMemoryAreMadeAsDeepAsTheyAre) {
  const AddressCache cache(folder_ + "/home/.cache/zgrid/last-broker");
  cache.put("0123456789abcdef", "tcp://127.0.0.1:7777");
  EXPECT_EQ(cache.get("0123456789abcdef"), "tcp://127.0.0.1:7777");
  struct stat info {};
  ASSERT_EQ(stat((folder_ + "/home/.cache").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  std::filesystem::remove_all(folder_ + "/home");
}

TEST_F(DiscoverTest, ARememberedAddressThatOthersCouldWriteIsNotUsed) {
  open();
  finder_->on_welcome("tcp://127.0.0.1:7777");
  ASSERT_EQ(chmod(cache_file().c_str(), 0644), 0);
  open();
  EXPECT_TRUE(finder_->endpoints().empty());
}

TEST_F(DiscoverTest, NonsenseInTheMemoryIsIgnored) {
  {
    std::ofstream file(cache_file());
    file << "\n\nx tcp://a\n" << protocol::grid_id(root(1)) << " nonsense\n";
  }
  ASSERT_EQ(chmod(cache_file().c_str(), 0600), 0);
  open();
  EXPECT_TRUE(finder_->endpoints().empty());
}

}  // namespace
}  // namespace zgrid::client
