// What every store does.
#include "broker/store/job_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/every_store.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT: the words of these tests
using testing::ElementsAre;
using testing::IsEmpty;

INSTANTIATE_TEST_SUITE_P(Stores, EveryStore, every_store(), name_of_store);

TEST_P(EveryStore, SaysWhatItIs) {
  EXPECT_FALSE(store_->info().id.is_nil());
  EXPECT_GE(store_->info().epoch, 1u);
  EXPECT_FALSE(store_->info().description.empty());
  EXPECT_EQ(store_->info().durable, std::string(GetParam()) != "memory");
}

TEST_P(EveryStore, KnowsNothingAtFirst) {
  const auto job = store_->read(job_id(1), 1);
  ASSERT_TRUE(job);
  EXPECT_FALSE(job->has_value());
  const auto all = recovered(*store_);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, IsEmpty());
  EXPECT_THAT(listed(*store_, {}), IsEmpty());
}

TEST_P(EveryStore, GivesBackEveryFieldThatItWasGivenInOneCommit) {
  expect_durable(*store_, batch(full_job(), full_state(), full_end()));
  const StoredJob job = stored(*store_, 3);
  expect_same(job.accepted, full_job());
  expect_same(job.state, full_state());
  ASSERT_TRUE(job.ended);
  expect_same(*job.ended, full_end());
  EXPECT_EQ(job.status(), JobStatus::failed);
}

TEST_P(EveryStore, GivesBackEveryFieldThatItWasGivenInThreeCommits) {
  expect_durable(*store_, batch(full_job()));
  EXPECT_EQ(stored(*store_, 3).status(), JobStatus::queued);
  expect_durable(*store_, batch(full_state()));
  EXPECT_EQ(stored(*store_, 3).status(), JobStatus::waiting_input);
  expect_durable(*store_, batch(full_end()));
  const StoredJob job = stored(*store_, 3);
  expect_same(job.accepted, full_job());
  expect_same(job.state, full_state());
  ASSERT_TRUE(job.ended);
  expect_same(*job.ended, full_end());
}

TEST_P(EveryStore, KeepsTheLastStateOfSeveral) {
  expect_durable(*store_, batch(put_job(1), put_state(1, JobStatus::running, facts("a")),
                                put_state(1, JobStatus::queued, facts("b"))));
  EXPECT_EQ(stored(*store_, 1).state.worker->name, "b");
  expect_durable(*store_, batch(put_state(1, JobStatus::running, facts("c"))));
  expect_durable(*store_, batch(put_state(1, JobStatus::waiting)));
  const StoredJob job = stored(*store_, 1);
  EXPECT_EQ(job.status(), JobStatus::waiting);
  EXPECT_EQ(job.state.worker, nullptr);
}

TEST_P(EveryStore, FoldsRecordsOfInterleavedJobs) {
  PutState eventful = put_state(1, JobStatus::running);
  eventful.losses = 1;
  eventful.lost = {"ann died"};
  expect_durable(*store_, batch(put_job(1), put_job(2), eventful, put_state(2, JobStatus::running),
                                put_end(2), put_end(1, JobStatus::cancelled)));
  EXPECT_EQ(stored(*store_, 1).status(), JobStatus::cancelled);
  expect_same(stored(*store_, 1).state, eventful);
  EXPECT_EQ(stored(*store_, 2).status(), JobStatus::succeeded);
  EXPECT_EQ(stored(*store_, 2).state.id, job_id(2));
}

TEST_P(EveryStore, TakesTheSameCommitTwice) {
  const auto first = batch(full_job(), put_job(4), PutDrain{some_id<WorkerId>(1), "box", true});
  const auto second = batch(full_state(), full_end(), put_state(4, JobStatus::running));
  for (const auto& commit : {first, first, second, second}) expect_durable(*store_, commit);
  EXPECT_THAT(listed(*store_, {}), ElementsAre(4, 3));
  expect_same(stored(*store_, 3).accepted, full_job());
  expect_same(*stored(*store_, 3).ended, full_end());
  const auto all = recovered(*store_);
  ASSERT_TRUE(all);
  EXPECT_THAT(all->order, ElementsAre(3, 4));
  EXPECT_EQ(all->draining.size(), 1u);
}

