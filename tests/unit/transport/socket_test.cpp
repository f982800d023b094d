#include "protocol/transport/socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "protocol/base/limits.h"
#include "tests/unit/transport/grid_fixture.h"

namespace zgrid::protocol {
namespace {

using What = LinkEvent::What;
using Sent = Router::Sent;

class SocketTest : public GridFixture {};

TEST_F(SocketTest, AMessageGoesThereWithItsPrincipalAndAnAnswerComesBack) {
  auto worker = dealer(known_keys(Role::worker, "a-machine-with-a-rather-long-name"),
                       server_keys_.public_key);
  ASSERT_TRUE(worker->send(frames_of({"header", "", std::string(1000, 'x')})));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(received.principal.role, Role::worker);
  EXPECT_EQ(received.principal.name, "a-machine-with-a-rather-long-name");
  EXPECT_EQ(received.routing_id.size(), 5u);
  EXPECT_EQ(received.frames, frames_of({"header", "", std::string(1000, 'x')}));
  EXPECT_FALSE(router_->receive(received));

  Router::Received first;
  ASSERT_TRUE(worker->send(frames_of({"again"})));
  ASSERT_TRUE(router_gets(first));
  ASSERT_EQ(router_->send(first.routing_id, frames_of({"answer", "part"}), backlog_), Sent::ok);
  Frames frames;
  ASSERT_TRUE(dealer_gets(*worker, frames));
  EXPECT_EQ(frames, frames_of({"answer", "part"}));
  EXPECT_FALSE(worker->receive(frames));
  EXPECT_TRUE(counted([](const Router::Counts& counts) { return counts.handshakes == 1; }));
}

TEST_F(SocketTest, PrincipalsAreToldApartByKey) {
  auto alice = dealer(known_keys(Role::client, "alice"), server_keys_.public_key);
  auto bob = dealer(known_keys(Role::readonly, "bob"), server_keys_.public_key);
  ASSERT_TRUE(alice->send(frames_of({"alice"})));
  ASSERT_TRUE(bob->send(frames_of({"bob"})));
  Router::Received received;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(router_gets(received));
    EXPECT_EQ(received.frames.at(0).view(), received.principal.name);
    EXPECT_EQ(received.principal.role,
              received.principal.name == "bob" ? Role::readonly : Role::client);
  }
}

TEST_F(SocketTest, ADealerHearsThatItIsConnectedThenReadyThenDisconnected) {
  auto client = good_dealer();
  std::vector<What> seen;
  ASSERT_TRUE(eventually([&] {
    client->wait(Millis{50});
    for (const auto& event : client->link_events()) seen.push_back(event.what);
    return seen.size() >= 2;
  }));
  EXPECT_EQ(seen, (std::vector{What::connected, What::ready}));
  router_.reset();
  const auto gone = link_event(*client, What::disconnected);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->endpoint, endpoint_);
}

TEST_F(SocketTest, AnUnansweredMessageToAGonePeerIsGone) {
  auto client = good_dealer();
  ASSERT_TRUE(client->send(frames_of({"hello"})));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(router_->send("nobody", frames_of({"x"}), backlog_), Sent::gone);
  client.reset();
  EXPECT_TRUE(eventually([&] {
    router_->wait(Millis{20}, -1);
    return router_->send(received.routing_id, frames_of({"x", "y"}), backlog_) == Sent::gone;
  }));
  expect_served();
}

TEST_F(SocketTest, APeerThatDoesNotReadHoldsBoundedMemoryAndHasRoomAgainWhenItReads) {
  auto client = good_dealer();
  ASSERT_TRUE(client->send(frames_of({"hello"})));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  const Frames message{Bytes::own(std::string(1u << 20, 'p'))};
  size_t sent = 0;
  // What the peer's own queue and the kernel take beside our backlog is theirs to bound: time ends
  // it, as the peer takes nothing once they are full.
  EXPECT_TRUE(eventually([&] {
    while (router_->send(received.routing_id, message, backlog_) == Sent::ok) ++sent;
    return backlog_.bytes() > Backlog::kBytesMax;
  }));
  EXPECT_LE(backlog_.bytes(), Backlog::kBytesMax + (1u << 20));
  for (size_t i = 0; i < sent; ++i) {
    Frames frames;
    ASSERT_TRUE(dealer_gets(*client, frames));
  }
  EXPECT_TRUE(eventually([&] { return backlog_.bytes() == 0; }));
  EXPECT_EQ(router_->send(received.routing_id, message, backlog_), Sent::ok);
}

