#include "worker/core/core.h"

#include <gtest/gtest.h>

#include <deque>

#include "protocol/codec.h"

namespace zgrid::worker {
namespace {

using namespace protocol;

// A worker's core between a fake broker and a fake runner, both of which must be emptied.
class WorkerCoreTest : public testing::Test {
 protected:
  WorkerCoreTest() {
    config_.facts.name = "ada";
    config_.services = {"echo"};
    config_.slots = 2;
    make();
  }

  void TearDown() override {
    for (const Message& message : sent_) {
      ADD_FAILURE() << "the broker was also sent " << message_name(kind_of(message));
    }
    EXPECT_TRUE(stops_.empty()) << "an attempt was stopped";
    EXPECT_TRUE(put_.empty()) << "a result was spooled";
    EXPECT_TRUE(dropped_.empty()) << "a spooled result was dropped";
    EXPECT_EQ(reconnects_, 0);
  }

  void make() { core_ = std::make_unique<Core>(config_); }

  template <class Events>
  void turn(Events events) {
    core_->begin({MonoTime{now_}, WallTime{now_.count()}});
    events();
    while (auto start = core_->next_start()) started_.push_back(start->token);
    Effects& effects = core_->finish();
    for (Message& message : effects.sends) {
      if (!std::holds_alternative<Heartbeat>(message) || keep_beats_) {
        sent_.push_back(std::move(message));
      }
    }
    for (const Effects::Stop& stop : effects.stops) stops_.push_back(stop);
    for (const Finished& one : effects.spool_put) put_.push_back(one.token.nonce);
    for (const Nonce& nonce : effects.spool_drop) dropped_.push_back(nonce);
    reconnects_ += effects.reconnect;
    finished_ = finished_ || effects.finished;
    if (effects.fatal) fatal_ = effects.fatal->code;
  }
  void turn() {
    turn([] {});
  }
  void hear(Message message) {
    turn([&] { core_->receive(std::move(message)); });
  }
  void pass(Millis time) {
    now_ += Micros(time);
    turn();
  }

