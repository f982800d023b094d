// Who gets in, and who does not.
#include "tests/unit/transport/grid_fixture.h"

namespace zgrid::protocol {
namespace {

using What = LinkEvent::What;

class CurveTest : public GridFixture {
 protected:
  // A zmq socket without our options that sends one message, in the hope that it is taken.
  struct Raw {
    Raw() : context(zmq_ctx_new()), socket(zmq_socket(context, ZMQ_DEALER)) {
      const int linger = 0;
      zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    }
    Raw(const Raw&) = delete;
    Raw& operator=(const Raw&) = delete;
    ~Raw() {
      zmq_close(socket);
      zmq_ctx_term(context);
    }
    void* context;
    void* socket;
  };

  void expect_refused(void* socket) {
    const auto before = router_->counts().failed_handshakes;
    ASSERT_EQ(zmq_connect(socket, endpoint_.c_str()), 0);
    ASSERT_EQ(zmq_send(socket, "let me in", 9, 0), 9);
    Router::Received received;
    EXPECT_TRUE(eventually([&] {
      router_->wait(Millis{20}, -1);
      EXPECT_FALSE(router_->receive(received));
      return router_->counts().failed_handshakes > before;
    }));
    EXPECT_FALSE(router_->receive(received));
    EXPECT_EQ(router_->counts().handshakes, 0u);
    expect_served();
  }
};

TEST_F(CurveTest, AnUnknownKeyIsRefusedAndToldSo) {
  auto stranger = dealer(random_keys(), server_keys_.public_key);
  ASSERT_TRUE(stranger->send(frames_of({"let me in"})));
  const auto refused = link_event(*stranger, What::refused);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->detail, 400);
  Router::Received received;
  EXPECT_FALSE(router_->receive(received));
  EXPECT_TRUE(counted([](const Router::Counts& counts) { return counts.refused_keys == 1; }));
  EXPECT_EQ(router_->counts().handshakes, 0u);
  expect_served();
}

TEST_F(CurveTest, AnotherServersKeyIsAFailedHandshake) {
  auto lost = dealer(known_keys(Role::client, "secret"), random_keys().public_key);
  ASSERT_TRUE(lost->send(frames_of({"who is there"})));
  ASSERT_TRUE(link_event(*lost, What::handshake_failed));
  Router::Received received;
  EXPECT_FALSE(router_->receive(received));
  EXPECT_TRUE(counted([](const Router::Counts& counts) { return counts.failed_handshakes >= 1; }));
  EXPECT_EQ(router_->counts().handshakes, 0u);
}

TEST_F(CurveTest, APeerWithoutEncryptionIsRefused) {
  Raw raw;
  expect_refused(raw.socket);
}

TEST_F(CurveTest, APeerWithAPasswordIsRefused) {
  Raw raw;
  zmq_setsockopt(raw.socket, ZMQ_PLAIN_USERNAME, "secret", 6);
  zmq_setsockopt(raw.socket, ZMQ_PLAIN_PASSWORD, "secret", 6);
  expect_refused(raw.socket);
}

TEST_F(CurveTest, AKeyIsJudgedAtEachHandshake) {
  const CurveKeys keys = known_keys(Role::client, "revoked later");
  auto first = dealer(keys, server_keys_.public_key);
  ASSERT_TRUE(link_event(*first, What::ready));
  {
    const std::lock_guard lock(mutex_);
    known_.erase(keys.public_key);
  }
  auto second = dealer(keys, server_keys_.public_key);
  EXPECT_TRUE(link_event(*second, What::refused));
}

TEST_F(CurveTest, BadKeysAreAnErrorOfConfiguration) {
  const auto client = Dealer::open(client_context_, {{"short", "short"}, "short"});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Errc::config);
  Context other;
  const auto router = Router::open(
      other, {{"short", "short"}, [](std::string_view) { return std::optional<Principal>{}; }});
  ASSERT_FALSE(router);
  EXPECT_EQ(router.error().code, Errc::config);
}

#if ZGRID_TEST_HOOKS
TEST_F(CurveTest, WithoutAHandlerEverybodyIsRefused) {
  Router::Options options;
  options.keys = server_keys_;
  options.authorize = [this](std::string_view key) { return authorize(key); };
  options.disable_zap_handler = true;
  open_router(std::move(options));
  auto good = good_dealer();
  ASSERT_TRUE(good->send(frames_of({"hello"})));
  EXPECT_TRUE(link_event(*good, What::handshake_failed));
  Router::Received received;
  EXPECT_FALSE(router_->receive(received));
  EXPECT_EQ(router_->counts().handshakes, 0u);
}
#endif

}  // namespace
}  // namespace zgrid::protocol
