// A connection against a broker that the test plays.
#include "tests/unit/client/connection_fixture.h"

namespace zgrid::client {
namespace {

TEST_F(ConnectionTest, ATurnThatHeardSomethingDoesNotSleepAfterwards) {
  open_and_welcome();
  submit();
  turn();
  protocol::SubmitAck ack;
  ack.request = broker_.take<protocol::Submit>().request;
  const int sleeps = broker_.wire().sleeps;
  broker_.say(ack);  // between two turns
  connection_->run(Seconds{60});
  EXPECT_EQ(heard_.accepted.size(), 1u);
  EXPECT_EQ(broker_.wire().sleeps, sleeps);
  connection_->run(Seconds{60});
  EXPECT_EQ(broker_.wire().sleeps, sleeps + 1);
}

TEST_F(ConnectionTest, JobsOfOneTurnShareAMessageAndASpec) {
  open_and_welcome();
  const JobId first = submit();
  const JobId second = submit();
  broker_.expect_silence();
  turn();
  const auto message = broker_.take<protocol::Submit>();
  ASSERT_EQ(message.jobs.size(), 2u);
  EXPECT_EQ(message.specs.size(), 1u);
  EXPECT_EQ(message.jobs[0].id, first);
  EXPECT_EQ(message.jobs[1].id, second);
  broker_.expect_silence();

  protocol::SubmitAck ack;
  ack.request = message.request;
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.accepted.size(), 2u);
  EXPECT_EQ(heard_.accepted[1].job, second);
}

TEST_F(ConnectionTest, NothingIsSentBeforeTheWelcome) {
  open();
  submit();
  turn();
  broker_.take<protocol::Hello>();
  broker_.expect_silence();
  broker_.welcome();
  turn();
  EXPECT_EQ(broker_.take<protocol::Submit>().jobs.size(), 1u);
}

TEST_F(ConnectionTest, ASubmitGoesAheadOfTheWelcomeOnceIfAskedTo) {
  open({"tcp://127.0.0.1:5670"}, 1, true);
  const JobId job = submit();
  turn();
  broker_.take<protocol::Hello>();
  const auto sent = broker_.take<protocol::Submit>();
  ASSERT_EQ(sent.jobs.size(), 1u);
  EXPECT_EQ(sent.jobs[0].id, job);
  broker_.link(What::ready);
  broker_.welcome();
  protocol::SubmitAck ack;
  ack.request = sent.request;
  broker_.say(ack);
  turn();
  turn();
  broker_.expect_silence();
  ASSERT_EQ(heard_.accepted.size(), 1u);
  EXPECT_TRUE(connection_->is_idle());
}

TEST_F(ConnectionTest, WhatWentAheadIsSentAgainIfTheBrokerHadToBeGreetedAgain) {
  open({"tcp://127.0.0.1:5670"}, 1, true);
  const JobId job = submit();
  broker_.link(What::ready);
  turn();
  broker_.take<protocol::Hello>();
  const auto lost = broker_.take<protocol::Submit>();
  broker_.link(What::disconnected);
  broker_.link(What::ready);
  turn();
  broker_.take<protocol::Hello>();
  broker_.expect_silence();
  broker_.welcome();
  turn();
  const auto again = broker_.take<protocol::Submit>();
  ASSERT_EQ(again.jobs.size(), 1u);
  EXPECT_EQ(again.jobs[0].id, job);
  EXPECT_EQ(again.request, lost.request);
}

TEST_F(ConnectionTest, NothingGoesAheadWhereSeveralLinksAreTried) {
  open({"tcp://127.0.0.1:5670"}, 2, true);
  submit();
  turn();
  for (const size_t link : {0u, 1u}) {
    broker_.take<protocol::Hello>(link);
    broker_.expect_silence(link);
  }
}

TEST_F(ConnectionTest, WhatWentAheadHadNoEffectIfNobodyShookHands) {
  open({"tcp://127.0.0.1:5670"}, 1, true);
  submit();
  turn();
  broker_.pass(Seconds{11});
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::no_broker);
  EXPECT_EQ(heard_.refused[0].second.effect, Effect::none);
}

TEST_F(ConnectionTest, AResultIsReportedOnceWithItsWorkerAndName) {
  open_and_welcome();
  const JobId job = submit();
  turn();
  broker_.say(results_of(job));  // may overtake the acknowledgement
  broker_.say(results_of(job));
  protocol::SubmitAck ack;
  ack.request = broker_.take<protocol::Submit>().request;
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.results.size(), 1u);
  EXPECT_EQ(heard_.workers[0], "gpu1");
  EXPECT_EQ(heard_.names[0], "zgrid.echo");
  EXPECT_EQ(heard_.accepted.size(), 1u);
}