TEST_F(SocketTest, APeerThatDoesNotReadIsFullAndLosesNoPartOfAMessage) {
  Router::Options options;
  options.keys = server_keys_;
  options.authorize = [this](std::string_view key) { return authorize(key); };
  options.high_water_mark = 10;
  open_router(std::move(options));
  auto client = good_dealer();
  ASSERT_TRUE(client->send(frames_of({"hello"})));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  // More than the socket buffers and the dealer's queue take.
  const auto message = Frames{Bytes::copy_of("header"), Bytes::own(std::string(1u << 20, 'p'))};
  size_t sent = 0;
  Sent last = Sent::ok;
  while (sent < 20'000 &&
         (last = router_->send(received.routing_id, message, backlog_)) == Sent::ok)
    ++sent;
  EXPECT_EQ(last, Sent::full);
  for (size_t i = 0; i < sent; ++i) {
    Frames frames;
    ASSERT_TRUE(dealer_gets(*client, frames));
    ASSERT_EQ(frames.size(), 2u);
    ASSERT_EQ(frames[0].view(), "header");
    ASSERT_EQ(frames[1].size(), 1u << 20);
  }
}

TEST_F(SocketTest, ADealersQueueIsFullWhenTheBrokerIsAway) {
  auto opened = Dealer::open(client_context_, {random_keys(), server_keys_.public_key, 5});
  ASSERT_TRUE(opened);
  ASSERT_TRUE((*opened)->connect("tcp://127.0.0.1:1"));
  int sent = 0;
  while (sent < 100 && (*opened)->send(frames_of({"x", "y"}))) ++sent;
  EXPECT_EQ(sent, 5);
}

TEST_F(SocketTest, LargeFramesArriveIntact) {
  auto client = good_dealer();
  std::string first(limits::kFrameBytesMax, '\0'), second(4u << 20, '\0');
  for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<char>(i * 31 + (i >> 12));
  for (size_t i = 0; i < second.size(); ++i) second[i] = static_cast<char>(i * 17 + (i >> 9));
  ASSERT_TRUE(client->send({Bytes::copy_of(first), Bytes::copy_of(second)}));
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  ASSERT_EQ(received.frames.size(), 2u);
  EXPECT_TRUE(received.frames[0].view() == first);
  EXPECT_TRUE(received.frames[1].view() == second);
  // What was received is passed on as it is, and outlives the message that it came with.
  ASSERT_EQ(router_->send(received.routing_id, received.frames, backlog_), Sent::ok);
  const Bytes kept = received.frames[1].slice(1000, 1000);
  received.frames.clear();
  Frames back;
  ASSERT_TRUE(dealer_gets(*client, back));
  EXPECT_TRUE(back.at(0).view() == first);
  EXPECT_EQ(kept.view(), std::string_view(second).substr(1000, 1000));
}

TEST_F(SocketTest, AMessageOfTooManyFramesIsDroppedWholeAndCounted) {
  void* context = zmq_ctx_new();
  void* raw = zmq_socket(context, ZMQ_DEALER);
  const CurveKeys keys = known_keys(Role::client, "secret");
  zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, keys.public_key.c_str(), 41);
  zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, keys.secret_key.c_str(), 41);
  zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server_keys_.public_key.c_str(), 41);
  const int linger = 0;
  zmq_setsockopt(raw, ZMQ_LINGER, &linger, sizeof linger);
  ASSERT_EQ(zmq_connect(raw, endpoint_.c_str()), 0);
  for (int parts : {18, 17, 1000, 1}) {
    for (int i = 1; i <= parts; ++i) {
      ASSERT_EQ(zmq_send(raw, "x", 1, i < parts ? ZMQ_SNDMORE : 0), 1);
    }
  }
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(received.frames.size(), 17u);
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(received.frames.size(), 1u);
  EXPECT_EQ(router_->counts().dropped_messages, 2u);
  zmq_close(raw);
  zmq_ctx_term(context);
}

TEST_F(SocketTest, AFrameOverTheLimitEndsTheConnection) {
  void* context = zmq_ctx_new();
  void* raw = zmq_socket(context, ZMQ_DEALER);
  const CurveKeys keys = known_keys(Role::client, "secret");
  zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, keys.public_key.c_str(), 41);
  zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, keys.secret_key.c_str(), 41);
  zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, server_keys_.public_key.c_str(), 41);
  const int linger = 0;
  zmq_setsockopt(raw, ZMQ_LINGER, &linger, sizeof linger);
  ASSERT_EQ(zmq_connect(raw, endpoint_.c_str()), 0);
  const std::string large(limits::kFrameBytesMax + 64, 'x');
  ASSERT_GT(zmq_send(raw, large.data(), large.size(), 0), 0);
  ASSERT_EQ(zmq_send(raw, "after", 5, 0), 5);
  // The frame is lost with its connection; on the next one comes what followed.
  Router::Received received;
  ASSERT_TRUE(router_gets(received));
  EXPECT_EQ(received.frames.at(0).view(), "after");
  EXPECT_TRUE(counted([](const Router::Counts& counts) { return counts.handshakes >= 2; }));
  zmq_close(raw);
  zmq_ctx_term(context);
}

