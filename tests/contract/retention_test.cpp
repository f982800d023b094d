// What every store does with jobs that are old: purging and forgetting; the clock that decides it,
// and copies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/store/job_store.h"
#include "tests/contract/every_store.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT: the words of these tests
using testing::ElementsAre;
using testing::IsEmpty;

class OldJobs : public EveryStore {};
INSTANTIATE_TEST_SUITE_P(Stores, OldJobs, every_store(), name_of_store);

TEST_P(OldJobs, TellsOfEndedJobsWhatMustBeRemembered) {
  PutEnd end = full_end();
  end.output.data = Bytes::own(std::string(5000, 'o'));
  PutJob job = full_job();
  expect_durable(*store_, batch(job, full_state(), end, put_job(4), put_end(4)));
  const auto all = recovered(*store_);
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->ended.size(), 2u);
  expect_same(all->ended[0], ended_job(job, end));
  expect_same(all->ended[1], ended_job(4));
}

TEST_P(OldJobs, ForgetsTheRowsOfAPurgedJobButNotWhatMustBeRemembered) {
  PutEnd end = full_end();
  end.output.data = Bytes::own(std::string(5000, 'o'));
  PutJob large = put_job(5);
  large.input.data = Bytes::own(std::string(5000, 'i'));
  expect_durable(*store_, batch(full_job(), put_job(4), large, put_job(6), put_end(6)));
  expect_durable(*store_, batch(full_state(), end, put_end(5), put_end(4)));
  expect_durable(*store_, batch(purge(7, {ended_job(full_job(), end), ended_job(4)})));
  expect_durable(*store_, batch(purge(8, {ended_job(large, put_end(5))})));
  for (const uint64_t seq : {3u, 4u, 5u}) {
    const auto job = store_->read(job_id(seq), seq);
    ASSERT_TRUE(job) << job.error().message;
    EXPECT_FALSE(job->has_value()) << seq;
  }
  EXPECT_THAT(listed(*store_, {}), ElementsAre(6));
  EXPECT_THAT(listed(*store_, {0, {JobStatus::failed}, ""}), IsEmpty());
  EXPECT_THAT(listed(*store_, {0, {}, "nightly"}), IsEmpty());
  const auto all = recovered(*store_);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(6));
  ASSERT_THAT(all->purges, ElementsAre(7, 8));
  EXPECT_EQ(all->purged[0].at, purge(7, {}).at);
  ASSERT_EQ(all->purged[0].jobs.size(), 2u);
  EndedJob remembered = ended_job(full_job(), end);
  remembered.bytes = 0;
  expect_same(all->purged[0].jobs[0], remembered);
  EXPECT_EQ(all->purged[0].jobs[1].id, job_id(4));
  EXPECT_EQ(all->purged[1].jobs[0].id, job_id(5));
}

TEST_P(OldJobs, ForgetsWhatWasPurgedAndTakesItsIdsAnew) {
  expect_durable(*store_, batch(put_job(1), put_end(1), put_job(2), put_end(2)));
  expect_durable(*store_, batch(purge(1, {ended_job(1)}), purge(2, {ended_job(2)})));
  PutJob again = put_job(1);
  again.seq = 3;
  again.owner = "bob@desk";
  expect_durable(*store_, batch(Forget{1}, again));
  const auto all = recovered(*store_);
  ASSERT_TRUE(all);
  EXPECT_THAT(all->purges, ElementsAre(2));
  EXPECT_THAT(all->order, ElementsAre(3));
  expect_same(stored(*store_, again.id, again.seq).accepted, again);
}

TEST_P(OldJobs, FoldsAWholeLifeAndTheNextIntoOneCommit) {
  PutJob large = put_job(1);
  large.input.data = Bytes::own(std::string(5000, 'i'));
  PutJob again = put_job(1);
  again.seq = 9;
  PutState waits = put_state(1, JobStatus::waiting);
  waits.seq = 9;
  const auto life = batch(large, put_state(1, JobStatus::running), put_job(2), put_end(1),
                          purge(1, {ended_job(large, put_end(1))}), Forget{1}, again, waits);
  // The second time as if nobody knew whether the first one succeeded.
  for (int round = 0; round < 2; ++round) {
    expect_durable(*store_, life);
    const StoredJob job = stored(*store_, again.id, again.seq);
    expect_same(job.accepted, again);
    EXPECT_EQ(job.status(), JobStatus::waiting);
    const auto all = recovered(*store_);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_THAT(all->order, ElementsAre(2, 9));
    EXPECT_THAT(all->purges, IsEmpty());
  }
}

TEST_P(OldJobs, FindsEveryJobAroundManyThatArePurged) {
  // The first one stays, and everything between it and the last few goes.
  constexpr uint64_t kJobs = 3000;
  std::vector<Record> begin, end;
  for (uint64_t seq = 1; seq <= kJobs; ++seq) begin.emplace_back(put_job(seq));
  for (uint64_t seq = 2; seq < kJobs - 1; ++seq) {
    end.emplace_back(put_end(seq));
    end.emplace_back(purge(seq, {ended_job(seq)}));
  }
  expect_durable(*store_, begin);
  expect_durable(*store_, end);
  for (const uint64_t seq : {uint64_t{1}, kJobs - 1, kJobs}) {
    expect_durable(*store_, batch(put_state(seq, JobStatus::running)));
    EXPECT_EQ(stored(*store_, seq).status(), JobStatus::running);
  }
  EXPECT_FALSE(store_->read(job_id(kJobs / 2), kJobs / 2)->has_value());
  EXPECT_THAT(listed(*store_, {}), ElementsAre(kJobs, kJobs - 1, 1));
}