TEST_P(EveryStore, TakesACommitOfNothing) {
  expect_durable(*store_, {});
  EXPECT_EQ(store_->tend().outcome, Commit::durable);
}

TEST_P(EveryStore, KeepsPayloadsOfEverySizeAndTag) {
  uint64_t seq = 0;
  for (const size_t size : {0u, 1u, 1023u, 1024u, 1025u, 5000u, 8u << 20}) {
    for (const PayloadTag tag : {PayloadTag::bytes, PayloadTag::utf8, PayloadTag::json}) {
      PutJob job = put_job(++seq);
      std::string text(size, static_cast<char>('a' + seq));
      if (size > 2) text[1] = '\0';
      job.input = Payload{tag, Bytes::own(text)};
      PutEnd end = put_end(seq);
      end.output = Payload{tag, Bytes::own(text + "!")};
      // In one commit and in two.
      if (seq % 2 == 0) {
        expect_durable(*store_, batch(job, end));
      } else {
        expect_durable(*store_, batch(job));
        EXPECT_EQ(stored(*store_, job.id, job.seq).accepted.input, job.input);
        expect_durable(*store_, batch(end));
      }
      const StoredJob back = stored(*store_, job.id, job.seq);
      EXPECT_EQ(back.accepted.input, job.input) << size;
      ASSERT_TRUE(back.ended);
      EXPECT_EQ(back.ended->output, end.output) << size;
    }
  }
}

