// Questions with one answer: asked again after a reconnection, and never left open.
#include "tests/unit/client/connection_fixture.h"

namespace zgrid::client {
namespace {

TEST_F(ConnectionTest, ARetryIsAskedAgainAfterAReconnectionWithTheSameNewIds) {
  open_and_welcome();
  const JobId old = ids_.next(broker_.now.wall);
  const JobId fresh = ids_.next(broker_.now.wall);
  std::vector<protocol::RetryAck::Item> got;
  connection_->retry({{old, fresh}}, connection_->deadline_in(Seconds{30}), [&](auto items) {
    ASSERT_TRUE(items);
    got = *items;
  });
  turn();
  broker_.take<protocol::Retry>();
  reconnect();
  const auto again = broker_.take<protocol::Retry>();
  ASSERT_EQ(again.items.size(), 1u);
  EXPECT_EQ(again.items[0].job, old);
  EXPECT_EQ(again.items[0].new_id, fresh);
  protocol::RetryAck ack;
  ack.request = again.request;
  ack.items.push_back({old, fresh, {}});
  broker_.say(ack);
  broker_.say(ack);  // also of the first time: it is of no interest any more
  turn();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].new_id, fresh);
  broker_.expect_silence();
}

TEST_F(ConnectionTest, APurgeIsAnsweredByTheStatesOfTheJobs) {
  open_and_welcome();
  const JobId job = ids_.next(broker_.now.wall);
  std::vector<protocol::CancelAck::Item> got;
  const auto done = [&](auto items) {
    ASSERT_TRUE(items);
    got = *items;
  };
  connection_->purge({job}, connection_->deadline_in(Seconds{30}), done);
  turn();
  broker_.take<protocol::Purge>();
  reconnect();
  const auto purge = broker_.take<protocol::Purge>();
  EXPECT_EQ(purge.jobs, std::vector<JobId>{job});
  protocol::CancelAck ack;
  ack.request = purge.request;
  ack.items.push_back({job, JobStatus::dead_letter, true});
  broker_.say(ack);
  turn();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].status, JobStatus::dead_letter);
}

TEST_F(ConnectionTest, WhatIsWithdrawnWhileItWaitsForRoomIsNotTriedAgain) {
  open_and_welcome();
  submit();
  const JobId taken = submit();
  turn();
  protocol::SubmitAck ack;
  ack.request = broker_.take<protocol::Submit>().request;
  const Error full{Errc::queue_full, "full", "", Effect::none, 500};
  ack.items.push_back({0, {}, JobStatus::queued, false, full, {}});
  broker_.say(ack);
  turn();
  ASSERT_EQ(connection_->watched(), 2u);
  connection_->withdraw();
  EXPECT_EQ(connection_->watched_jobs(), std::vector<JobId>{taken});
  EXPECT_TRUE(connection_->is_idle());
  broker_.pass(Seconds{5});
  turn();
  broker_.expect_silence();
  EXPECT_TRUE(heard_.refused.empty());
}

TEST_F(ConnectionTest, ABrokerThatDoesNotKnowAQuestionIsToldOfByItsVersion) {
  open();
  broker_.link(What::ready);
  broker_.take<protocol::Hello>();
  protocol::Welcome welcome;
  welcome.program_version = "0.0.9";
  broker_.say(welcome);
  turn();
  std::optional<Error> got;
  protocol::Query query;
  query.what = protocol::Query::What::events;
  connection_->query(query, connection_->deadline_in(Seconds{60}),
                     [&](Result<protocol::Answer> answer) { got = answer.error(); });
  turn();
  broker_.take<protocol::Query>();
  broker_.say(protocol::Refused{{Errc::malformed, "an unknown enumerator", "", Effect::none, 0}});
  turn();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->code, Errc::unsupported);
  EXPECT_NE(got->message.find("zgrid 0.0.9"), std::string::npos) << got->message;
  EXPECT_NE(got->message.find("an unknown enumerator"), std::string::npos) << got->message;
  EXPECT_EQ(heard_.lost.size(), 1u);
}

TEST_F(ConnectionTest, CallsThatNobodyAnswersEndWithTheirDeadline) {
  open_and_welcome();
  std::vector<Errc> got;
  const auto note = [&](auto items) { got.push_back(items.error().code); };
  const JobId job = ids_.next(broker_.now.wall);
  connection_->retry({{job, ids_.next(broker_.now.wall)}}, connection_->deadline_in(Seconds{1}),
                     note);
  connection_->purge({job}, connection_->deadline_in(Seconds{1}), note);
  turn();
  broker_.take<protocol::Retry>();
  broker_.take<protocol::Purge>();
  broker_.pass(Seconds{1});
  turn();
  EXPECT_EQ(got, (std::vector<Errc>{Errc::timeout, Errc::timeout}));
}

}  // namespace
}  // namespace zgrid::client
