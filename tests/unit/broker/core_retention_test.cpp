// How long ended jobs are kept, what is left of them, and the clock that says when.
#include <algorithm>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

class RetentionTest : public CoreTest {
 protected:
  static constexpr SessionId kAnn{10};

  void begin() {
    start_core();
    turn();
    hello();
    join(kAnn, ready("ann", 1));
  }
  JobId done(const JobSpec& job) {
    submit(job);
    const Token token = assigned_one(kAnn, Gate::overtake);
    next<SubmitAck>(kClient);
    finish(kAnn, token);
    next<Results>(kClient);
    expect_final_ack(kAnn);
    return token.job;
  }
  size_t purged() const {
    size_t count = 0;
    for (const Record& record : records_) {
      if (const auto* purge = std::get_if<Purge>(&record)) count += purge->jobs.size();
    }
    return count;
  }
  size_t forgotten() const {
    return static_cast<size_t>(std::count_if(records_.begin(), records_.end(), [](const Record& r) {
      return std::holds_alternative<Forget>(r);
    }));
  }
};

TEST_F(RetentionTest, KeepsAResultForItsTimeThenItsIdThenNothing) {
  config_.retention = Millis{10'000};
  config_.retention_ids = Millis{20'000};
  begin();
  const JobId job = done(spec());
  pass(Millis{9'000});
  EXPECT_EQ(purged(), 0u);
  pass(Millis{3'000});
  EXPECT_EQ(purged(), 1u);
  EXPECT_FALSE(read_stored(job)->has_value());
  // Its state is still known, its output is not.
  EXPECT_EQ(watch(job), JobStatus::succeeded);
  const ResultEntry entry = result(kClient);
  EXPECT_TRUE(entry.purged);
  EXPECT_EQ(entry.outcome.status, JobStatus::succeeded);
  restart();
  hello();
  join(kAnn, ready("ann", 1));
  EXPECT_EQ(watch(job), JobStatus::succeeded);
  result(kClient);
  pass(Millis{22'000});
  EXPECT_EQ(forgotten(), 1u);
  Watch m;
  m.jobs = {job};
  say(kClient, Role::client, m);
  EXPECT_FALSE(next<WatchAck>(kClient).items.front().known);
  EXPECT_EQ(ask(Query::What::status).status->jobs.at(static_cast<size_t>(JobStatus::succeeded)),
            0u);
}

TEST_F(RetentionTest, TheOldestGoWhenThereAreTooManyOrTooLarge) {
  config_.retention_jobs = 3;
  begin();
  std::vector<JobId> jobs;
  for (int i = 0; i < 5; ++i) jobs.push_back(done(spec()));
  pass(Millis{2'000});
  EXPECT_EQ(purged(), 2u);
  EXPECT_FALSE(read_stored(jobs[1])->has_value());
  EXPECT_TRUE(read_stored(jobs[2])->has_value());
  const auto status = ask(Query::What::status).status;
  EXPECT_EQ(status->retained_jobs, 3u);
  EXPECT_EQ(status->remembered, 2u);
}

TEST_F(RetentionTest, TheBytesOfResultsAreALimitToo) {
  config_.retention_bytes = 2 * stored_bytes(1, 3) + 10;
  begin();
  for (int i = 0; i < 4; ++i) done(spec());
  pass(Millis{2'000});
  EXPECT_EQ(purged(), 2u);
}

TEST_F(RetentionTest, ASubmitOfAPurgedKeyFindsItsStateAndAfterTheMemoryItIsANewJob) {
  config_.retention = Millis{5'000};
  config_.retention_ids = Millis{5'000};
  begin();
  JobEntry first = entry();
  first.key = "k";
  say(kClient, Role::client, submission(spec(), {first}));
  const Token token = assigned_one(kAnn, Gate::overtake);
  next<SubmitAck>(kClient);
  finish(kAnn, token);
  next<Results>(kClient);
  expect_final_ack(kAnn);
  pass(Millis{7'000});
  ASSERT_EQ(purged(), 1u);
  JobEntry again = entry();
  again.key = "k";
  say(kClient, Role::client, submission(spec(), {again}));
  const auto ack = next<SubmitAck>(kClient);
  EXPECT_EQ(ack.items.at(0).job, first.id);
  EXPECT_TRUE(ack.items.at(0).duplicate);
  EXPECT_TRUE(result(kClient).purged);
  pass(Millis{7'000});
  say(kClient, Role::client, submission(spec(), {again}));
  EXPECT_EQ(assigned_one(kAnn, Gate::overtake).job, again.id);
  EXPECT_TRUE(next<SubmitAck>(kClient).items.empty());
}

TEST_F(RetentionTest, TheNewestOfThoseThatWerePurgedHasTheKeyAfterARestart) {
  begin();
  JobEntry first = entry();
  first.key = "k";
  say(kClient, Role::client, submission(spec(), {first}));
  const Token token = assigned_one(kAnn, Gate::overtake);
  next<SubmitAck>(kClient);
  finish(kAnn, token);
  next<Results>(kClient);
  expect_final_ack(kAnn);
  Retry::Item item;
  item.job = first.id;
  item.new_id.bytes[2] = 7;
  turn([&] { core_->retry(kClient, 4, {{item, read_stored(first.id)}}); });
  const Token second = assigned_one(kAnn, Gate::overtake);
  next<RetryAck>(kClient);
  finish(kAnn, second);
  expect_final_ack(kAnn);
  protocol::Purge m;
  m.jobs = {first.id, second.job};
  say(kClient, Role::client, m);
  next<CancelAck>(kClient);
  restart();
  hello();
  JobEntry again = entry();
  again.key = "k";
  say(kClient, Role::client, submission(spec(), {again}));
  EXPECT_EQ(next<SubmitAck>(kClient).items.at(0).job, second.job);
  EXPECT_TRUE(result(kClient).purged);
}

TEST_F(RetentionTest, AskingForItPurgesAtOnceAndLeavesUnfinishedJobsAlone) {
  begin();
  const JobId ended = done(spec());
  const JobId runs = running(spec(), kAnn).job;
  protocol::Purge m;
  m.request = 5;
  m.jobs = {ended, runs, JobId{}};
  say(kClient, Role::client, m);
  const auto ack = next<CancelAck>(kClient);
  EXPECT_EQ(ack.items.at(0).status, JobStatus::succeeded);
  EXPECT_EQ(ack.items.at(1).status, JobStatus::running);
  EXPECT_FALSE(ack.items.at(2).known);
  EXPECT_EQ(purged(), 1u);
  EXPECT_TRUE(read_stored(runs)->has_value());
}

// ---- the grid clock -------------------------------------------------------------------------

class ClockTest : public RetentionTest {
 protected:
  // The wall clock is set: the fixture's time goes on as it was.
  void set_wall(Micros offset) { wall_offset_ = offset; }
  [[nodiscard]] bool queued(const JobId& id) {
    return core_->counts().unfinished > 0 && watch(id) == JobStatus::queued;
  }
};

TEST_F(ClockTest, AWallClockThatIsSetWhileItRunsChangesNoDeadline) {
  begin();
  JobSpec job = spec("nobody");
  job.deadline = Millis{20'000};
  const JobId id = accepted(job);
  set_wall(std::chrono::hours(24 * 365));
  pass(Millis{10'000});
  EXPECT_TRUE(queued(id));
  set_wall(-std::chrono::hours(24 * 365));
  pass(Millis{9'000});
  EXPECT_TRUE(queued(id));
  pass(Millis{2'000});
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::timed_out);
}

TEST_F(ClockTest, AWallClockThatWasSetBackWhileItWasDownChangesNoDeadline) {
  begin();
  JobSpec job = spec("nobody");
  job.deadline = Millis{20'000};
  const JobId id = accepted(job);
  set_wall(-std::chrono::hours(1));
  restart();
  hello();
  EXPECT_TRUE(queued(id));
  pass(Millis{21'000});
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::timed_out);
}

TEST_F(ClockTest, AnAbsenceCountsForADayAtMost) {
  config_.retention = Millis{std::chrono::hours(48)};
  begin();
  done(spec());
  JobSpec job = spec("nobody");
  job.deadline = Millis{std::chrono::hours(25)};
  const JobId id = accepted(job);
  set_wall(std::chrono::hours(24 * 365));
  restart();
  hello();
  EXPECT_TRUE(queued(id));
  pass(Millis{2'000});
  EXPECT_EQ(purged(), 0u);
}

TEST_F(ClockTest, AnAbsenceWithinADayCountsInFull) {
  begin();
  JobSpec job = spec("nobody");
  job.deadline = Millis{std::chrono::hours(2)};
  const JobId id = accepted(job);
  set_wall(std::chrono::hours(3));
  restart();
  hello();
  EXPECT_EQ(watch(id), JobStatus::timed_out);
}

}  // namespace
}  // namespace zgrid::broker
