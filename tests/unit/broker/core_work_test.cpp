#include <gtest/gtest.h>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

constexpr SessionId kAda{11}, kBob{12};

class WorkTest : public CoreTest {};

// ---- retries, delays, deadlines -------------------------------------------------------------

TEST_F(WorkTest, AFailureIsTriedAgainAfterAPauseUntilItsRetriesAreUsedUp) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.retries = 1;
  const Token first = running(job, kAda);
  finish(kAda, first, JobStatus::failed);
  expect_final_ack(kAda);
  EXPECT_EQ(stored(first.job).status(), JobStatus::waiting);
  pass(Millis{900});
  EXPECT_TRUE(silent(kAda)) << "the pause is at least a second";
  pass(Millis{500});
  const Token second = assigned_one(kAda);
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_NE(second.nonce, first.nonce);
  finish(kAda, second, JobStatus::failed);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::failed);
}

TEST_F(WorkTest, AFailureThatIsNotRetryableEndsTheJob) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.retries = 3;
  Final m;
  m.batch = 1;
  m.items = {final_entry(running(job, kAda), JobStatus::failed)};
  m.items[0].outcome.error->retryable = false;
  say(kAda, Role::worker, m);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).attempt, 1u);
}

TEST_F(WorkTest, ADelayedJobStartsWhenItsTimeHasCome) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.delay = Millis{500};
  accepted(job);
  pass(Millis{450});
  EXPECT_TRUE(silent(kAda));
  pass(Millis{100});
  assigned_one(kAda);
}

TEST_F(WorkTest, ADeadlineEndsAJobThatIsStillQueued) {
  hello();
  JobSpec job = spec();
  job.deadline = Millis{300};
  accepted(job);
  pass(Millis{400});
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::timed_out);
}

TEST_F(WorkTest, ADeadlineAbortsAJobThatRunsAndItIsNotTriedAgain) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.deadline = Millis{300};
  job.retries = 5;
  const Token token = running(job, kAda);
  pass(Millis{400});
  const auto abort = next<Abort>(kAda);
  ASSERT_EQ(abort.items.size(), 1u);
  EXPECT_EQ(abort.items[0].reason, Abort::Reason::deadline);
  finish(kAda, token, JobStatus::timed_out);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::timed_out);
}

TEST_F(WorkTest, ADeadlinesAbortIsSentAgainAfterAReconnection) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.deadline = Millis{300};
  const Token token = running(job, kAda);
  pass(Millis{400});
  next<Abort>(kAda);  // and it is lost with the connection
  die(kAda);
  Ready again = ready("ada");
  again.in_hand = {{token, InHand::State::running, {}, 0, 0}};
  join(kBob, again);
  EXPECT_EQ(next<Abort>(kBob).items.at(0).reason, Abort::Reason::deadline);
}

TEST_F(WorkTest, AJobThatLosesItsWorkerAfterItsDeadlineIsOver) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.deadline = Millis{300};
  running(job, kAda);
  pass(Millis{400});
  next<Abort>(kAda);
  die(kAda);
  pass(Millis{3'100});
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::timed_out);
}

// ---- cancel ---------------------------------------------------------------------------------

TEST_F(WorkTest, AQueuedJobIsCancelledAtOnce) {
  hello();
  const JobId id = accepted(spec());
  cancel(id);
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::cancelled);
  EXPECT_EQ(next<CancelAck>(kClient).items.at(0).status, JobStatus::cancelled);
  cancel(id);
  EXPECT_EQ(next<CancelAck>(kClient).items.at(0).status, JobStatus::cancelled);
}

TEST_F(WorkTest, AWaitingJobIsCancelledAtOnce) {
  hello();
  JobSpec job = spec();
  job.delay = Millis{5'000};
  cancel(accepted(job));
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::cancelled);
  next<CancelAck>(kClient);
  pass(Millis{6'000});
}

TEST_F(WorkTest, ARunningJobIsCancelledByItsWorker) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  cancel(token.job);
  EXPECT_EQ(next<Abort>(kAda).items.at(0).reason, Abort::Reason::cancelled);
  EXPECT_EQ(next<CancelAck>(kClient).items.at(0).status, JobStatus::running);
  EXPECT_TRUE(stored(token.job).state.cancel_requested);
  finish(kAda, token, JobStatus::cancelled);
  expect_final_ack(kAda);
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::cancelled);
}

