#include <gtest/gtest.h>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

constexpr SessionId kAda{11}, kBob{12}, kCas{13};

TEST_F(CoreTest, AJobIsAcceptedAssignedAndItsResultReachesTheClient) {
  hello();
  join(kAda, ready("ada"));
  const JobId id = submit(spec());
  // The first assignment overtakes its commit; the acknowledgement does not.
  const Token token = assigned_one(kAda, Gate::overtake);
  EXPECT_EQ(token.job, id);
  EXPECT_EQ(token.attempt, 1u);
  EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
  finish(kAda, token);
  expect_final_ack(kAda);
  const ResultEntry entry = result(kClient);
  EXPECT_EQ(entry.job, id);
  EXPECT_EQ(entry.outcome.status, JobStatus::succeeded);
  EXPECT_EQ(entry.output.data.view(), "out");
  EXPECT_EQ(stored(id).status(), JobStatus::succeeded);
  EXPECT_EQ(core_->counts().unfinished, 0u);
}

TEST_F(CoreTest, AnAcknowledgedJobIsAssignedOnlyAfterItsCommit) {
  hello();
  accepted(spec());
  join(kAda, ready("ada"));
  assigned_one(kAda, Gate::after_commit);
}

TEST_F(CoreTest, NothingOvertakesWhenTheConfigurationSaysSo) {
  config_.overtake = false;
  start_core();
  hello();
  join(kAda, ready("ada"));
  submit(spec());
  assigned_one(kAda, Gate::after_commit);
  next<SubmitAck>(kClient);
}

TEST_F(CoreTest, TheSameIdWithTheSameBodyIsTheSameJob) {
  hello();
  const JobEntry e = entry();
  say(kClient, Role::client, submission(spec(), {e}));
  EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
  say(kClient, Role::client, submission(spec(), {e}));
  const auto ack = next<SubmitAck>(kClient);
  ASSERT_EQ(ack.items.size(), 1u);
  EXPECT_TRUE(ack.items[0].duplicate);
  EXPECT_EQ(ack.items[0].job, e.id);
  EXPECT_EQ(core_->counts().accepted, 1u);
}

TEST_F(CoreTest, TheSameIdWithAnotherBodyIsAConflict) {
  hello();
  JobEntry e = entry("1");
  say(kClient, Role::client, submission(spec(), {e}));
  next<SubmitAck>(kClient);
  e.input = {PayloadTag::json, Bytes::copy_of("2")};
  say(kClient, Role::client, submission(spec(), {e}));
  EXPECT_EQ(refusal().code, Errc::conflict);
}

TEST_F(CoreTest, AKeyStandsForItsJobAlsoAfterARestart) {
  hello();
  JobEntry first = entry();
  first.key = "nightly";
  say(kClient, Role::client, submission(spec(), {first}));
  next<SubmitAck>(kClient);
  restart();
  hello();
  JobEntry second = entry();
  second.key = "nightly";
  say(kClient, Role::client, submission(spec(), {second}));
  const auto ack = next<SubmitAck>(kClient);
  ASSERT_EQ(ack.items.size(), 1u);
  EXPECT_EQ(ack.items[0].job, first.id);
  EXPECT_TRUE(ack.items[0].duplicate);
  second.input = {PayloadTag::json, Bytes::copy_of("other")};
  say(kClient, Role::client, submission(spec(), {second}));
  EXPECT_EQ(refusal().code, Errc::conflict);
}

TEST_F(CoreTest, RerunFailedMakesANewJobOnlyOfAKeyThatFailed) {
  hello();
  join(kAda, ready("ada"));
  JobEntry first = entry();
  first.key = "k";
  say(kClient, Role::client, submission(spec(), {first}));
  next<SubmitAck>(kClient);
  finish(kAda, assigned_one(kAda, Gate::overtake), JobStatus::failed);
  expect_final_ack(kAda);
  result(kClient);
  JobEntry second = entry();
  second.key = "k";
  Submit again = submission(spec(), {second});
  again.rerun_failed = true;
  say(kClient, Role::client, again);
  EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
  EXPECT_EQ(assigned_one(kAda, Gate::overtake).job, second.id);
}

TEST_F(CoreTest, TheResultOfADuplicateThatEndedIsReadFromTheStore) {
  hello();
  join(kAda, ready("ada"));
  const JobEntry e = entry();
  say(kClient, Role::client, submission(spec(), {e}));
  finish(kAda, assigned_one(kAda, Gate::overtake));
  next<SubmitAck>(kClient);
  result(kClient);
  expect_final_ack(kAda);
  say(kClient, Role::client, submission(spec(), {e}));
  EXPECT_EQ(next<SubmitAck>(kClient).items.at(0).status, JobStatus::succeeded);
  ASSERT_EQ(reads_.size(), 1u);
  EXPECT_EQ(reads_[0].jobs, std::vector<JobId>{e.id});
}

