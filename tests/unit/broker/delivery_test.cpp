#include "broker/delivery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/limits.h"

namespace zgrid::broker {
namespace {

using namespace protocol;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr MonoTime kStart{Micros{1'000'000}};

// Takes what is sent, and decodes it as a peer would.
class Wire : public Router {
 public:
  std::vector<Message> sent;
  Sent answer = Sent::ok;

  Result<std::string> bind(const std::string& endpoint) override { return endpoint; }
  void unbind(const std::string&) override {}
  bool receive(Received&) override { return false; }
  Sent send(std::string_view, const Frames& frames, Backlog&) override {
    if (answer == Sent::ok) sent.push_back(std::move(decode(frames).value()));
    return answer;
  }
  [[nodiscard]] int fd() const override { return -1; }
  bool wait(Micros, int) override { return false; }
  bool keep_descriptors(MonoTime) override { return false; }
  [[nodiscard]] Counts counts() const override { return {}; }
};

class DeliveryTest : public testing::Test {
 protected:
  DeliveryTest() : log_(std::move(Log::open("off", "text").value())) {
    delivery_.begin(kStart);
    peer().acks_ride = true;
  }

  Session& peer() { return sessions_.of("peer", {Role::client, "secret"}, kStart); }
  void deliver(std::vector<std::pair<Message, bool>> messages) {
    std::vector<Send> sends;
    for (auto& [message, lazy] : messages) {
      sends.push_back({peer().id, Gate::after_commit, std::move(message), lazy});
    }
    delivery_.deliver(sends);
  }
  std::vector<Kind> kinds() const {
    std::vector<Kind> kinds;
    for (const Message& message : wire_.sent) kinds.push_back(kind_of(message));
    return kinds;
  }

  static SubmitAck plain_ack(uint64_t request) {
    SubmitAck ack;
    ack.request = request;
    return ack;
  }
  static SubmitAck ack_with_news(uint64_t request) {
    SubmitAck ack = plain_ack(request);
    ack.items.emplace_back().duplicate = true;
    return ack;
  }

  Wire wire_;
  Sessions sessions_;
  std::unique_ptr<Log> log_;
  Delivery delivery_{wire_, sessions_, *log_, {[](SessionId) {}, [](StoreRead) {}}};
};

TEST_F(DeliveryTest, PlainAcknowledgementsRideInTheResultsThatFollow) {
  deliver({{plain_ack(7), true}, {plain_ack(8), true}, {Results{}, false}});
  ASSERT_THAT(kinds(), ElementsAre(Kind::results));
  EXPECT_THAT(std::get<Results>(wire_.sent[0]).accepted, ElementsAre(7, 8));
  EXPECT_EQ(delivery_.next_wake(), MonoTime::never()) << "nothing is left to be sent later";
}

TEST_F(DeliveryTest, ThoseOfAWorkerRideInTheNextRequest) {
  FinalAck settled;
  settled.batch = 3;
  FinalAck refused;
  refused.batch = 4;
  refused.refused.emplace_back();
  deliver({{settled, true}, {Request{}, false}, {refused, true}, {Request{}, false}});
  ASSERT_THAT(kinds(), ElementsAre(Kind::request, Kind::final_ack, Kind::request));
  EXPECT_THAT(std::get<Request>(wire_.sent[0]).settled, ElementsAre(3));
  EXPECT_THAT(std::get<Request>(wire_.sent[2]).settled, IsEmpty());
}

TEST_F(DeliveryTest, WithOneThatSaysMoreAllGoAsMessagesInTheirOrder) {
  deliver(
      {{plain_ack(1), true}, {ack_with_news(2), true}, {plain_ack(3), true}, {Results{}, false}});
  ASSERT_THAT(kinds(),
              ElementsAre(Kind::submit_ack, Kind::submit_ack, Kind::submit_ack, Kind::results));
  EXPECT_THAT(std::get<Results>(wire_.sent[3]).accepted, IsEmpty());
}

TEST_F(DeliveryTest, APeerThatDoesNotReadThemThereGetsMessagesOfTheirOwn) {
  peer().acks_ride = false;
  deliver({{plain_ack(7), true}, {Results{}, false}});
  ASSERT_THAT(kinds(), ElementsAre(Kind::submit_ack, Kind::results));
  EXPECT_THAT(std::get<Results>(wire_.sent[1]).accepted, IsEmpty());
}

TEST_F(DeliveryTest, NoMessageTakesMoreThanItMay) {
  std::vector<std::pair<Message, bool>> messages;
  for (uint64_t i = 0; i <= limits::kRidingAcksMax; ++i) messages.emplace_back(plain_ack(i), true);
  messages.emplace_back(Results{}, false);
  deliver(std::move(messages));
  ASSERT_EQ(wire_.sent.size(), limits::kRidingAcksMax + 2);
  EXPECT_THAT(std::get<Results>(wire_.sent.back()).accepted, IsEmpty());
}

TEST_F(DeliveryTest, NoAcknowledgementIsLostWhereThePeersQueueIsFull) {
  wire_.answer = Router::Sent::full;
  deliver({{plain_ack(1), true}, {ack_with_news(2), true}, {Results{}, false}});
  deliver({{plain_ack(3), true}, {Results{}, false}});
  wire_.answer = Router::Sent::ok;
  delivery_.flush();
  EXPECT_THAT(kinds(), ElementsAre(Kind::submit_ack, Kind::submit_ack, Kind::submit_ack));
}

// Results for a peer that does not read are parked, and read from the store again when it does.
TEST_F(DeliveryTest, NothingRidesToAPeerThatDoesNotRead) {
  wire_.answer = Router::Sent::full;
  deliver({{Events{}, false}, {plain_ack(7), true}, {Results{}, false}});
  wire_.answer = Router::Sent::ok;
  delivery_.flush();
  EXPECT_THAT(kinds(), ElementsAre(Kind::events, Kind::submit_ack));
}

TEST_F(DeliveryTest, AnAcknowledgementThatHasNoCompanyGoesAloneAfterAMoment) {
  deliver({{plain_ack(7), true}});
  EXPECT_THAT(kinds(), IsEmpty());
  ASSERT_EQ(delivery_.next_wake(), kStart + Micros(Delivery::kLazy));
  delivery_.begin(delivery_.next_wake());
  delivery_.flush();
  EXPECT_THAT(kinds(), ElementsAre(Kind::submit_ack));
}

}  // namespace
}  // namespace zgrid::broker