TEST_F(WorkTest, ACancelledJobThatLosesItsWorkerDoesNotRunAgain) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  cancel(token.job);
  next<Abort>(kAda);
  next<CancelAck>(kClient);
  die(kAda);
  pass(Millis{3'100});
  EXPECT_EQ(result(kClient).outcome.status, JobStatus::cancelled);
}

TEST_F(WorkTest, AnUnknownJobCannotBeCancelled) {
  hello();
  cancel(entry().id);
  EXPECT_FALSE(next<CancelAck>(kClient).items.at(0).known);
}

TEST_F(WorkTest, CancellingABroadcastCancelsItsChildren) {
  hello();
  join(kAda, ready("ada"));
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  const JobId parent = submit(job);
  const Token token = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  cancel(parent);
  next<Abort>(kAda);
  next<CancelAck>(kClient);
  finish(kAda, token, JobStatus::cancelled);
  expect_final_ack(kAda);
  result(kClient);
  EXPECT_EQ(stored(parent).status(), JobStatus::cancelled);
}

// ---- results --------------------------------------------------------------------------------

TEST_F(WorkTest, LateRepeatedAndUnknownResultsAreAcknowledgedAndChangeNothing) {
  hello();
  join(kAda, ready("ada"));
  join(kBob, ready("bob"));
  const Token old = running(spec(), kAda);
  die(kAda);
  pass(Millis{3'200});
  const Token current = assigned_one(kBob);
  join(kAda, ready("ada"));
  finish(kAda, old);
  EXPECT_EQ(verdict(kAda), FinalAck::Verdict::stale);
  finish(kBob, current);
  expect_final_ack(kBob);
  result(kClient);
  finish(kBob, current);
  EXPECT_EQ(verdict(kBob), FinalAck::Verdict::duplicate);
  finish(kAda, old);
  EXPECT_EQ(verdict(kAda), FinalAck::Verdict::stale);
  Token unknown = old;
  unknown.job = entry().id;
  finish(kAda, unknown);
  EXPECT_EQ(verdict(kAda), FinalAck::Verdict::unknown);
  EXPECT_EQ(core_->counts().ended, 1u);
}

TEST_F(WorkTest, AResultOfAnotherWorkersAttemptDoesNotCount) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  join(kBob, ready("bob"));
  finish(kBob, token);
  EXPECT_EQ(verdict(kBob), FinalAck::Verdict::stale);
  EXPECT_EQ(core_->counts().ended, 0u);
}

TEST_F(WorkTest, EventsReachThoseWhoWatchThem) {
  hello();
  join(kAda, ready("ada"));
  Submit m = submission(spec(), {entry()});
  m.events = true;
  say(kClient, Role::client, m);
  const Token token = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  EXPECT_EQ(next<Events>(kClient).items.at(0).event.name, "running");
  JobEvent event;
  event.name = "Progress";
  say(kAda, Role::worker, Partial{{{token, event}}});
  EXPECT_EQ(next<Events>(kClient).items.at(0).event.name, "Progress");
  Token stale = token;
  stale.nonce = {};
  say(kAda, Role::worker, Partial{{{stale, event}}});
  EXPECT_TRUE(silent(kClient));
}

TEST_F(WorkTest, WhoStopsWatchingGetsNoResult) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  Watch stop;
  stop.jobs = {token.job};
  stop.stop = true;
  say(kClient, Role::client, stop);
  next<WatchAck>(kClient);
  finish(kAda, token);
  expect_final_ack(kAda);
}

TEST_F(WorkTest, AWatcherThatWentAwayGetsNothing) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  core_->session_lost(kClient);
  finish(kAda, token);
  expect_final_ack(kAda);
  hello(kOther);
  EXPECT_EQ(watch(token.job, kOther), JobStatus::succeeded);
  ASSERT_EQ(reads_.size(), 1u) << "its result is read from the store";
}