TEST_F(CoreTest, AHigherPriorityGoesFirst) {
  hello();
  JobSpec low = spec();
  low.priority = 1;
  JobSpec high = spec();
  high.priority = 9;
  const JobId slow = accepted(low);
  const JobId fast = accepted(high);
  join(kAda, ready("ada", 2));
  const auto tokens = assigned(kAda);
  ASSERT_EQ(tokens.size(), 2u);
  EXPECT_EQ(tokens[0].job, fast);
  EXPECT_EQ(tokens[1].job, slow);
}

TEST_F(CoreTest, RunsTakeTurns) {
  hello();
  JobSpec red = spec();
  red.run = "red";
  JobSpec blue = spec();
  blue.run = "blue";
  std::vector<JobId> reds;
  for (int i = 0; i < 3; ++i) reds.push_back(accepted(red));
  const JobId lone = accepted(blue);
  join(kAda, ready("ada", 4));
  const auto tokens = assigned(kAda);
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].job, reds[0]);
  EXPECT_EQ(tokens[1].job, lone);
  EXPECT_EQ(tokens[2].job, reds[1]);
}

TEST_F(CoreTest, WorkGoesToTheLeastLoadedWorker) {
  hello();
  join(kAda, ready("ada", 2));
  join(kBob, ready("bob", 2));
  for (int i = 0; i < 4; ++i) submit(spec());
  EXPECT_EQ(assigned(kAda, Gate::overtake).size(), 1u);
  EXPECT_EQ(assigned(kBob, Gate::overtake).size(), 1u);
  EXPECT_EQ(assigned(kAda, Gate::overtake).size(), 1u);
  EXPECT_EQ(assigned(kBob, Gate::overtake).size(), 1u);
  for (int i = 0; i < 4; ++i) next<SubmitAck>(kClient);
}

struct TargetRow {
  const char* what;
  const char* target;
  const char* version;
  SessionId expected;
};

TEST_F(CoreTest, TargetsSelectByNameTagAndVersion) {
  hello();
  Ready ada = ready("ada", 9);
  ada.tags = {{"gpu", "yes"}};
  Ready bob = ready("bob", 9);
  bob.facts.version = "0.2.5";
  join(kAda, ada);
  join(kBob, bob);
  const TargetRow rows[] = {
      {"a name", "bob", "", kBob},
      {"one of several names", "nobody,ada", "", kAda},
      {"a tag", "tag:gpu=yes", "", kAda},
      {"a version", "any", "0.2", kBob},
  };
  for (const TargetRow& row : rows) {
    SCOPED_TRACE(row.what);
    JobSpec job = spec();
    job.target = *parse_target(row.target);
    job.demand_version = row.version;
    const JobId id = submit(job);
    EXPECT_EQ(assigned_one(row.expected, Gate::overtake).job, id);
    next<SubmitAck>(kClient);
  }
  JobSpec nowhere = spec();
  nowhere.target = *parse_target("tag:gpu=no");
  accepted(nowhere);
  EXPECT_EQ(core_->counts().queued, 1u);
}

TEST_F(CoreTest, NoQueueRefusesWhatNobodyCanRun) {
  hello();
  JobSpec job = spec("unheard-of");
  job.no_queue = true;
  submit(job);
  EXPECT_EQ(refusal().code, Errc::no_candidate);
  EXPECT_EQ(core_->counts().accepted, 0u);
}

TEST_F(CoreTest, LimitsAreAnsweredWithAnAdvice) {
  config_.queue_jobs_max = 1;
  start_core();
  hello();
  accepted(spec());
  submit(spec());
  const Error error = refusal(Gate::free);  // it reveals nothing that the disk must have first
  EXPECT_EQ(error.code, Errc::queue_full);
  EXPECT_GT(error.retry_after_ms, 0u);
}

TEST_F(CoreTest, AClientMayHaveOnlySoManyUnfinishedJobs) {
  config_.in_flight_max = 1;
  start_core();
  hello();
  hello(kOther, "bob@host");
  accepted(spec());
  submit(spec());
  EXPECT_EQ(refusal(Gate::free).code, Errc::queue_full);
  accepted(spec(), kOther);
}

TEST_F(CoreTest, AStoreThatCannotWriteRefusesSubmitsForAWhile) {
  hello();
  core_->set_refusing("the disk is full");
  submit(spec());
  EXPECT_EQ(refusal(Gate::free).code, Errc::store_unavailable);
  core_->set_refusing("");
  accepted(spec());
}

