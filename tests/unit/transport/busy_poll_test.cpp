// When a wait stays awake, and that it ends as a wait must.
#include "protocol/transport/busy_poll.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "protocol/transport/event_fd.h"

namespace zgrid::protocol::transport {
namespace {

constexpr Micros kSoon{80}, kLate{5000};

// How many of the last `of` waits were begun awake, when waits of these lengths take turns.
int awake_of_last(int of, const std::vector<Micros>& turns) {
  AwakeRule rule;
  int awake = 0;
  for (int i = 0; i < 100; ++i) {
    if (i >= 100 - of && rule.stays_awake()) ++awake;
    rule.waited(turns[static_cast<size_t>(i) % turns.size()]);
  }
  return awake;
}

TEST(AwakeRule, ALoopThatNothingHappenedToSleeps) { EXPECT_FALSE(AwakeRule{}.stays_awake()); }

TEST(AwakeRule, LateMessagesAreSleptFor) { EXPECT_EQ(awake_of_last(50, {kLate}), 0); }

TEST(AwakeRule, MessagesThatComeSoonAreWaitedForAwake) {
  EXPECT_EQ(awake_of_last(50, {kSoon}), 50);
}

TEST(AwakeRule, OnlyTheAnswerOfARequestIsWaitedForAwakeWhenRequestsComeSlowly) {
  EXPECT_EQ(awake_of_last(50, {kSoon, kLate}), 25);
  EXPECT_EQ(awake_of_last(51, {kSoon, kSoon, kLate}), 34);
}

TEST(AwakeRule, ALoopThatBecomesIdleFallsAsleepWithinAFewWaits) {
  AwakeRule rule;
  for (int i = 0; i < 100; ++i) rule.waited(kSoon);
  int awake = 0;
  for (int i = 0; i < 100; ++i) {
    awake += rule.stays_awake() ? 1 : 0;
    rule.waited(kLate);
  }
  EXPECT_LE(awake, 3);
}

// Waits until it is awake again.
uint32_t slept(AwakeRule& rule) {
  uint32_t waits = 0;
  for (; !rule.stays_awake() && waits < 10'000; ++waits) rule.waited(kSoon);
  return waits;
}

void cede(AwakeRule& rule) {
  rule.ceded();
  rule.waited(kSoon);
}

TEST(AwakeRule, WhoHadToGiveUpTheCoreSleepsForAWhileAndForLongerEachTime) {
  AwakeRule rule;
  EXPECT_GT(slept(rule), 0U);
  for (uint32_t i = AwakeRule::kCededMin; i <= AwakeRule::kCededMax; i *= 2) {
    cede(rule);
    EXPECT_EQ(slept(rule), i);
  }
  cede(rule);
  EXPECT_EQ(slept(rule), AwakeRule::kCededMax);
  rule.kept();
  cede(rule);
  EXPECT_EQ(slept(rule), AwakeRule::kCededMin) << "the core had become free";
}

class BusyPollTest : public ::testing::Test {
 protected:
  // Waits until it would stay awake.
  BusyPollTest() {
    for (int i = 0; i < 20; ++i) poll_.wait(polled_, Micros{1});
  }
  Micros time_of(Micros timeout) {
    const auto start = std::chrono::steady_clock::now();
    poll_.wait(polled_, timeout);
    return std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now() - start);
  }

  EventFd event_;
  pollfd polled_[1] = {{event_.fd(), POLLIN, 0}};
  BusyPoll poll_;
};

TEST_F(BusyPollTest, AWaitLastsAsLongAsItMay) {
  EXPECT_GE(time_of(Micros{30}), Micros{30});
  EXPECT_GE(time_of(Micros{3000}), Micros{3000});
  EXPECT_EQ(polled_[0].revents, 0);
}

TEST_F(BusyPollTest, WhatIsThereEndsAWaitAndIsSeen) {
  event_.signal();
  EXPECT_LT(time_of(Seconds{20}), Seconds{10});
  EXPECT_EQ(polled_[0].revents, POLLIN);
  polled_[0].revents = 0;
  EXPECT_LT(time_of(Micros{0}), Seconds{10});
  EXPECT_EQ(polled_[0].revents, POLLIN);
}

TEST_F(BusyPollTest, WhatComesLaterEndsAWaitToo) {
  std::thread other([&] {
    std::this_thread::sleep_for(Millis{20});
    event_.signal();
  });
  EXPECT_LT(time_of(Seconds{20}), Seconds{10});
  EXPECT_EQ(polled_[0].revents, POLLIN);
  other.join();
}

}  // namespace
}  // namespace zgrid::protocol::transport