TEST_P(EveryStore, RecoversInTheOrderOfAcceptance) {
  // Accepted out of the order of ids, ended out of the order of acceptance.
  expect_durable(*store_, batch(put_job(5), put_job(2)));
  expect_durable(*store_, batch(put_job(9), put_job(7), full_job(), full_state()));
  PutJob large = put_job(11);
  large.input.data = Bytes::own(std::string(100'000, 'x'));
  expect_durable(*store_, batch(put_end(7, JobStatus::dead_letter), large));
  expect_durable(*store_, batch(put_end(2)));

  const auto all = recovered(*store_);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(2, 3, 5, 7, 9, 11));
  ASSERT_EQ(all->ended.size(), 2u);
  EXPECT_EQ(all->ended[1].id, job_id(7));
  EXPECT_EQ(all->ended[1].status, JobStatus::dead_letter);
  EXPECT_EQ(all->ended[1].body, put_job(7).body);
  EXPECT_EQ(all->ended[1].attempt, 1u);
  EXPECT_EQ(all->ended[1].owner, "ada@desk");
  ASSERT_EQ(all->unfinished.size(), 4u);
  expect_same(all->unfinished[0].accepted, full_job());
  expect_same(all->unfinished[0].state, full_state());
  expect_same(all->unfinished[3].accepted, large);
}

TEST_P(EveryStore, RemembersWhoIsDraining) {
  const auto one = some_id<WorkerId>(1);
  const auto two = some_id<WorkerId>(2);
  expect_durable(*store_, batch(PutDrain{one, "box", true}, PutDrain{two, "box", true}));
  EXPECT_THAT(recovered(*store_)->draining, testing::UnorderedElementsAre(one, two));
  expect_durable(*store_, batch(PutDrain{one, "box", false}, PutDrain{two, "box", false},
                                PutDrain{two, "box", true}));
  EXPECT_THAT(recovered(*store_)->draining, ElementsAre(two));
}

TEST_P(EveryStore, ListsTheNewestFirstWithoutPayloads) {
  for (uint64_t seq = 1; seq <= 60; ++seq) {
    expect_durable(*store_, batch(put_job(seq), put_end(seq)));
  }
  const auto newest = listed(*store_, {});
  ASSERT_EQ(newest.size(), 50u);
  EXPECT_EQ(newest.front(), 60u);
  EXPECT_EQ(newest.back(), 11u);
  EXPECT_EQ(listed(*store_, {0, {}, ""}).size(), 60u);
  EXPECT_THAT(listed(*store_, {2, {}, ""}), ElementsAre(60, 59));
  const auto jobs = store_->list({1, {}, ""});
  ASSERT_TRUE(jobs);
  EXPECT_TRUE(jobs->front().accepted.input.data.empty());
  EXPECT_TRUE(jobs->front().ended->output.data.empty());
  EXPECT_EQ(jobs->front().accepted.owner, "ada@desk");
}

TEST_P(EveryStore, ListsByStateAndRunBeforeAndAfterRecovery) {
  const auto red = spec("red");
  const auto blue = spec("blue");
  expect_durable(*store_, batch(put_job(1, red), put_job(2, blue), put_job(3, red), put_job(4),
                                put_job(5, blue), put_job(6, red)));
  expect_durable(*store_, batch(put_state(1, JobStatus::running), put_end(2),
                                put_end(3, JobStatus::failed), put_state(4, JobStatus::running)));
  // One that begins and fails in one commit lies elsewhere than one that fails later.
  expect_durable(*store_, batch(put_job(7, red), put_end(7, JobStatus::failed)));
  for (int round = 0; round < 2; ++round) {
    using S = JobStatus;
    EXPECT_THAT(listed(*store_, {0, {}, "red"}), ElementsAre(7, 6, 3, 1));
    EXPECT_THAT(listed(*store_, {2, {}, "red"}), ElementsAre(7, 6));
    EXPECT_THAT(listed(*store_, {0, {}, "green"}), IsEmpty());
    EXPECT_THAT(listed(*store_, {0, {S::running}, ""}), ElementsAre(4, 1));
    EXPECT_THAT(listed(*store_, {1, {S::running}, ""}), ElementsAre(4));
    EXPECT_THAT(listed(*store_, {0, {S::failed}, ""}), ElementsAre(7, 3));
    EXPECT_THAT(listed(*store_, {1, {S::failed, S::failed}, ""}), ElementsAre(7));
    EXPECT_THAT(listed(*store_, {0, {S::failed, S::running}, ""}), ElementsAre(7, 4, 3, 1));
    EXPECT_THAT(listed(*store_, {0, {S::failed, S::succeeded}, ""}), ElementsAre(7, 3, 2));
    EXPECT_THAT(listed(*store_, {0, {S::queued}, "red"}), ElementsAre(6));
    EXPECT_THAT(listed(*store_, {0, {S::queued}, ""}), ElementsAre(6, 5));
    EXPECT_THAT(listed(*store_, {0, {S::timed_out}, ""}), IsEmpty());
    ASSERT_TRUE(recovered(*store_));
  }
}

TEST_P(EveryStore, ListsTheChildrenOfABroadcastInsteadOfIt) {
  PutJob broadcast = put_job(1, spec("all", JobKind::broadcast));
  broadcast.children = {job_id(2), job_id(3)};
  expect_durable(*store_, batch(broadcast, put_job(2, spec("all")), put_job(3, spec("all"))));
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(listed(*store_, {}), ElementsAre(3, 2));
    EXPECT_THAT(listed(*store_, {0, {}, "all"}), ElementsAre(3, 2));
    EXPECT_THAT(listed(*store_, {0, {JobStatus::queued}, ""}), ElementsAre(3, 2));
    ASSERT_TRUE(recovered(*store_));
  }
  expect_durable(*store_, batch(put_end(1, JobStatus::failed), put_end(2, JobStatus::failed)));
  EXPECT_THAT(listed(*store_, {0, {JobStatus::failed}, ""}), ElementsAre(2));
  EXPECT_THAT(stored(*store_, 1).accepted.children, ElementsAre(job_id(2), job_id(3)));
}

TEST_P(EveryStore, HoldsAThousandJobsInOneCommit) {
  std::vector<Record> many;
  for (uint64_t seq = 1; seq <= 1000; ++seq) many.emplace_back(put_job(seq));
  for (uint64_t seq = 1000; seq >= 1; --seq) many.emplace_back(put_state(seq, JobStatus::running));
  expect_durable(*store_, many);
  std::vector<Record> ends;
  for (uint64_t seq = 1; seq <= 1000; seq += 2) ends.emplace_back(put_end(seq));
  expect_durable(*store_, ends);
  const auto all = recovered(*store_);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->unfinished.size(), 500u);
  EXPECT_EQ(all->ended.size(), 500u);
  EXPECT_EQ(listed(*store_, {0, {JobStatus::running}, ""}).size(), 500u);
}

TEST(OpenStore, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(open_store("").error().code, Errc::usage);
  EXPECT_EQ(open_store("postgresql://host/db").error().code, Errc::unsupported);
}

}  // namespace
}  // namespace zgrid::broker
