#include <gtest/gtest.h>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

constexpr SessionId kAda{11}, kBob{12};

class LeaseTest : public CoreTest {};

TEST_F(LeaseTest, AJobOfAWorkerThatDiesRunsElsewhereWithinThreeAndAHalfSeconds) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  join(kBob, ready("bob"));
  die(kAda);
  pass(Millis{2'900});
  EXPECT_TRUE(silent(kBob));
  pass(Millis{600});
  const Token again = assigned_one(kBob);
  EXPECT_EQ(again.job, token.job);
  EXPECT_EQ(again.attempt, 2u);
  EXPECT_EQ(stored(token.job).state.losses, 1u);
}

TEST_F(LeaseTest, SilenceCountsOnlyWhenEverythingWasHeard) {
  hello();
  join(kAda, ready("ada"));
  running(spec(), kAda);
  now_ += Micros{5'000'000};
  turn([] {}, false);
  EXPECT_EQ(core_->counts().workers, 1u);
  turn([] {}, true);
  EXPECT_EQ(core_->counts().workers, 0u);
}

TEST_F(LeaseTest, TimeInWhichTheBrokerStoodStillIsNobodysSilence) {
  hello();
  join(kAda, ready("ada"));
  running(spec(), kAda);
  now_ += Micros{30'000'000};
  core_->extend_leases(Micros{30'000'000});
  turn();
  EXPECT_EQ(core_->counts().workers, 1u);
}

TEST_F(LeaseTest, AJobThatKillsThreeWorkersIsSetAside) {
  hello();
  join(kAda, ready("ada"));
  Token token = running(spec(), kAda);
  for (uint8_t loss = 1; loss <= 3; ++loss) {
    die(kAda);
    pass(Millis{3'200});
    if (loss == 3) break;
    Ready fresh = ready("ada");
    fresh.boot.bytes[0] = static_cast<uint8_t>(loss + 1);
    join(kAda, fresh);
    token = assigned_one(kAda);
    start(kAda, token);
  }
  const ResultEntry entry = result(kClient);
  EXPECT_EQ(entry.outcome.status, JobStatus::dead_letter);
  EXPECT_EQ(entry.outcome.error->kind, JobErrorKind::worker_lost);
}

TEST_F(LeaseTest, ALossIsTakenBackWhenTheSameProcessReturnsWithinAMinute) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  die(kAda);
  pass(Millis{5'000});
  EXPECT_EQ(stored(token.job).state.losses, 1u);
  Ready again = ready("ada");
  again.in_hand = {{token, InHand::State::running, {}, 0, 0}};
  const Welcome welcome = join(kAda, again);
  EXPECT_EQ(welcome.discard, std::vector<Token>{token}) << "it was requeued meanwhile";
  EXPECT_EQ(stored(token.job).state.losses, 0u);
  EXPECT_EQ(assigned_one(kAda).attempt, 2u);
}

TEST_F(LeaseTest, WhatWaitedBehindTheRunningJobHasNoPartInTheLoss) {
  hello();
  Ready ada = ready("ada");
  ada.window = 2;
  join(kAda, ada);
  const Token first = running(spec(), kAda);
  submit(spec());
  const Token second = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  die(kAda);
  pass(Millis{3'200});
  EXPECT_EQ(stored(first.job).state.losses, 1u);
  EXPECT_EQ(stored(second.job).state.losses, 0u);
}

TEST_F(LeaseTest, ARestartedWorkerLosesWhatItHad) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  Ready fresh = ready("ada");
  fresh.boot.bytes[0] = 2;
  join(kBob, fresh);
  EXPECT_EQ(stored(token.job).state.losses, 1u);
  EXPECT_EQ(assigned_one(kBob).attempt, 2u);
}

TEST_F(LeaseTest, AReconnectedWorkerKeepsWhatItHolds) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  Ready again = ready("ada");
  again.in_hand = {{token, InHand::State::running, {}, 0, 0}};
  EXPECT_TRUE(join(kBob, again).discard.empty());
  finish(kBob, token);
  expect_final_ack(kBob);
  EXPECT_EQ(result(kClient).attempt, 1u);
}

TEST_F(LeaseTest, AWorkerThatSaysGoodbyeHandsItsJobsBackAtNoCost) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  die(kAda);
  say(kAda, Role::worker, Disconnect{"the worker stops"});
  EXPECT_EQ(stored(token.job).status(), JobStatus::queued);
  EXPECT_EQ(stored(token.job).state.losses, 0u);
}

TEST_F(LeaseTest, AWorkerThatIsNotKnownIsAskedToIntroduceItself) {
  say(kAda, Role::worker, Heartbeat{});
  next<Disconnect>(kAda, Gate::free);
}

TEST_F(LeaseTest, ASecondLiveWorkerOfTheSameNameIsRefused) {
  join(kAda, ready("ada"));
  Ready other = ready("ada");
  other.facts.id.bytes[15] = 77;
  say(kBob, Role::worker, other);
  EXPECT_EQ(next<Refused>(kBob, Gate::free).error.code, Errc::name_taken);
  die(kAda);
  pass(Millis{3'100});
  join(kBob, other);
}

TEST_F(LeaseTest, EveryWorkerHearsABeatEachSecondButNotTooManyInOneTurn) {
  constexpr uint64_t kWorkers = 300;
  for (uint64_t i = 0; i < kWorkers; ++i) {
    join(SessionId{100 + i}, ready("worker-" + std::to_string(i)));
  }
  pass(Millis{2'000});
  std::map<SessionId, int> beats;
  for (const MonoTime end = now().mono + Micros(Millis{2'000}); now_ < end.since_start;) {
    now_ += Micros(Millis{10});
    core_->begin(now());
    size_t in_turn = 0;
    for (const Send& send : core_->finish(true).sends) {
      ASSERT_TRUE(std::holds_alternative<Heartbeat>(send.message));
      ++beats[send.to];
      ++in_turn;
    }
    EXPECT_LE(in_turn, kWorkers / 2);
  }
  EXPECT_EQ(beats.size(), kWorkers);
  for (const auto& [session, count] : beats) EXPECT_EQ(count, 2);
}

}  // namespace
}  // namespace zgrid::broker