// ---- prefetch, recall, drain ----------------------------------------------------------------

TEST_F(WorkTest, WorkThatWaitsBehindALongJobIsTakenBackForAnIdleWorker) {
  hello();
  Ready ada = ready("ada");
  ada.window = 2;
  join(kAda, ada);
  running(spec(), kAda);
  submit(spec());
  const Token waiting = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  join(kBob, ready("bob"));
  pass(Millis{200});
  EXPECT_EQ(next<Recall>(kAda).items, std::vector<Token>{waiting});
  say(kAda, Role::worker, Released{{waiting}});
  EXPECT_EQ(assigned_one(kBob).job, waiting.job);
}

TEST_F(WorkTest, OfEquallyLoadedWorkersTheOneThatWaitsLongestIsNext) {
  hello();
  join(kAda, ready("ada"));
  join(kBob, ready("bob"));
  const Token first = running(spec(), kAda);
  const Token second = running(spec(), kBob);
  finish(kBob, second);
  expect_final_ack(kBob);
  next<Results>(kClient);
  finish(kAda, first);
  expect_final_ack(kAda);
  next<Results>(kClient);
  running(spec(), kBob);
  running(spec(), kAda);
}

TEST_F(WorkTest, OfWorkersWithManySlotsEachGetsOneInTurn) {
  hello();
  join(kAda, ready("ada", 4096));  // a job more does not change its load by a thousandth
  join(kBob, ready("bob", 4096));
  for (int i = 0; i < 3; ++i) {
    running(spec(), kAda);
    running(spec(), kBob);
  }
}

TEST_F(WorkTest, AJobThatNobodyCanRunDoesNotKeepOthersBehindALongOne) {
  hello();
  Ready ada = ready("ada");
  ada.window = 2;
  join(kAda, ada);
  JobSpec unknown;
  unknown.service = "nope";
  accepted(unknown);
  running(spec(), kAda);
  submit(spec());
  const Token waiting = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  join(kBob, ready("bob"));
  pass(Millis{200});
  EXPECT_EQ(next<Recall>(kAda).items, std::vector<Token>{waiting});
}

TEST_F(WorkTest, ADrainedWorkerGetsNothingNewAlsoAfterARestart) {
  hello();
  join(kAda, ready("ada"));
  Control drain;
  drain.worker = "ada";
  say(kClient, Role::client, drain);
  EXPECT_TRUE(next<Answer>(kClient).workers.at(0).draining);
  accepted(spec());
  restart();
  hello();
  join(kAda, ready("ada"));
  EXPECT_TRUE(silent(kAda));
  Control undrain;
  undrain.op = Control::Op::undrain;
  undrain.worker = "ada";
  say(kClient, Role::client, undrain);
  assigned_one(kAda);
  next<Answer>(kClient);
}

TEST_F(WorkTest, DrainingTakesBackWhatHasNotStarted) {
  hello();
  Ready ada = ready("ada");
  ada.window = 2;
  join(kAda, ada);
  const Token first = running(spec(), kAda);
  submit(spec());
  const Token second = assigned_one(kAda, Gate::overtake);
  next<SubmitAck>(kClient);
  Control drain;
  drain.worker = "ada";
  say(kClient, Role::client, drain);
  EXPECT_EQ(next<Recall>(kAda).items, std::vector<Token>{second});
  next<Answer>(kClient);
  finish(kAda, first);
  expect_final_ack(kAda);
  result(kClient);
}

TEST_F(WorkTest, AWorkerThatDrainsByItselfGetsNothingNew) {
  hello();
  join(kAda, ready("ada"));
  Heartbeat beat;
  beat.draining = true;
  say(kAda, Role::worker, beat);
  accepted(spec());
  EXPECT_TRUE(silent(kAda));
}

TEST_F(WorkTest, NobodyCanDrainAnUnknownWorker) {
  hello();
  Control drain;
  drain.worker = "nobody";
  say(kClient, Role::client, drain);
  EXPECT_EQ(next<Answer>(kClient).error->code, Errc::not_found);
}

}  // namespace
}  // namespace zgrid::broker