TEST_F(CoreTest, ADiskThatIsBehindRefusesSubmitsForAMoment) {
  hello();
  const auto submit_behind = [&](uint64_t unwritten, size_t input) {
    JobEntry entry = this->entry();
    entry.input.data = Bytes::own(std::string(input, 'x'));
    turn([&] {
      core_->set_unwritten(unwritten);
      core_->receive(kClient, Role::client, submission(spec(), {entry}));
    });
  };
  submit_behind(64u << 20, 5u << 20);
  const Error error = refusal(Gate::free);
  EXPECT_EQ(error.code, Errc::queue_full);
  EXPECT_NE(error.message.find("disk is behind"), std::string::npos);
  EXPECT_GT(error.retry_after_ms, 0u);
  // Not all come back at once.
  submit_behind(64u << 20, 50u << 20);
  submit_behind(64u << 20, 5u << 20);
  EXPECT_EQ(refusal(Gate::free).retry_after_ms, error.retry_after_ms + 20);
  EXPECT_EQ(refusal(Gate::free).retry_after_ms, error.retry_after_ms + 220);
  // The largest is taken while others are.
  submit_behind(60u << 20, 64u << 20);
  EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
  // It holds within one turn, too.
  turn([&] {
    for (int i = 0; i < 5; ++i) {
      JobEntry entry = this->entry();
      entry.input.data = Bytes::own(std::string(20u << 20, 'x'));
      core_->receive(kClient, Role::client, submission(spec(), {entry}));
    }
  });
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
  EXPECT_EQ(refusal(Gate::free).code, Errc::queue_full);
}

TEST_F(CoreTest, WhatCannotBeRunIsRefusedByName) {
  hello();
  JobSpec plan = spec();
  plan.kind = JobKind::plan;
  submit(plan);
  EXPECT_EQ(refusal().code, Errc::unsupported);
  JobSpec race = spec();
  race.race = true;
  submit(race);
  EXPECT_EQ(refusal().code, Errc::unsupported);
  submit(spec(""));
  EXPECT_EQ(refusal().code, Errc::bad_input);
  JobSpec run = spec();
  run.run = "no name";
  submit(run);
  EXPECT_EQ(refusal().code, Errc::bad_input);
}

// ---- broadcasts -----------------------------------------------------------------------------

JobSpec everywhere() {
  JobSpec job;
  job.service = "echo";
  job.target.mode = Target::Mode::all;
  return job;
}

TEST_F(CoreTest, ABroadcastMakesAChildForEachWorkerThatCanRunIt) {
  hello();
  join(kAda, ready("ada"));
  join(kBob, ready("bob"));
  Ready cas = ready("cas");
  cas.services = {"other"};
  join(kCas, cas);
  const JobId parent = submit(everywhere());
  const Token one = assigned_one(kAda, Gate::overtake);
  const Token two = assigned_one(kBob, Gate::overtake);
  const auto ack = next<SubmitAck>(kClient);
  ASSERT_EQ(ack.items.size(), 1u);
  EXPECT_EQ(ack.items[0].children.size(), 2u);
  finish(kAda, one);
  result(kClient);
  EXPECT_EQ(stored(parent).status(), JobStatus::running);
  finish(kBob, two, JobStatus::failed);
  result(kClient);
  EXPECT_EQ(stored(parent).status(), JobStatus::failed);
  expect_final_ack(kAda);
  expect_final_ack(kBob);
}

TEST_F(CoreTest, ABroadcastThatNobodyCanRunIsRefused) {
  hello();
  submit(everywhere());
  EXPECT_EQ(refusal().code, Errc::no_candidate);
}

TEST_F(CoreTest, ABroadcastsChildFailsWhenItsWorkerStaysAway) {
  hello();
  join(kAda, ready("ada"));
  submit(everywhere());
  submit(everywhere());  // its child is still queued when the worker goes
  assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  next<SubmitAck>(kClient);
  die(kAda);
  pass(Millis{3'100});
  EXPECT_TRUE(silent(kClient));
  pass(Millis{6'100});
  const auto results = next<Results>(kClient);
  ASSERT_EQ(results.items.size(), 2u);
  for (const ResultEntry& entry : results.items) {
    EXPECT_EQ(entry.outcome.status, JobStatus::failed);
    EXPECT_EQ(entry.outcome.error->kind, JobErrorKind::worker_lost);
  }
  EXPECT_EQ(core_->counts().unfinished, 0u);
}

TEST_F(CoreTest, ABroadcastsChildWaitsForAWorkerThatComesBack) {
  hello();
  join(kAda, ready("ada"));
  submit(everywhere());
  assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  die(kAda);
  pass(Millis{6'000});
  join(kBob, ready("ada"));
  const Token again = assigned_one(kBob);
  EXPECT_EQ(again.attempt, 2u);
  pass(Millis{7'000});
  finish(kBob, again);
  result(kClient);
  expect_final_ack(kBob);
}

}  // namespace
}  // namespace zgrid::broker
