#include <gtest/gtest.h>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

constexpr SessionId kAda{11}, kBob{12};

class RecoveryTest : public CoreTest {
 protected:
  // A job that ran on a worker when the broker died.
  Token survivor(const JobSpec& job) {
    hello();
    join(kAda, ready("ada"));
    submit(job);
    const Token token = assigned_one(kAda, Gate::overtake);
    next<SubmitAck>(kClient);
    start(kAda, token);
    return token;
  }
  static Ready with(Ready m, const Token& token, InHand::State state) {
    m.in_hand = {{token, state, {}, 0, 0}};
    return m;
  }
};

TEST_F(RecoveryTest, AWorkerThatComesBackKeepsWhatItRuns) {
  const Token token = survivor(spec());
  restart();
  hello();
  EXPECT_EQ(watch(token.job), JobStatus::running);
  const Welcome welcome = join(kAda, with(ready("ada"), token, InHand::State::running));
  EXPECT_TRUE(welcome.discard.empty());
  pass(Millis{10'000});
  EXPECT_TRUE(silent(kAda)) << "nothing is assigned a second time";
  finish(kAda, token);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).attempt, 1u);
}

TEST_F(RecoveryTest, AResultThatTheBrokerMissedIsAcceptedLater) {
  const Token token = survivor(spec());
  restart();
  join(kAda, with(ready("ada"), token, InHand::State::finished));
  finish(kAda, token);
  expect_final_ack(kAda);
  EXPECT_EQ(stored(token.job).status(), JobStatus::succeeded);
}

