// A router on a free loopback port, and dealers with keys that it knows or does not.
#pragma once

#include <gtest/gtest.h>
#include <zmq.h>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "protocol/transport/socket.h"

namespace zgrid::protocol {

constexpr std::chrono::seconds kPatience{20};

inline CurveKeys random_keys() {
  std::array<char, 41> public_key{}, secret_key{};
  EXPECT_EQ(zmq_curve_keypair(public_key.data(), secret_key.data()), 0);
  return {public_key.data(), secret_key.data()};
}

// Calls `condition` until it holds; it should do the waiting that lets it.
inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

inline Frames frames_of(const std::vector<std::string>& texts) {
  Frames frames;
  for (const auto& text : texts) frames.push_back(Bytes::copy_of(text));
  return frames;
}

class GridFixture : public ::testing::Test {
 protected:
  GridFixture() {
    Router::Options options;
    options.keys = server_keys_;
    options.authorize = [this](std::string_view key) { return authorize(key); };
    open_router(std::move(options));
  }

  void open_router(Router::Options options) {
    router_.reset();
    auto router = Router::open(context_, std::move(options));
    ASSERT_TRUE(router) << router.error().message;
    router_ = std::move(*router);
    auto endpoint = router_->bind("tcp://127.0.0.1:0");
    ASSERT_TRUE(endpoint) << endpoint.error().message;
    endpoint_ = *endpoint;
  }

  std::optional<Principal> authorize(std::string_view key) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(std::string(key));
    if (found == known_.end()) return std::nullopt;
    return found->second;
  }

  CurveKeys known_keys(Role role, const std::string& name) {
    const CurveKeys keys = random_keys();
    const std::lock_guard lock(mutex_);
    known_[keys.public_key] = {role, name};
    return keys;
  }

  std::unique_ptr<Dealer> dealer(const CurveKeys& keys, const std::string& server_key) {
    auto opened = Dealer::open(client_context_, {keys, server_key});
    EXPECT_TRUE(opened);
    EXPECT_TRUE((*opened)->connect(endpoint_));
    return std::move(*opened);
  }
  std::unique_ptr<Dealer> good_dealer() {
    return dealer(known_keys(Role::client, "secret"), server_keys_.public_key);
  }

  bool router_gets(Router::Received& into) {
    return eventually(
        [&] { return router_->receive(into) || (router_->wait(Millis{50}, -1), false); });
  }
  static bool dealer_gets(Dealer& dealer, Frames& into) {
    return eventually([&] { return dealer.receive(into) || (dealer.wait(Millis{50}), false); });
  }
  // The router's counts come from another thread, a little later than messages.
  bool counted(const std::function<bool(const Router::Counts&)>& condition) {
    return eventually(
        [&] { return condition(router_->counts()) || (router_->wait(Millis{5}, -1), false); });
  }
  // Waits for that event and returns it.
  static std::optional<LinkEvent> link_event(Dealer& dealer, LinkEvent::What what) {
    std::optional<LinkEvent> found;
    (void)eventually([&] {
      for (const auto& event : dealer.link_events()) {
        if (!found && event.what == what) found = event;
      }
      if (!found) dealer.wait(Millis{50});
      return found.has_value();
    });
    return found;
  }
  void expect_served() {
    auto good = good_dealer();
    ASSERT_TRUE(good->send(frames_of({"hello"})));
    Router::Received received;
    ASSERT_TRUE(router_gets(received));
    EXPECT_EQ(received.frames.at(0).view(), "hello");
  }

  std::mutex mutex_;
  std::map<std::string, Principal> known_;
  CurveKeys server_keys_ = random_keys();
  Context context_, client_context_;
  std::unique_ptr<Router> router_;
  Backlog backlog_;  // of the one peer that a test sends to
  std::string endpoint_;
};

}  // namespace zgrid::protocol
