// Batches on their way: which are still to be sent, and which are late.
#include "client/outbox.h"

#include <gtest/gtest.h>

#include <chrono>
#include <utility>

#include "protocol/codec.h"

namespace zgrid::client {
namespace {

using namespace std::chrono_literals;
using protocol::Message;

constexpr uint64_t kFirst = 1, kSecond = 2, kThird = 3;

class OutboxTest : public ::testing::Test {
 protected:
  static MonoTime at(Micros time) { return MonoTime{time}; }

  // Give deadlines that are over kDeadlineSpread apart: each job gets a message of its own.
  JobId add(MonoTime deadline) {
    JobSpec spec;
    spec.service = "zgrid.echo";
    Submission submission;
    submission.spec = protocol::make_spec(std::move(spec));
    submission.entry.id = protocol_id(++made_);
    const JobId id = submission.entry.id;
    outbox_.add(std::move(submission), {}, deadline);
    return id;
  }
  // How many messages it sends when so many have room.
  int flush(uint64_t session, int room = 1000) {
    int sent = 0;
    outbox_.flush(session, next_request_, [&](const Message& message) {
      if (sent == room) return false;
      last_request_ = std::get<protocol::Submit>(message).request;
      ++sent;
      return true;
    });
    return sent;
  }
  size_t late(MonoTime now) { return outbox_.on_time(now).size(); }

  Outbox outbox_;
  uint64_t next_request_ = 1, last_request_ = 0;

 private:
  static JobId protocol_id(uint8_t number) {
    JobId id;
    id.bytes.back() = number;
    return id;
  }
  uint8_t made_ = 0;
};

TEST_F(OutboxTest, WhatHadNoRoomIsSentNextAndNothingTwice) {
  for (const auto deadline : {1s, 2s, 3s}) add(at(deadline));
  EXPECT_EQ(flush(kFirst, 1), 1);
  EXPECT_TRUE(outbox_.has_unsent(kFirst));
  EXPECT_EQ(flush(kFirst), 2);
  EXPECT_FALSE(outbox_.has_unsent(kFirst));
  EXPECT_EQ(flush(kFirst), 0);
  add(at(4s));
  EXPECT_TRUE(outbox_.has_unsent(kFirst));
  EXPECT_EQ(flush(kFirst), 1);
}

TEST_F(OutboxTest, AnotherSessionAndADoubtSendEverythingAgain) {
  for (const auto deadline : {1s, 2s}) add(at(deadline));
  EXPECT_EQ(flush(kFirst), 2);
  EXPECT_TRUE(outbox_.has_unsent(kSecond));
  EXPECT_EQ(flush(kSecond), 2);
  EXPECT_FALSE(outbox_.has_unsent(kSecond));
  outbox_.doubt_all();
  EXPECT_TRUE(outbox_.has_unsent(kSecond));
  EXPECT_EQ(flush(kSecond), 2);
  EXPECT_EQ(last_request_, 2U) << "under the numbers they had";
}

TEST_F(OutboxTest, ASessionThatEndsWithinAFlushLeavesNothingBehind) {
  for (const auto deadline : {1s, 2s, 3s}) add(at(deadline));
  EXPECT_EQ(flush(kFirst, 2), 2);
  EXPECT_EQ(flush(kSecond, 1), 1);
  EXPECT_EQ(flush(kThird), 3);
  EXPECT_FALSE(outbox_.has_unsent(kThird));
}

TEST_F(OutboxTest, EachBatchIsLateAtItsOwnTimeWhateverOrderTheyCameIn) {
  add(at(3s));
  add(at(1s));
  add(MonoTime::never());
  add(at(2s));
  EXPECT_EQ(outbox_.deadline(), at(1s));
  EXPECT_EQ(late(at(999ms)), 0U);
  EXPECT_EQ(late(at(1s)), 1U);
  EXPECT_EQ(outbox_.deadline(), at(2s));
  EXPECT_EQ(late(at(5s)), 2U);
  EXPECT_EQ(outbox_.deadline(), MonoTime::never());
  EXPECT_FALSE(outbox_.empty());
}

TEST_F(OutboxTest, AnAcknowledgedBatchIsNotLate) {
  add(at(1s));
  add(at(2s));
  flush(kFirst, 1);
  protocol::SubmitAck ack;
  ack.request = last_request_;
  ASSERT_TRUE(outbox_.on_ack(ack, at(0s)));
  EXPECT_LE(outbox_.deadline(), at(2s)) << "it may be early, never late";
  EXPECT_EQ(late(at(1s)), 0U);
  EXPECT_EQ(outbox_.deadline(), at(2s));
  EXPECT_EQ(late(at(2s)), 1U);
}

TEST_F(OutboxTest, NothingIsLateAfterTheEnd) {
  add(at(1s));
  EXPECT_EQ(outbox_.fail_all({Errc::no_broker, "gone", "", Effect::none, 0}).size(), 1U);
  EXPECT_EQ(outbox_.deadline(), MonoTime::never());
  EXPECT_EQ(late(at(2s)), 0U);
}

}  // namespace
}  // namespace zgrid::client