TEST_F(ConnectionTest, AnAcknowledgementMayRideInsideResults) {
  open_and_welcome();
  const JobId job = submit();
  turn();
  protocol::Results results = results_of(job);
  results.accepted.push_back(broker_.take<protocol::Submit>().request);
  broker_.say(results);
  turn();
  EXPECT_EQ(heard_.accepted.size(), 1u);
  EXPECT_EQ(heard_.results.size(), 1u);
  reconnect();
  broker_.expect_silence();  // nothing is left to be asked again
}

TEST_F(ConnectionTest, AKnownKeyStandsForTheJobThatHasIt) {
  open_and_welcome();
  const JobId mine = submit("{}", {}, "nightly");
  const JobId theirs = ids_.next(broker_.now.wall);
  turn();
  const auto message = broker_.take<protocol::Submit>();
  EXPECT_EQ(message.jobs[0].key, "nightly");
  broker_.say(results_of(theirs));
  protocol::SubmitAck ack;
  ack.request = message.request;
  ack.items.push_back({0, theirs, JobStatus::succeeded, true, std::nullopt, {}});
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.accepted.size(), 1u);
  EXPECT_EQ(heard_.accepted[0].submitted, mine);
  EXPECT_EQ(heard_.accepted[0].job, theirs);
  EXPECT_TRUE(heard_.accepted[0].duplicate);
  ASSERT_EQ(heard_.results.size(), 1u);
  EXPECT_EQ(heard_.results[0].job, theirs);
  EXPECT_EQ(connection_->watched(), 0u);
}

TEST_F(ConnectionTest, ALostAcknowledgementIsAskedForAgainWithTheSameIds) {
  open_and_welcome();
  const JobId job = submit();
  turn();
  broker_.take<protocol::Submit>();
  reconnect();
  const auto again = broker_.take<protocol::Submit>();
  ASSERT_EQ(again.jobs.size(), 1u);
  EXPECT_EQ(again.jobs[0].id, job);
  broker_.expect_silence();
}

TEST_F(ConnectionTest, AcceptedJobsAreWatchedAgainAfterAReconnection) {
  open_and_welcome();
  const JobId job = submit("{}", {true, true, false});
  turn();
  protocol::SubmitAck ack;
  ack.request = broker_.take<protocol::Submit>().request;
  broker_.say(ack);
  turn();
  reconnect();
  const auto watch = broker_.take<protocol::Watch>();
  EXPECT_EQ(watch.jobs, std::vector<JobId>{job});
  EXPECT_TRUE(watch.events);
  protocol::WatchAck gone;
  gone.request = watch.request;
  gone.items.push_back({job, JobStatus::queued, false});
  broker_.say(gone);
  turn();
  EXPECT_EQ(heard_.unknown, std::vector<JobId>{job});
}

TEST_F(ConnectionTest, ABrokerThatForgotUsIsGreetedAgain) {
  open_and_welcome();
  submit();
  turn();
  broker_.take<protocol::Submit>();
  broker_.say(protocol::Disconnect{"say HELLO first"});
  turn();
  broker_.take<protocol::Hello>();
  broker_.welcome();
  turn();
  EXPECT_EQ(broker_.take<protocol::Submit>().jobs.size(), 1u);
}

TEST_F(ConnectionTest, ABrokerWithAnotherStoreEndsWhatIsOutstanding) {
  open_and_welcome();
  const JobId job = submit();
  turn();
  broker_.take<protocol::Submit>();
  reconnect(2);
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].first, job);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::connection_lost);
  EXPECT_EQ(heard_.refused[0].second.effect, Effect::unknown);
  EXPECT_EQ(heard_.lost.size(), 1u);
}