TEST_F(SocketTest, AUsedPortCannotBeBound) {
  Context other;
  auto second = Router::open(
      other, {server_keys_, [](std::string_view) { return std::optional<Principal>{}; }});
  ASSERT_TRUE(second);
  const auto bound = (*second)->bind(endpoint_);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, Errc::cannot_create);
  EXPECT_NE(bound.error().message.find(endpoint_), std::string::npos);
  router_->unbind(endpoint_);
  EXPECT_TRUE(eventually([&] { return (*second)->bind(endpoint_).has_value(); }));
}

TEST_F(SocketTest, AContextHasOneRouter) {
  const auto second = Router::open(
      context_, {server_keys_, [](std::string_view) { return std::optional<Principal>{}; }});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::cannot_create);
}

TEST_F(SocketTest, OtherEndpointsAreRefused) {
  auto client = Dealer::open(client_context_, {random_keys(), server_keys_.public_key});
  ASSERT_TRUE(client);
  for (const char* wrong :
       {"inproc://past-curve", "ws://127.0.0.1:1", "127.0.0.1:5670", "", "tcp://127.0.0.1",
        "tcp://127.0.0.1:99999", "tcp://:1", "tcp://127.0.0.1:1x"}) {
    const auto bound = router_->bind(wrong);
    ASSERT_FALSE(bound) << wrong;
    EXPECT_EQ(bound.error().code, Errc::usage) << wrong << bound.error().message;
    const auto connected = (*client)->connect(wrong);
    ASSERT_FALSE(connected) << wrong;
    EXPECT_EQ(connected.error().code, Errc::usage) << wrong;
  }
}

TEST_F(SocketTest, AnIpcPathIsServedOnceAndItsLeftoverIsReplaced) {
  char folder[] = "/tmp/zgrid-transport-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string endpoint = "ipc://" + std::string(folder) + "/b";
  ASSERT_EQ(router_->bind(endpoint).value_or(""), endpoint);
  endpoint_ = endpoint;
  expect_served();
  Context other;
  const auto allow_none = [](std::string_view) { return std::optional<Principal>{}; };
  auto second = Router::open(other, {server_keys_, allow_none});
  ASSERT_TRUE(second);
  const auto bound = (*second)->bind(endpoint);
  ASSERT_FALSE(bound);
  EXPECT_EQ(bound.error().code, Errc::cannot_create);
  expect_served();
  std::filesystem::remove_all(folder);
}

TEST_F(SocketTest, ARouterServesIpv6AndIpv4AtOnce) {
  auto bound = router_->bind("tcp://*:*");
  if (!bound) GTEST_SKIP() << "no IPv6 here: " << bound.error().message;
  const std::string port = bound->substr(bound->rfind(':'));
  endpoint_ = "tcp://127.0.0.1" + port;
  expect_served();
  endpoint_ = "tcp://localhost" + port;
  expect_served();
  endpoint_ = "tcp://[::1]" + port;
  expect_served();
}

TEST_F(SocketTest, WakeEndsAWaitFromAnotherThreadOrBeforeIt) {
  auto client = good_dealer();
  ASSERT_TRUE(link_event(*client, What::ready));
  std::thread waker([&] { client->wake(); });
  const auto start = std::chrono::steady_clock::now();
  client->wait(Millis{60'000});
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  waker.join();
  client->wake();
  client->wait(Millis{60'000});
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
}

TEST_F(SocketTest, OtherDescriptorsEndAWait) {
  auto client = good_dealer();
  ASSERT_TRUE(link_event(*client, What::ready));
  const int fd = eventfd(1, EFD_CLOEXEC);
  const auto start = std::chrono::steady_clock::now();
  client->wait(Millis{60'000}, std::span(&fd, 1));
  EXPECT_TRUE(router_->wait(Millis{60'000}, fd));
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  close(fd);
}

TEST_F(SocketTest, TheRoutersDescriptorBecomesReadable) {
  Router::Received received;
  ASSERT_FALSE(router_->receive(received));
  auto client = good_dealer();
  ASSERT_TRUE(client->send(frames_of({"hello"})));
  EXPECT_TRUE(eventually([&] {
    pollfd item{router_->fd(), POLLIN, 0};
    poll(&item, 1, 50);
    return router_->receive(received);
  }));
}

TEST_F(SocketTest, TheLastMessagesGetOutWhenASocketIsClosed) {
  auto client = good_dealer();
  ASSERT_TRUE(link_event(*client, What::ready));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(client->send(frames_of({std::to_string(i)})));
  client.reset();
  Router::Received received;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(router_gets(received));
    ASSERT_EQ(received.frames.at(0).view(), std::to_string(i));
  }
}

TEST_F(SocketTest, ClosingWithANobodyAtTheOtherEndDoesNotHang) {
  const auto start = std::chrono::steady_clock::now();
  {
    Context context;
    auto lonely = Dealer::open(context, {random_keys(), server_keys_.public_key});
    ASSERT_TRUE(lonely);
    ASSERT_TRUE((*lonely)->connect("tcp://127.0.0.1:1"));
    ASSERT_TRUE((*lonely)->send(frames_of({"never delivered"})));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace zgrid::protocol