  template <class M>
  M next() {
    if (sent_.empty()) {
      ADD_FAILURE() << "nothing was sent";
      return {};
    }
    const Message message = std::move(sent_.front());
    sent_.pop_front();
    if (const M* m = std::get_if<M>(&message)) return *m;
    ADD_FAILURE() << "sent was " << message_name(kind_of(message));
    return {};
  }
  static StoreId store(uint8_t number) {
    StoreId id;
    id.bytes[0] = number;
    return id;
  }
  Ready connect() {
    turn([&] { core_->connected(); });
    return next<Ready>();
  }
  void welcome(uint64_t epoch = 1, uint8_t of_store = 1, std::vector<Token> discard = {}) {
    Welcome m;
    m.store = store(of_store);
    m.epoch = epoch;
    m.discard = std::move(discard);
    hear(m);
  }
  void join() {
    connect();
    welcome();
  }
  Token token() {
    Token t;
    t.attempt = 1;
    t.job.bytes[15] = t.nonce.bytes[15] = ++tokens_;
    return t;
  }
  std::vector<Token> assign(size_t count) {
    JobSpec job;
    job.service = "echo";
    Request m;
    m.specs = {make_spec(job)};
    std::vector<Token> tokens;
    for (size_t i = 0; i < count; ++i) {
      Assignment item;
      item.token = token();
      tokens.push_back(item.token);
      m.items.push_back(item);
    }
    hear(m);
    return tokens;
  }
  Token assign_one() { return assign(1).front(); }
  void end(const Token& of, Micros run = Micros{100'000}, JobStatus status = JobStatus::succeeded) {
    turn([&] {
      Outcome outcome;
      outcome.status = status;
      outcome.run = run;
      core_->attempt_ended(of, outcome, {});
    });
  }
  void acknowledge(const Final& final) {
    FinalAck ack;
    ack.batch = final.batch;
    hear(ack);
  }
  static std::vector<Token> tokens_of(const Final& final) {
    std::vector<Token> tokens;
    for (const FinalEntry& entry : final.items) tokens.push_back(entry.token);
    return tokens;
  }

  CoreConfig config_;
  std::unique_ptr<Core> core_;
  Micros now_{1'000'000};
  std::deque<Message> sent_;
  std::vector<Token> started_;
  std::vector<Effects::Stop> stops_;
  std::vector<Nonce> put_, dropped_;
  int reconnects_ = 0;
  bool finished_ = false, keep_beats_ = false;
  std::optional<Errc> fatal_;
  uint8_t tokens_ = 0;
};

TEST_F(WorkerCoreTest, IntroducesItselfRunsWhatItIsGivenAndReports) {
  const Ready ready = connect();
  EXPECT_EQ(ready.facts.name, "ada");
  EXPECT_EQ(ready.slots, 2u);
  EXPECT_EQ(ready.services, std::vector<std::string>{"echo"});
  welcome();
  const Token one = assign_one();
  EXPECT_EQ(started_, std::vector<Token>{one});
  end(one);
  const Final final = next<Final>();
  EXPECT_EQ(tokens_of(final), std::vector<Token>{one});
  EXPECT_EQ(core_->counts().unacknowledged, 1u);
  acknowledge(final);
  EXPECT_EQ(core_->counts().unacknowledged, 0u);
}

TEST_F(WorkerCoreTest, AnAcknowledgementMayRideInsideTheNextAssignments) {
  EXPECT_TRUE(connect().acks_ride);
  welcome();
  end(assign_one());
  Request request;
  request.settled = {next<Final>().batch};
  hear(request);
  EXPECT_EQ(core_->counts().unacknowledged, 0u);
}

TEST_F(WorkerCoreTest, RunsNoMoreAttemptsThanItHasSlots) {
  join();
  const auto tokens = assign(3);
  EXPECT_EQ(started_.size(), 2u);
  end(tokens[0]);
  EXPECT_EQ(started_.size(), 3u);
  acknowledge(next<Final>());
}

TEST_F(WorkerCoreTest, AnnouncesWhatRunsForMoreThanAnInstant) {
  join();
  const Token one = assign_one();
  pass(Millis{3});
  EXPECT_EQ(next<Started>().items, std::vector<Token>{one});
  pass(Millis{3});
}

TEST_F(WorkerCoreTest, AsksAgainWhenItsReadyIsNotAnswered) {
  connect();
  pass(Millis{1'001});
  next<Ready>();
}

TEST_F(WorkerCoreTest, TheWindowGrowsWithShortAttempts) {
  join();
  for (int i = 0; i < 3; ++i) {
    const Token one = assign_one();
    end(one, Micros{10});
    const Final final = next<Final>();
    if (i == 0) {
      EXPECT_GT(final.window, 2u);
    }
    acknowledge(final);
  }
  const Token slow = assign_one();
  end(slow, Micros{60'000'000});
  const Final final = next<Final>();
  EXPECT_EQ(final.window, 2u) << "and it shrinks with long ones";
  acknowledge(final);
}

TEST_F(WorkerCoreTest, BeatsOnceASecond) {
  join();
  keep_beats_ = true;
  pass(Millis{900});
  pass(Millis{200});
  EXPECT_EQ(next<Heartbeat>().running, 0u);
}

TEST_F(WorkerCoreTest, AnswersTheBrokersBeatAtOnceAndThenWaitsForTheNext) {
  join();
  keep_beats_ = true;
  for (int i = 0; i < 3; ++i) {
    pass(Millis{1'010});  // a broker that is a little late does not get two
    sent_.clear();
    hear(Heartbeat{});
    next<Heartbeat>();
  }
  pass(Millis{1'010});
  EXPECT_TRUE(sent_.empty());
  pass(Millis{100});
  next<Heartbeat>();
}

TEST_F(WorkerCoreTest, ResultsWaitForEachOtherWhileEverySlotHasMoreToDo) {
  join();
  const auto tokens = assign(6);
  end(tokens[0]);
  end(tokens[1]);
  EXPECT_TRUE(sent_.empty());
  EXPECT_LE((core_->next_wake() - MonoTime{now_}).count(), 6'000);
  pass(Millis{6});
  next<Started>();
  const Final together = next<Final>();
  EXPECT_EQ(tokens_of(together), (std::vector<Token>{tokens[0], tokens[1]}));
  acknowledge(together);
  end(tokens[2]);
  acknowledge(next<Final>());  // only one attempt is left behind those that run
  sent_.clear();               // STARTED of those that run for so long
}

TEST_F(WorkerCoreTest, NoMoreResultsAreHeldBackThanAttemptsLieReady) {
  join();
  const auto tokens = assign(10);
  for (size_t i = 0; i < 4; ++i) end(tokens[i]);
  EXPECT_TRUE(sent_.empty());
  end(tokens[4]);
  const Final together = next<Final>();
  EXPECT_EQ(tokens_of(together), (std::vector<Token>{tokens.begin(), tokens.begin() + 5}));
  acknowledge(together);
}

TEST_F(WorkerCoreTest, WhatHasNotStartedCanBeRecalled) {
  join();
  const auto tokens = assign(3);
  hear(Recall{{tokens[0], tokens[2]}});
  EXPECT_EQ(next<Released>().items, std::vector<Token>{tokens[2]});
  EXPECT_EQ(core_->counts().queued, 0u);
}

TEST_F(WorkerCoreTest, ARunningAttemptIsStoppedAndAnswered) {
  join();
  const Token one = assign_one();
  hear(Abort{{{one, Abort::Reason::cancelled}}});
  ASSERT_EQ(stops_.size(), 1u);
  EXPECT_EQ(stops_[0].reason, JobStatus::cancelled);
  stops_.clear();
  end(one, Micros{5}, JobStatus::cancelled);
  EXPECT_EQ(next<Final>().items.at(0).outcome.status, JobStatus::cancelled);
}

TEST_F(WorkerCoreTest, AnAttemptThatNobodyWantsIsStoppedAndNotReported) {
  join();
  const Token one = assign_one();
  hear(Abort{{{one, Abort::Reason::stale}}});
  ASSERT_EQ(stops_.size(), 1u);
  stops_.clear();
  end(one);
  EXPECT_EQ(core_->counts().unacknowledged, 0u);
}

TEST_F(WorkerCoreTest, AQueuedAttemptThatIsCancelledTookNoEffect) {
  join();
  const auto tokens = assign(3);
  hear(Abort{{{tokens[2], Abort::Reason::deadline}}});
  const Final final = next<Final>();
  ASSERT_EQ(final.items.size(), 1u);
  EXPECT_EQ(final.items[0].outcome.status, JobStatus::timed_out);
  EXPECT_FALSE(final.items[0].outcome.error->took_effect);
}

TEST_F(WorkerCoreTest, PresentsWhatItHoldsAfterAReconnection) {
  join();
  const auto tokens = assign(3);
  end(tokens[0]);
  next<Final>();  // and it is lost with the connection
  turn([&] { core_->disconnected(); });
  EXPECT_EQ(put_, std::vector<Nonce>{tokens[0].nonce});
  put_.clear();
  const Ready ready = connect();
  ASSERT_EQ(ready.in_hand.size(), 3u);
  EXPECT_EQ(ready.in_hand[0].state, InHand::State::running);
  EXPECT_EQ(ready.in_hand[2].state, InHand::State::finished);
  welcome();
  const Final final = next<Final>();
  EXPECT_EQ(tokens_of(final), std::vector<Token>{tokens[0]});
  acknowledge(final);
  EXPECT_EQ(dropped_, std::vector<Nonce>{tokens[0].nonce});
  dropped_.clear();
}

TEST_F(WorkerCoreTest, SendsResultsAgainToABrokerThatForgotIt) {
  join();
  const Token one = assign_one();
  end(one);
  next<Final>();  // and the broker dropped it, because it did not know who that was
  hear(Disconnect{"say HELLO or READY first"});
  EXPECT_EQ(next<Ready>().in_hand.at(0).state, InHand::State::finished);
  EXPECT_EQ(put_.size(), 1u);
  put_.clear();
  welcome();
  const Final final = next<Final>();
  EXPECT_EQ(tokens_of(final), std::vector<Token>{one});
  acknowledge(final);
  EXPECT_EQ(dropped_.size(), 1u);
  dropped_.clear();
}

TEST_F(WorkerCoreTest, ResultsGoToDiskOnceTheBrokerHasMissedABeat) {
  join();
  const Token one = assign_one();
  end(one);
  const Final final = next<Final>();
  pass(Millis{1'400});
  EXPECT_TRUE(put_.empty());
  EXPECT_LE((core_->next_wake() - MonoTime{now_}).count(), 100'001) << "it wakes for that";
  pass(Millis{200});
  EXPECT_GT((core_->next_wake() - MonoTime{now_}).count(), 0) << "once";
  EXPECT_EQ(put_, std::vector<Nonce>{one.nonce});
  put_.clear();
  acknowledge(final);
  EXPECT_EQ(dropped_, std::vector<Nonce>{one.nonce});
  dropped_.clear();
}

TEST_F(WorkerCoreTest, ASilentBrokerIsLeftForANewConnection) {
  join();
  assign_one();
  pass(Millis{100});
  next<Started>();
  pass(Millis{3'100});
  EXPECT_EQ(reconnects_, 1);
  reconnects_ = 0;
  EXPECT_EQ(core_->counts().running, 1u) << "what runs goes on";
}

TEST_F(WorkerCoreTest, WhatTheBrokerDiscardsIsStopped) {
  join();
  const Token one = assign_one();
  turn([&] { core_->disconnected(); });
  connect();
  welcome(1, 1, {one});
  ASSERT_EQ(stops_.size(), 1u);
  stops_.clear();
  end(one);
}

TEST_F(WorkerCoreTest, ResultsOfAnEarlierLifeGoToTheirStoreOnly) {
  Finished kept;
  kept.store = store(1);
  kept.token = token();
  core_->restore(kept);
  EXPECT_EQ(connect().in_hand.at(0).state, InHand::State::finished);
  welcome(1, 2);
  turn([&] { core_->disconnected(); });
  EXPECT_TRUE(sent_.empty()) << "another store's broker does not get it";
  connect();
  welcome(5, 1);
  const Final final = next<Final>();
  EXPECT_EQ(tokens_of(final), std::vector<Token>{kept.token});
  acknowledge(final);
  EXPECT_EQ(dropped_, std::vector<Nonce>{kept.token.nonce});
  dropped_.clear();
}

TEST_F(WorkerCoreTest, AnOlderCopyOfAStoreIsNotBelieved) {
  connect();
  welcome(7);
  turn([&] { core_->disconnected(); });
  connect();
  welcome(6);
  EXPECT_EQ(reconnects_, 1);
  reconnects_ = 0;
  EXPECT_FALSE(core_->counts().welcomed);
  connect();
  welcome(7);
  EXPECT_TRUE(core_->counts().welcomed);
}

TEST_F(WorkerCoreTest, NothingIsBelievedBeforeTheWelcome) {
  connect();
  assign_one();
  EXPECT_TRUE(started_.empty());
}

TEST_F(WorkerCoreTest, DrainingGivesBackTheQueueFinishesWhatRunsAndLeaves) {
  join();
  const auto tokens = assign(3);
  turn([&] { core_->drain(); });
  EXPECT_EQ(next<Released>().items, std::vector<Token>{tokens[2]});
  const Token late = assign_one();
  EXPECT_EQ(next<Released>().items, std::vector<Token>{late});
  end(tokens[0]);
  const Final first = next<Final>();
  end(tokens[1]);
  const Final second = next<Final>();
  acknowledge(first);
  EXPECT_FALSE(finished_) << "one result is not acknowledged";
  acknowledge(second);
  EXPECT_TRUE(finished_);
  EXPECT_EQ(next<Disconnect>().reason, "drained");
}

TEST_F(WorkerCoreTest, LeavingSaysGoodbyeAtOnce) {
  join();
  assign_one();
  turn([&] { core_->leave(); });
  next<Disconnect>();
}

TEST_F(WorkerCoreTest, LeavingTellsWhatHasEndedAndKeepsItUntilItIsAcknowledged) {
  join();
  const auto tokens = assign(6);
  end(tokens[0]);  // waits for others
  EXPECT_TRUE(sent_.empty());
  turn([&] { core_->leave(); });
  EXPECT_EQ(tokens_of(next<Final>()), std::vector<Token>{tokens[0]});
  next<Disconnect>();
  EXPECT_EQ(put_, std::vector<Nonce>{tokens[0].nonce});
  put_.clear();
}

TEST_F(WorkerCoreTest, ALinkThatWasDownForLessThanATurnLosesNoResult) {
  join();
  const Token one = assign_one();
  end(one);
  next<Final>();  // lost with the link
  EXPECT_EQ(connect().in_hand.at(0).state, InHand::State::finished);
  EXPECT_EQ(put_.size(), 1u);
  put_.clear();
  welcome();
  EXPECT_EQ(tokens_of(next<Final>()), std::vector<Token>{one});
}

TEST_F(WorkerCoreTest, ATakenNameIsTheEnd) {
  connect();
  Refused m;
  m.error.code = Errc::name_taken;
  hear(m);
  EXPECT_EQ(fatal_, Errc::name_taken);
}

TEST_F(WorkerCoreTest, EventsGoOutWhileABrokerListens) {
  join();
  const Token one = assign_one();
  JobEvent event;
  event.name = "Progress";
  turn([&] { core_->attempt_event(one, event); });
  EXPECT_EQ(next<Partial>().items.at(0).event.name, "Progress");
  turn([&] { core_->disconnected(); });
  turn([&] { core_->attempt_event(one, event); });
}

}  // namespace
}  // namespace zgrid::worker