TEST_F(ConnectionTest, AFullQueueIsTriedAgainWithinTheDeadline) {
  open_and_welcome();
  const JobId refused = submit();
  const JobId taken = submit();
  turn();
  const auto message = broker_.take<protocol::Submit>();
  Error full{Errc::queue_full, "full", "", Effect::none, 500};
  protocol::SubmitAck ack;
  ack.request = message.request;
  ack.items.push_back({0, {}, JobStatus::queued, false, full, {}});
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.accepted.size(), 1u);
  EXPECT_EQ(heard_.accepted[0].job, taken);
  broker_.expect_silence();
  ASSERT_NE(connection_->waits_for_room(), nullptr);
  EXPECT_EQ(connection_->waits_for_room()->message, "full");
  broker_.pass(Millis{499});
  turn();
  broker_.expect_silence();
  broker_.pass(Millis{251});  // those that were refused together come back spread over time
  turn();
  const auto again = broker_.take<protocol::Submit>();
  ASSERT_EQ(again.jobs.size(), 1u);
  EXPECT_EQ(again.jobs[0].id, refused);
  // The advice goes beyond the deadline: one last try shortly before it.
  broker_.pass(Seconds{28});
  ack.request = again.request;
  ack.items[0].error->retry_after_ms = 5000;
  broker_.say(ack);
  turn();
  EXPECT_TRUE(heard_.refused.empty());
  broker_.take<protocol::Heartbeat>();
  broker_.pass(Millis{1150});  // 29.9 s after the submit
  turn();
  // No time for another one: the refusal is the answer.
  ack.request = broker_.take<protocol::Submit>().request;
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::queue_full);
  EXPECT_EQ(connection_->waits_for_room(), nullptr);
}

TEST_F(ConnectionTest, ARefusalThatDoesNotPassIsToldAtOnce) {
  open_and_welcome();
  submit();
  turn();
  protocol::SubmitAck ack;
  ack.request = broker_.take<protocol::Submit>().request;
  ack.items.push_back({0,
                       {},
                       JobStatus::queued,
                       false,
                       Error{Errc::no_candidate, "nobody", "", Effect::none, 500},
                       {}});
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::no_candidate);
  // Nor is a full queue waited for by those who do not want to.
  SubmitFlags flags;
  flags.retry_full = false;
  submit("{}", flags);
  turn();
  ack.request = broker_.take<protocol::Submit>().request;
  ack.items[0].error->code = Errc::queue_full;
  broker_.say(ack);
  turn();
  ASSERT_EQ(heard_.refused.size(), 2u);
  broker_.pass(Seconds{10});
  turn();
  broker_.take<protocol::Heartbeat>();
  broker_.expect_silence();
}

TEST_F(ConnectionTest, ASilentBrokerMakesASubmitTimeOutWithUnknownEffect) {
  open_and_welcome();
  submit();
  turn();
  broker_.take<protocol::Submit>();
  broker_.pass(Seconds{31});
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::timeout);
  EXPECT_EQ(heard_.refused[0].second.effect, Effect::unknown);
  EXPECT_EQ(connection_->watched(), 0u);
}

TEST_F(ConnectionTest, AnInputOverTheLimitIsRefusedBeforeItIsSent) {
  open_and_welcome();
  submit(std::string(limits::kPayloadBytesMax + 1, 'x'));
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::too_large);
  EXPECT_EQ(heard_.refused[0].second.effect, Effect::none);
  broker_.expect_silence();
}

TEST_F(ConnectionTest, LargeInputsAreSpreadOverMessages) {
  open_and_welcome();
  const std::string big(limits::kPayloadBytesMax, 'x');
  for (int i = 0; i < 5; ++i) submit(big);
  turn();
  size_t jobs = 0;
  while (!broker_.wire().to_broker.empty()) {
    EXPECT_LE(broker_.wire().to_broker.front().size(), 1 + limits::kPayloadFramesMax);
    jobs += broker_.take<protocol::Submit>().jobs.size();
  }
  EXPECT_EQ(jobs, 5u);
}

TEST_F(ConnectionTest, PartsOfAnAnswerArriveAsOne) {
  open_and_welcome();
  std::optional<Result<protocol::Answer>> got;
  protocol::Query query;
  query.what = protocol::Query::What::workers;
  connection_->query(query, connection_->deadline_in(Seconds{5}),
                     [&](Result<protocol::Answer> answer) { got = std::move(answer); });
  turn();
  protocol::Answer part;
  part.request = broker_.take<protocol::Query>().request;
  part.workers.resize(2);
  part.more = true;
  broker_.say(part);
  turn();
  EXPECT_FALSE(got);
  part.more = false;
  broker_.say(part);
  turn();
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->workers.size(), 4u);
}

