// Jobs that kill workers, jobs that hang, jobs that run again, inputs that wait in the store.
#include <algorithm>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

class FaultsTest : public CoreTest {
 protected:
  static constexpr SessionId kAnn{10}, kBob{11}, kCid{12};

  void SetUp() override {
    turn();
    hello();
  }
  // Its worker dies and the job goes back to the queue.
  void lose(SessionId worker) {
    die(worker);
    pass(Millis{3'200});
  }
  bool noted(const std::string& text) const {
    return std::any_of(notes_.begin(), notes_.end(),
                       [&](const Note& note) { return note.text.find(text) != std::string::npos; });
  }
};

// ---- alone after two losses -----------------------------------------------------------------

class AloneTest : public FaultsTest {
 protected:
  // A job that has lost two workers and waits.
  JobId twice_lost() {
    join(kAnn, ready("ann"));
    const JobId id = running(spec(), kAnn).job;
    lose(kAnn);
    join(kBob, ready("bob"));
    start(kBob, assigned_one(kBob));
    lose(kBob);
    return id;
  }
};

TEST_F(AloneTest, ItRunsOnAWorkerWithEmptyHandsThatGetsNothingElse) {
  const JobId id = twice_lost();
  join(kCid, ready("cid", 4));
  EXPECT_EQ(assigned_one(kCid).job, id);
  accepted(spec());
  EXPECT_TRUE(silent(kCid));
  const Token token{id, 3, stored(id).state.nonce};
  finish(kCid, token);
  next<Results>(kClient);
  expect_final_ack(kCid);
  EXPECT_EQ(assigned(kCid).size(), 1u);
}

TEST_F(AloneTest, ABusyWorkerIsEmptiedForItAndGetsNothingNewMeanwhile) {
  const JobId id = twice_lost();
  // It is busy before the job could have it: the other job asks for it alone.
  JobSpec other = spec("other");
  Ready cid = ready("cid", 2);
  cid.services = {"other"};
  join(kCid, cid);
  const Token busy = running(other, kCid);
  Heartbeat offers;
  offers.services = {"echo", "other"};
  say(kCid, Role::worker, offers);
  EXPECT_TRUE(silent(kCid)) << "a job that must be alone was given to a busy worker";
  accepted(other);
  EXPECT_TRUE(silent(kCid)) << "a worker that is being emptied got another job";
  finish(kCid, busy);
  next<Results>(kClient);
  expect_final_ack(kCid);
  EXPECT_EQ(assigned_one(kCid).job, id);
}

TEST_F(AloneTest, WhenTheJobIsCancelledTheEmptiedWorkerWorksOn) {
  const JobId id = twice_lost();
  Ready cid = ready("cid", 2);
  cid.services = {"other"};
  join(kCid, cid);
  running(spec("other"), kCid);
  Heartbeat offers;
  offers.services = {"echo", "other"};
  say(kCid, Role::worker, offers);
  const JobId next_one = accepted(spec("other"));
  ASSERT_TRUE(silent(kCid));
  cancel(id);
  next<Results>(kClient);
  EXPECT_EQ(assigned_one(kCid).job, next_one);
  next<CancelAck>(kClient);
}

TEST_F(AloneTest, AfterARestartItStillRunsAloneAndItsReasonsAreKept) {
  const JobId id = twice_lost();
  restart();
  hello();
  watch(id);
  join(kCid, ready("cid", 4));
  EXPECT_EQ(assigned_one(kCid).job, id);
  accepted(spec());
  EXPECT_TRUE(silent(kCid));
  start(kCid, {id, 3, stored(id).state.nonce});
  lose(kCid);
  const ResultEntry end = result(kClient);
  EXPECT_EQ(end.outcome.status, JobStatus::dead_letter);
  for (const char* name : {"ann", "bob", "cid"}) {
    EXPECT_NE(end.outcome.error->message.find(name), std::string::npos) << name;
  }
}

TEST_F(AloneTest, ALossThatIsTakenBackEndsTheNeedToBeAlone) {
  join(kAnn, ready("ann"));
  const JobId id = running(spec(), kAnn).job;
  lose(kAnn);
  join(kBob, ready("bob"));
  start(kBob, assigned_one(kBob));
  lose(kBob);
  // Bob was only cut off: the same boot id comes back, with nothing in hand any more.
  join(kBob, ready("bob", 2));
  EXPECT_EQ(assigned_one(kBob).job, id);
  accepted(spec());
  EXPECT_EQ(assigned(kBob, Gate::overtake).size(), 1u);
}

// ---- wedged ---------------------------------------------------------------------------------

class WedgedTest : public FaultsTest {
 protected:
  Token hanging(WedgedAction action) {
    join(kAnn, ready("ann"));
    JobSpec job = spec();
    job.on_wedged = action;
    return running(job, kAnn);
  }
  void beat(const Token& token, Millis idle, bool stopped = false) {
    Heartbeat m;
    m.in_hand = {{token, InHand::State::running, idle, 5, 6, stopped}};
    say(kAnn, Role::worker, m);
  }
};

TEST_F(WedgedTest, IsShownAndTakenBackWhenItMovesAgain) {
  const Token token = hanging(WedgedAction::warn);
  beat(token, Millis{59'000});
  EXPECT_EQ(ask(Query::What::workers).workers.at(0).wedged, 0u);
  beat(token, Millis{61'000});
  EXPECT_TRUE(noted("wedged"));
  EXPECT_EQ(ask(Query::What::workers).workers.at(0).wedged, 1u);
  EXPECT_NE(ask(Query::What::explain, {token.job.str()}).text.find("no sign of life"),
            std::string::npos);
  Answer list;
  list.jobs.emplace_back();
  list.jobs.back().job = token.job;
  core_->complete(list);
  EXPECT_TRUE(list.jobs.back().wedged);
  beat(token, Millis{100});
  EXPECT_EQ(ask(Query::What::workers).workers.at(0).wedged, 0u);
}

TEST_F(WedgedTest, StoppedProcessesAreSooner) {
  const Token token = hanging(WedgedAction::warn);
  beat(token, Millis{10'000}, false);
  EXPECT_EQ(ask(Query::What::workers).workers.at(0).wedged, 0u);
  beat(token, Millis{10'000}, true);
  EXPECT_EQ(ask(Query::What::workers).workers.at(0).wedged, 1u);
}

TEST_F(WedgedTest, RetryEndsTheAttemptAndCountsALoss) {
  const Token token = hanging(WedgedAction::retry);
  beat(token, Millis{61'000});
  EXPECT_EQ(next<Abort>(kAnn).items.at(0).token, token);
  const Token second = assigned_one(kAnn);
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_EQ(stored(token.job).state.losses, 1u);
  // Its late result is stale.
  finish(kAnn, token);
  EXPECT_EQ(verdict(kAnn), FinalAck::Verdict::stale);
}

TEST_F(WedgedTest, KillEndsTheJob) {
  const Token token = hanging(WedgedAction::kill);
  beat(token, Millis{61'000});
  next<Abort>(kAnn);
  const ResultEntry end = result(kClient);
  EXPECT_EQ(end.outcome.status, JobStatus::timed_out);
  EXPECT_NE(end.outcome.error->message.find("no sign of life"), std::string::npos);
}

// ---- retry ----------------------------------------------------------------------------------

class RetryTest : public FaultsTest {
 protected:
  JobId failed_job() {
    join(kAnn, ready("ann"));
    JobEntry e = entry("input");
    e.key = "k";
    say(kClient, Role::client, submission(spec(), {e}));
    const Token token = assigned_one(kAnn, Gate::overtake);
    next<SubmitAck>(kClient);
    finish(kAnn, token, JobStatus::failed);
    next<Results>(kClient);
    expect_final_ack(kAnn);
    return e.id;
  }
  Retry retry_of(const JobId& job, uint8_t number) {
    Retry m;
    m.request = 8;
    Retry::Item item;
    item.job = job;
    item.new_id.bytes[0] = 0xee;
    item.new_id.bytes[15] = number;
    m.items = {item};
    return m;
  }
  // The store answers.
  void read() {
    ASSERT_EQ(reads_.size(), 1u);
    const StoreRead read = reads_.front();
    reads_.clear();
    std::vector<Core::Retried> jobs;
    for (const Retry::Item& item : read.retries) jobs.push_back({item, read_stored(item.job)});
    turn([&] { core_->retry(read.to, read.request, std::move(jobs)); });
  }
};

TEST_F(RetryTest, MakesANewJobLikeTheOldOneWithItsKey) {
  const JobId old = failed_job();
  const Retry m = retry_of(old, 1);
  say(kClient, Role::client, m);
  read();
  const Token token = assigned_one(kAnn, Gate::overtake);
  const auto ack = next<RetryAck>(kClient);
  EXPECT_EQ(ack.items.at(0).new_id, token.job);
  EXPECT_FALSE(ack.items.at(0).error);
  const StoredJob stored_job = stored(token.job);
  EXPECT_EQ(stored_job.accepted.retry_of, old);
  EXPECT_EQ(stored_job.accepted.input.data.view(), "input");
  EXPECT_EQ(stored_job.accepted.key, "k");
  // The key is the new job's now.
  JobEntry again = entry("input");
  again.key = "k";
  say(kClient, Role::client, submission(spec(), {again}));
  EXPECT_EQ(next<SubmitAck>(kClient).items.at(0).job, token.job);
  // Asked twice it is one job.
  say(kClient, Role::client, m);
  EXPECT_EQ(next<RetryAck>(kClient).items.at(0).new_id, token.job);
  EXPECT_TRUE(reads_.empty());
}

TEST_F(RetryTest, RefusesWhatHasNotEndedOrIsUnknownAndSaysWhy) {
  join(kAnn, ready("ann"));
  const Token token = running(spec(), kAnn);
  say(kClient, Role::client, retry_of(token.job, 1));
  EXPECT_EQ(next<RetryAck>(kClient).items.at(0).error->code, Errc::not_ready);
  JobId unknown;
  unknown.bytes[3] = 3;
  say(kClient, Role::client, retry_of(unknown, 1));
  EXPECT_EQ(next<RetryAck>(kClient).items.at(0).error->code, Errc::not_found);
}

// ---- inputs that wait in the store ------------------------------------------------------------

class InputsTest : public FaultsTest {};

TEST_F(InputsTest, BeyondTheBudgetTheyWaitInTheStoreAndAreFilledInOnTheWay) {
  config_.memory_bytes = 10;
  start_core();
  turn();
  hello();
  const JobEntry small = entry("12345678"), large = entry("abcdefgh");
  say(kClient, Role::client, submission(spec(), {small, large}));
  next<SubmitAck>(kClient);
  EXPECT_EQ(core_->counts().input_bytes, 8u);
  EXPECT_EQ(core_->counts().queued_bytes, 16u);
  join(kAnn, ready("ann", 2));
  EXPECT_EQ(assigned_one(kAnn).job, small.id);
  ASSERT_EQ(reads_.size(), 1u);
  EXPECT_EQ(reads_[0].what, StoreRead::What::inputs);
  EXPECT_EQ(reads_[0].to, kAnn);
  EXPECT_EQ(reads_[0].assignments.at(0).entry.token.job, large.id);
  EXPECT_EQ(read_stored(large.id)->value().accepted.input.data.view(), "abcdefgh");
}

TEST_F(InputsTest, AJobWhoseInputCannotBeReadFailsAndSaysSo) {
  config_.memory_bytes = 0;
  start_core();
  turn();
  hello();
  join(kAnn, ready("ann"));
  const JobEntry e = entry();
  say(kClient, Role::client, submission(spec(), {e}));
  next<SubmitAck>(kClient);
  const Token token = reads_.at(0).assignments.at(0).entry.token;
  turn([&] { core_->input_lost(token, {Errc::corrupt, "its payload is damaged", {}, {}, 0}); });
  const ResultEntry end = result(kClient);
  EXPECT_EQ(end.outcome.status, JobStatus::failed);
  EXPECT_NE(end.outcome.error->message.find("damaged"), std::string::npos);
}

// ---- a broadcast after a restart --------------------------------------------------------------

TEST_F(FaultsTest, ABroadcastAfterARestartWaitsForTheWorkersThatComeBack) {
  join(kAnn, ready("ann"));
  restart();
  hello();
  JobSpec job = spec();
  job.target.mode = Target::Mode::all;
  submit(job);
  EXPECT_TRUE(silent(kClient));
  join(kAnn, ready("ann"));
  join(kBob, ready("bob"));
  pass(Millis{6'100});
  assigned_one(kAnn, Gate::overtake);
  assigned_one(kBob, Gate::overtake);
  EXPECT_EQ(next<SubmitAck>(kClient).items.at(0).children.size(), 2u);
}

// ---- drains of absent workers -----------------------------------------------------------------

TEST_F(FaultsTest, AWorkerThatWasDrainedAndIsAwaySinceARestartCanBeUndrained) {
  join(kAnn, ready("ann"));
  Control m;
  m.op = Control::Op::drain;
  m.worker = "ann";
  say(kClient, Role::client, m);
  next<Answer>(kClient);
  restart();
  hello();
  m.op = Control::Op::undrain;
  say(kClient, Role::client, m);
  EXPECT_FALSE(next<Answer>(kClient).error);
  join(kAnn, ready("ann"));
  accepted(spec());
  assigned_one(kAnn, Gate::overtake);
}

}  // namespace
}  // namespace zgrid::broker
