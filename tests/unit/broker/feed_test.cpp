#include "broker/core/feed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/broker/core_fixture.h"

namespace zgrid::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr SessionId kAda{11};

GridEvent event(const std::string& name) {
  GridEvent e;
  e.name = name;
  return e;
}

TEST(Feed, TellsWhatCameAfterANumberAndWhetherSomethingIsMissing) {
  Feed feed;
  feed.start(WallTime{1000});
  feed.add(event("one"));
  feed.add(event("two"));
  Answer all;
  feed.read(0, all);
  ASSERT_EQ(all.events.size(), 2u);
  EXPECT_FALSE(all.gap);
  Answer rest;
  feed.read(all.events[0].seq, rest);
  ASSERT_EQ(rest.events.size(), 1u);
  EXPECT_EQ(rest.events[0].name, "two");
  EXPECT_FALSE(rest.gap);
  for (size_t i = 0; i < limits::kGridEventsKept; ++i) feed.add(event("more"));
  Answer late;
  feed.read(all.events[0].seq, late);
  EXPECT_EQ(late.events.size(), limits::kGridEventsKept);
  EXPECT_TRUE(late.gap);
  Answer none;
  feed.read(late.events.back().seq, none);
  EXPECT_TRUE(none.events.empty());
  EXPECT_FALSE(none.gap);
}

TEST(Feed, NumbersAscendOverARestartSoThatTheGapIsTold) {
  Feed before, after;
  before.start(WallTime{1'000'000});
  before.add(event("one"));
  Answer seen;
  before.read(0, seen);
  after.start(WallTime{2'000'000});
  after.add(event("two"));
  Answer answer;
  after.read(seen.events.back().seq, answer);
  EXPECT_EQ(answer.events.size(), 1u);
  EXPECT_TRUE(answer.gap);
}

TEST(PastLogs, KeepsTheLastOnesWithinTheirBytes) {
  PastLogs logs;
  const auto id = [](uint8_t number) {
    JobId job;
    job.bytes[0] = number;
    return job;
  };
  EventLog log;
  log.events.resize(1);
  log.bytes = limits::kPastLogBytesKept / 2 - sizeof(JobEvent);  // that counts, too
  logs.keep(id(1), 1, log);
  logs.keep(id(2), 1, log);
  EXPECT_NE(logs.find(id(1)), nullptr);
  logs.keep(id(3), 1, log);
  EXPECT_EQ(logs.find(id(1)), nullptr);
  EXPECT_NE(logs.find(id(3)), nullptr);
  logs.drop(id(2));
  EXPECT_EQ(logs.find(id(2)), nullptr);
}

class FeedTest : public CoreTest {
 protected:
  std::vector<std::string> names(bool follow = false) {
    Query m;
    m.what = Query::What::events;
    m.follow = follow;
    say(kClient, Role::client, m);
    std::vector<std::string> found;
    for (const GridEvent& one : next<Answer>(kClient).events) found.push_back(one.name);
    return found;
  }
};

TEST_F(FeedTest, HasWorkersAndBadEndsAndOthersOnlyWhileSomebodyFollows) {
  hello();
  join(kAda, ready("ada"));
  const Token good = running(spec(), kAda);
  finish(kAda, good);
  expect_final_ack(kAda);
  result(kClient);
  const Token bad = running(spec(), kAda);
  finish(kAda, bad, JobStatus::failed);
  expect_final_ack(kAda);
  result(kClient);
  EXPECT_THAT(names(true), ElementsAre("worker_joined", "job_failed"));
  const Token seen = running(spec(), kAda);
  finish(kAda, seen);
  expect_final_ack(kAda);
  result(kClient);
  EXPECT_THAT(names(), ElementsAre("worker_joined", "job_failed", "job_queued", "job_running",
                                   "job_succeeded"));
  pass(limits::kFollowed + Millis{100});
  const Token unseen = running(spec(), kAda);
  finish(kAda, unseen);
  expect_final_ack(kAda);
  result(kClient);
  EXPECT_EQ(names().size(), 5u);
}

TEST_F(FeedTest, AnEventNamesItsJobAndItsWorker) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  finish(kAda, token, JobStatus::failed);
  expect_final_ack(kAda);
  result(kClient);
  const Answer answer = ask(Query::What::events);
  ASSERT_EQ(answer.events.size(), 2u);
  EXPECT_EQ(answer.events[0].worker, "ada");
  EXPECT_THAT(answer.events[0].text, HasSubstr("host-of-ada"));
  EXPECT_EQ(answer.events[1].job, token.job);
  EXPECT_EQ(answer.events[1].worker, "ada");
  EXPECT_TRUE(answer.events[1].warning);
}

TEST_F(FeedTest, AWorkersClockIsComparedWithTheBrokersAtEachHeartbeat) {
  hello();
  join(kAda, ready("ada"));
  const auto skew = [&] { return ask(Query::What::workers).workers.front().skew_ms; };
  EXPECT_FALSE(skew());
  Heartbeat beat;
  beat.now = now().wall + Micros{3'600'000'000};
  say(kAda, Role::worker, beat);
  EXPECT_EQ(skew(), 3'600'000);
  beat.now = now().wall - Micros{5'000};
  say(kAda, Role::worker, beat);
  EXPECT_EQ(skew(), -5);
}

TEST_F(FeedTest, LogLinesOfAJobThatEndedAreKeptForAWhile) {
  hello();
  join(kAda, ready("ada"));
  const Token token = running(spec(), kAda);
  Partial lines;
  lines.items.resize(1);
  lines.items[0].token = token;
  lines.items[0].event.kind = EventKind::log;
  lines.items[0].event.data = {PayloadTag::utf8, Bytes::copy_of("a line")};
  say(kAda, Role::worker, lines);
  finish(kAda, token);
  expect_final_ack(kAda);
  result(kClient);
  Watch m;
  m.jobs = {token.job};
  m.events = true;
  m.results = false;
  say(kClient, Role::client, m);
  EXPECT_TRUE(next<WatchAck>(kClient).items.front().known);
  const auto events = next<Events>(kClient);
  ASSERT_EQ(events.items.size(), 1u);
  EXPECT_EQ(events.items[0].event.data.data.view(), "a line");
  EXPECT_EQ(events.items[0].attempt, 1u);
}

}  // namespace
}  // namespace zgrid::broker