TEST_F(ConnectionTest, ThreeFailedHandshakesInARowMeanAWrongSecret) {
  open();
  broker_.link(What::handshake_failed);
  broker_.link(What::handshake_failed);
  turn();
  EXPECT_FALSE(connection_->is_over());
  broker_.link(What::handshake_failed);
  turn();
  ASSERT_EQ(heard_.lost.size(), 1u);
  EXPECT_EQ(heard_.lost[0].code, Errc::auth);
  EXPECT_NE(heard_.lost[0].message.find("wrong secret, or not a zgrid broker"), std::string::npos);
}

TEST_F(ConnectionTest, NobodyInTimeNamesTheAddresses) {
  open({"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"});
  turn();
  broker_.pass(Seconds{10});
  turn();
  ASSERT_EQ(heard_.lost.size(), 1u);
  EXPECT_EQ(heard_.lost[0].code, Errc::no_broker);
  EXPECT_NE(heard_.lost[0].message.find("tcp://127.0.0.1:2"), std::string::npos);
}

TEST_F(ConnectionTest, BothSecretsOfARotationAreTried) {
  open({"tcp://127.0.0.1:5670"}, 2);
  ASSERT_EQ(broker_.wires.size(), 2u);
  broker_.link(What::refused, 0);
  broker_.link(What::ready, 1);
  broker_.welcome(1, 1);
  turn();
  EXPECT_TRUE(connection_->is_up());
  // The broker changes over: both keys are tried again.
  broker_.link(What::disconnected, 1);
  turn();
  ASSERT_EQ(broker_.wires.size(), 3u);
  EXPECT_EQ(broker_.wire(2).server_key, "key0");
  broker_.welcome(1, 2);
  turn();
  EXPECT_TRUE(connection_->is_up());
}

TEST_F(ConnectionTest, ARefusalOfTheBrokerIsTheErrorOfEveryCall) {
  open();
  submit();
  turn();
  broker_.say(protocol::Refused{{Errc::forbidden, "readonly", "", Effect::none, 0}});
  turn();
  turn();
  ASSERT_EQ(heard_.refused.size(), 1u);
  EXPECT_EQ(heard_.refused[0].second.code, Errc::forbidden);
  EXPECT_EQ(heard_.refused[0].second.effect, Effect::none);
  EXPECT_EQ(heard_.lost.size(), 1u);
}

TEST_F(ConnectionTest, ABrokerThatStaysAwayEndsTheConnectionWithUnknownEffect) {
  open_and_welcome();
  submit();
  turn();
  broker_.take<protocol::Submit>();
  broker_.link(What::disconnected);
  turn();
  broker_.pass(Seconds{29});
  turn();
  EXPECT_TRUE(heard_.lost.empty());
  broker_.pass(Seconds{300});
  turn();
  ASSERT_EQ(heard_.lost.size(), 1u);
  EXPECT_EQ(heard_.lost[0].code, Errc::connection_lost);
}

TEST_F(ConnectionTest, AnIdleConnectionSaysThatItIsAlive) {
  open_and_welcome();
  broker_.pass(Seconds{10});
  turn();
  broker_.take<protocol::Heartbeat>();
  turn();
  broker_.expect_silence();
}

TEST_F(ConnectionTest, ChildrenOfABroadcastAreWatchedInsteadOfIt) {
  open_and_welcome();
  submit();
  turn();
  const JobId child = ids_.next(broker_.now.wall);
  protocol::SubmitAck ack;
  const auto message = broker_.take<protocol::Submit>();
  ack.request = message.request;
  ack.items.push_back({0, message.jobs[0].id, JobStatus::running, false, std::nullopt, {child}});
  broker_.say(ack);
  turn();
  EXPECT_EQ(heard_.accepted.at(0).children, std::vector<JobId>{child});
  EXPECT_EQ(connection_->watched(), 1u);
  EXPECT_EQ(broker_.take<protocol::Watch>().jobs, std::vector<JobId>{child});
  broker_.say(results_of(child));
  turn();
  EXPECT_EQ(heard_.results.size(), 1u);
}

TEST_F(ConnectionTest, WhatDoesNotFitIntoTheQueueIsSentLater) {
  open_and_welcome();
  broker_.wire().is_full = true;
  submit();
  turn();
  EXPECT_FALSE(connection_->is_flushed());
  broker_.wire().is_full = false;
  turn();
  EXPECT_EQ(broker_.take<protocol::Submit>().jobs.size(), 1u);
  EXPECT_TRUE(connection_->is_flushed());
}

}  // namespace
}  // namespace zgrid::client