TEST_F(RecoveryTest, WhatNoWorkerComesBackWithRunsAgainAfterTwoLeases) {
  const Token token = survivor(spec());
  restart();
  join(kBob, ready("bob"));
  pass(Millis{5'900});
  EXPECT_TRUE(silent(kBob));
  pass(Millis{200});
  EXPECT_EQ(assigned_one(kBob).attempt, 2u);
  EXPECT_EQ(stored(token.job).state.losses, 0u);
}

TEST_F(RecoveryTest, AStopOfTheBrokerDoesNotShortenTheGrace) {
  survivor(spec());
  restart();
  join(kBob, ready("bob"));
  now_ += Micros{30'000'000};
  core_->extend_leases(Micros{30'000'000});
  turn();
  EXPECT_TRUE(silent(kBob));
  pass(Millis{6'100});
  assigned_one(kBob);
}

TEST_F(RecoveryTest, ACancelIsSentAgainAfterTheWelcome) {
  const Token token = survivor(spec());
  cancel(token.job);
  restart();
  join(kAda, with(ready("ada"), token, InHand::State::running));  // the welcome comes first
  EXPECT_EQ(next<Abort>(kAda).items.at(0).reason, Abort::Reason::cancelled);
}

TEST_F(RecoveryTest, ADeadlineThatPassedMeanwhileEndsTheJob) {
  JobSpec job = spec();
  job.deadline = Millis{300};
  const Token token = survivor(job);
  now_ += Micros{1'000'000};
  restart();
  EXPECT_EQ(stored(token.job).status(), JobStatus::timed_out);
  const Welcome welcome = join(kAda, with(ready("ada"), token, InHand::State::running));
  EXPECT_EQ(welcome.discard, std::vector<Token>{token});
}

TEST_F(RecoveryTest, AnAttemptThatIsNotCurrentIsDiscarded) {
  Token token = survivor(spec());
  token.nonce.bytes[0] ^= 1;
  restart();
  const Welcome welcome = join(kAda, with(ready("ada"), token, InHand::State::running));
  EXPECT_EQ(welcome.discard, std::vector<Token>{token});
}

TEST_F(RecoveryTest, ABroadcastGoesOnWhereItWas) {
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  const Token child = survivor(job);
  const JobId parent = stored(child.job).accepted.parent;
  restart();
  join(kAda, with(ready("ada"), child, InHand::State::running));
  finish(kAda, child);
  expect_final_ack(kAda);
  EXPECT_EQ(stored(parent).status(), JobStatus::succeeded);
}

TEST_F(RecoveryTest, ABroadcastsQueuedChildWhoseWorkerStaysAwayFails) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  submit(job);
  submit(job);
  assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  next<SubmitAck>(kClient);
  restart();
  pass(Millis{13'000});
  EXPECT_EQ(core_->counts().unfinished, 0u);
}

TEST_F(RecoveryTest, BrokersThatStopSayGoodbye) {
  hello();
  join(kAda, ready("ada"));
  take(core_->shut_down(now()));
  next<Disconnect>(kAda);
  next<Disconnect>(kClient);
}

// ---- what clients ask -----------------------------------------------------------------------

TEST_F(RecoveryTest, ASilentClientIsForgottenAndAskedForItsHello) {
  hello();
  pass(Millis{31'000});
  say(kClient, Role::client, Heartbeat{});
  next<Disconnect>(kClient, Gate::free);
}

TEST_F(RecoveryTest, AnotherProtocolVersionIsRefusedByName) {
  Hello m;
  m.version_min = 9;
  m.version_max = 9;
  say(kClient, Role::client, m);
  EXPECT_EQ(next<Refused>(kClient, Gate::free).error.code, Errc::envelope_version);
  Ready worker = ready("ada");
  worker.version_min = worker.version_max = 9;
  say(kAda, Role::worker, worker);
  EXPECT_EQ(next<Refused>(kAda, Gate::free).error.code, Errc::envelope_version);
}

TEST_F(RecoveryTest, AJobIsFoundByItsIdItsTailAndLast) {
  hello();
  const JobId id = accepted(spec());
  const std::string text = id.str();
  for (const std::string& selector : {text, text.substr(text.size() - 12), std::string("last")}) {
    SCOPED_TRACE(selector);
    Query m;
    m.what = Query::What::resolve;
    m.selectors = {selector};
    say(kClient, Role::client, m);
    ASSERT_FALSE(reads_.empty());
    EXPECT_EQ(reads_.back().jobs, std::vector<JobId>{id});
    reads_.clear();
  }
}

TEST_F(RecoveryTest, LastIsWhatTheSameUserSubmittedAlsoAfterARestart) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  const JobId parent = submit(job);
  restart();
  hello();
  Query m;
  m.what = Query::What::resolve;
  m.selectors = {"last"};
  say(kClient, Role::client, m);
  ASSERT_EQ(reads_.size(), 1u);
  EXPECT_EQ(reads_[0].jobs, std::vector<JobId>{parent});
}

TEST_F(RecoveryTest, ATailOfSeveralJobsIsAmbiguousAndAStrangeOneIsNotFound) {
  hello();
  JobEntry one = entry();
  JobEntry two = entry();
  one.id.bytes[14] = two.id.bytes[14] = 0xab;
  one.id.bytes[15] = two.id.bytes[15] = 0xcd;
  one.id.bytes[1] = 5;
  say(kClient, Role::client, submission(spec(), {one, two}));
  next<SubmitAck>(kClient);
  EXPECT_EQ(ask(Query::What::resolve, {"abcd"}).error->code, Errc::ambiguous);
  EXPECT_EQ(ask(Query::What::resolve, {"abce"}).error->code, Errc::not_found);
  EXPECT_EQ(ask(Query::What::resolve, {"bcd"}).error->code, Errc::not_found);
  EXPECT_EQ(ask(Query::What::resolve, {"zzzz"}).error->code, Errc::not_found);
}

TEST_F(RecoveryTest, AnUnknownJobIsNotWatched) {
  hello();
  Watch m;
  m.jobs = {entry().id};
  say(kClient, Role::client, m);
  EXPECT_FALSE(next<WatchAck>(kClient).items.at(0).known);
}

TEST_F(RecoveryTest, StatusCountsWhatTheStoreHolds) {
  const Token token = survivor(spec());
  accepted(spec("unheard-of"));
  finish(kAda, token);
  result(kClient);
  expect_final_ack(kAda);
  restart();
  hello();
  const Answer answer = ask(Query::What::status);
  ASSERT_TRUE(answer.status);
  EXPECT_EQ(answer.status->jobs.at(static_cast<size_t>(JobStatus::queued)), 1u);
  EXPECT_EQ(answer.status->jobs.at(static_cast<size_t>(JobStatus::succeeded)), 1u);
  EXPECT_EQ(answer.status->epoch, 2u);
}

TEST_F(RecoveryTest, ExplainSaysWhyAJobWaits) {
  hello();
  accepted(spec("unheard-of"));
  EXPECT_NE(ask(Query::What::explain, {"last"}).text.find("no worker is online"),
            std::string::npos);
  join(kAda, ready("ada"));
  EXPECT_NE(ask(Query::What::explain, {"last"}).text.find("does not offer"), std::string::npos);
}

TEST_F(RecoveryTest, WorkersAreListedWithWhatTheyHave) {
  hello();
  join(kAda, ready("ada", 3));
  const Answer answer = ask(Query::What::workers);
  ASSERT_EQ(answer.workers.size(), 1u);
  EXPECT_EQ(answer.workers[0].facts.name, "ada");
  EXPECT_EQ(answer.workers[0].slots, 3u);
  EXPECT_EQ(answer.workers[0].free, 3u);
  EXPECT_TRUE(answer.workers[0].online);
}

}  // namespace
}  // namespace zgrid::broker