TEST_P(OldJobs, TakesTheCommitOfAnEndAndItsPurgeTwice) {
  expect_durable(*store_, batch(put_job(1), put_job(2)));
  const auto commit = batch(put_end(1), purge(1, {ended_job(1)}), put_end(2));
  for (int round = 0; round < 2; ++round) {
    expect_durable(*store_, commit);
    EXPECT_FALSE(store_->read(job_id(1), 1)->has_value());
    EXPECT_EQ(stored(*store_, 2).status(), JobStatus::succeeded);
    EXPECT_THAT(recovered(*store_)->purges, ElementsAre(1));
  }
  for (int round = 0; round < 2; ++round) {
    expect_durable(*store_, batch(Forget{1}));
    EXPECT_THAT(recovered(*store_)->purges, IsEmpty());
  }
}

// ---- clock, and memory at the start ----------------------------------------------------

TEST_P(OldJobs, KeepsTheLastReadingOfTheClock) {
  EXPECT_FALSE(recovered(*store_)->clock);
  expect_durable(*store_, batch(PutClock{GridTime{1}, WallTime{2}}));
  expect_durable(*store_, batch(PutClock{GridTime{3}, WallTime{4}}, put_job(1),
                                PutClock{GridTime{5}, WallTime{-6}}));
  const auto all = recovered(*store_);
  ASSERT_TRUE(all && all->clock);
  EXPECT_EQ(all->clock->grid, GridTime{5});
  EXPECT_EQ(all->clock->wall, WallTime{-6});
}

TEST_P(OldJobs, LeavesInputsOutOfARecoveryBeyondALimit) {
  for (const uint64_t seq : {1u, 2u, 3u, 4u, 5u}) {
    PutJob job = put_job(seq);
    job.input = {PayloadTag::bytes, Bytes::own(std::string(seq == 3 ? 5000 : 100, 'x'))};
    if (seq == 4) job.input.data = {};
    expect_durable(*store_, batch(job));
  }
  const auto sizes = [&](uint64_t limit) {
    std::vector<std::pair<uint64_t, uint64_t>> found;  // read, left out
    const auto all = recovered(*store_, limit);
    if (!all) ADD_FAILURE() << all.error().message;
    for (const StoredJob& job : all->unfinished) {
      EXPECT_EQ(job.accepted.input.tag, PayloadTag::bytes);
      found.emplace_back(job.accepted.input.data.size(), job.input_left_out);
    }
    return found;
  };
  using P = std::pair<uint64_t, uint64_t>;
  EXPECT_THAT(sizes(0), ElementsAre(P{0, 100}, P{0, 100}, P{0, 5000}, P{0, 0}, P{0, 100}));
  EXPECT_THAT(sizes(150), ElementsAre(P{100, 0}, P{0, 100}, P{0, 5000}, P{0, 0}, P{0, 100}));
  EXPECT_THAT(sizes(5199), ElementsAre(P{100, 0}, P{100, 0}, P{0, 5000}, P{0, 0}, P{0, 100}));
  EXPECT_THAT(sizes(5300), ElementsAre(P{100, 0}, P{100, 0}, P{5000, 0}, P{0, 0}, P{100, 0}));
  EXPECT_EQ(stored(*store_, 3).accepted.input.data.size(), 5000u) << "read() has it whole";
  EXPECT_EQ(stored(*store_, 3).input_left_out, 0u);
}

TEST_P(OldJobs, RemembersTheNamesOfDrainingWorkers) {
  expect_durable(*store_, batch(PutDrain{some_id<WorkerId>(1), "old", true}));
  expect_durable(*store_, batch(PutDrain{some_id<WorkerId>(1), "gpu-box", true}));
  EXPECT_THAT(recovered(*store_)->draining_names, ElementsAre("gpu-box"));
}

// ---- copies ---------------------------------------------------------------------------

TEST_P(OldJobs, CopiesItselfIfThereIsSomethingToCopy) {
  expect_durable(*store_, batch(full_job(), put_job(4), put_job(5), put_end(5)));
  expect_durable(*store_,
                 batch(full_state(), purge(1, {ended_job(5)}), PutClock{GridTime{3}, WallTime{4}}));
  const std::string path = folder_.file("copy.db");
  const auto copied = store_->backup(path);
  if (!store_->info().durable) {
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code, Errc::unsupported);
    return;
  }
  ASSERT_TRUE(copied) << copied.error().message;
  expect_durable(*store_, batch(put_end(4)));
  auto copy = open_store(path);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ((*copy)->info().id, store_->info().id);
  const auto all = recovered(**copy);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(3, 4));
  EXPECT_THAT(all->purges, ElementsAre(1));
  ASSERT_TRUE(all->clock);
  EXPECT_EQ(all->unfinished.size(), 2u) << "as it was when it was copied";
  expect_same(stored(**copy, 3).state, full_state());
  EXPECT_EQ(store_->backup(path).error().code, Errc::cannot_create);
  EXPECT_EQ(store_->backup(folder_.file("nowhere/copy.db")).error().code, Errc::cannot_create);
}

}  // namespace
}  // namespace zgrid::broker
