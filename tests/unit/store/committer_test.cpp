#include "broker/store/committer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "broker/store/memory_store.h"
#include "tests/contract/store_sample.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::ElementsAre;
using testing::HasSubstr;
using Taken = Committer::Taken;
using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

// What a store does next and what it was asked to do, shared between test and store's thread.
class Script {
 public:
  void then(CommitResult result) {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
  }
  // Commits wait until resumed.
  void pause() {
    const std::lock_guard lock(mutex_);
    paused_ = true;
  }
  void resume() {
    {
      const std::lock_guard lock(mutex_);
      paused_ = false;
    }
    changed_.notify_all();
  }
  void set_low_space(bool low) {
    const std::lock_guard lock(mutex_);
    low_space_ = low;
  }
  void wait_until_in_commit() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, 10s, [&] { return in_commit_; }));
  }
  std::vector<size_t> sizes() {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }

  CommitResult on_commit(size_t records) {
    std::unique_lock lock(mutex_);
    sizes_.push_back(records);
    in_commit_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !paused_; });
    in_commit_ = false;
    CommitResult result;
    if (!results_.empty()) {
      result = results_.front();
      results_.pop_front();
    }
    result.low_space |= low_space_;
    return result;
  }
  CommitResult on_tend() {
    const std::lock_guard lock(mutex_);
    return {Commit::durable, "", low_space_};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<CommitResult> results_;
  std::vector<size_t> sizes_;
  bool paused_ = false, in_commit_ = false, low_space_ = false;
};

// A memory store that fails as its script says.
class ScriptedStore final : public JobStore {
 public:
  explicit ScriptedStore(Script& script) : script_(script) {}
  const StoreInfo& info() const override { return memory_.info(); }
  CommitResult commit(std::span<const Record> records) override {
    CommitResult result = script_.on_commit(records.size());
    if (result.outcome == Commit::durable) {
      EXPECT_EQ(memory_.commit(records).outcome, Commit::durable);
    }
    return result;
  }
  CommitResult tend() override { return script_.on_tend(); }
  Result<void> recover(const Recovered& into) override { return memory_.recover(into); }
  Result<std::optional<StoredJob>> read(const JobId& id, uint64_t seq) override {
    return memory_.read(id, seq);
  }
  Result<std::vector<StoredJob>> list(const JobFilter& filter) override {
    return memory_.list(filter);
  }
  Result<void> backup(const std::string& path) override { return memory_.backup(path); }

 private:
  Script& script_;
  MemoryStore memory_;
};

class CommitterTest : public testing::Test {
 protected:
  CommitterTest() { options_.retry_min = 1ms; }

  void start() {
    committer_ = std::make_unique<Committer>(
        std::make_unique<ScriptedStore>(script_),
        [this] {
          const std::lock_guard lock(mutex_);
          ++wakes_;
          woken_.notify_all();
        },
        options_);
  }
  // Polls as a loop would, until something is so.
  void until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (std::chrono::steady_clock::now() < end) {
      int seen = 0;
      {
        const std::lock_guard lock(mutex_);
        seen = wakes_;
      }
      last_ = committer_->poll();
      for (const auto& then : last_.ready) then.run();
      if (condition()) return;
      std::unique_lock lock(mutex_);
      woken_.wait_for(lock, 5s, [&] { return wakes_ != seen; });
    }
    FAIL() << "it did not happen: durable up to " << last_.durable_up_to << " " << last_.reason;
  }
  void until_durable(uint64_t turn) {
    until([&] { return last_.durable_up_to >= turn; });
  }

  Script script_;
  Committer::Options options_;
  std::mutex mutex_;
  std::condition_variable woken_;
  int wakes_ = 0;
  Committer::Done last_;
  std::unique_ptr<Committer> committer_;
};

TEST_F(CommitterTest, CommitsTurnsAndWakesTheLoop) {
  start();
  committer_->commit(1, batch(put_job(1)));
  until_durable(1);
  committer_->commit(2, batch(put_job(2)));
  until_durable(2);
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 1));
  EXPECT_FALSE(last_.fatal);
  EXPECT_FALSE(last_.refusing);
}

TEST_F(CommitterTest, TakesAllTurnsThatQueuedUpWhileACommitRan) {
  script_.pause();
  start();
  committer_->commit(1, batch(put_job(1)));
  script_.wait_until_in_commit();
  for (uint64_t turn = 2; turn <= 10; ++turn) {
    committer_->commit(turn, batch(put_job(turn), put_state(turn, JobStatus::running)));
  }
  EXPECT_EQ(committer_->queued(), 9u);
  EXPECT_EQ(committer_->poll().durable_up_to, 0u);
  script_.resume();
  until_durable(10);
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 18));
}

TEST_F(CommitterTest, ClosesACommitThatIsLargeEnough) {
  options_.commit_records_max = 10;
  script_.pause();
  start();
  committer_->commit(1, batch(put_job(1)));
  script_.wait_until_in_commit();
  uint64_t seq = 2;
  for (uint64_t turn = 2; turn <= 4; ++turn) {
    std::vector<Record> records;
    for (int i = 0; i < (turn == 4 ? 25 : 5); ++i) records.emplace_back(put_job(seq++));
    committer_->commit(turn, std::move(records));
  }
  script_.resume();
  until_durable(4);
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 10, 25));
}

TEST_F(CommitterTest, ReadsSeeWhatWasBeforeThemAndNothingAfter) {
  script_.pause();
  start();
  committer_->commit(1, batch(put_job(1)));
  script_.wait_until_in_commit();
  committer_->commit(2, batch(put_job(2)));
  std::vector<std::vector<uint64_t>> seen;
  const auto look = [&] {
    committer_->read([&seen](JobStore& store) -> std::function<void()> {
      return [&seen, seqs = listed(store, {})] { seen.push_back(seqs); };
    });
  };
  look();
  committer_->commit(3, batch(put_job(3)));
  look();
  script_.resume();
  until([&] { return seen.size() == 2; });
  EXPECT_THAT(seen, ElementsAre(ElementsAre(2, 1), ElementsAre(3, 2, 1)));
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 1, 1));
  EXPECT_EQ(last_.durable_up_to, 3u);
}

TEST_F(CommitterTest, ATurnWithoutRecordsWaitsForThoseBeforeIt) {
  script_.pause();
  start();
  committer_->commit(1, {});
  EXPECT_EQ(committer_->poll().durable_up_to, 1u);
  committer_->commit(2, batch(put_job(2)));
  script_.wait_until_in_commit();
  committer_->commit(3, {});
  EXPECT_EQ(committer_->poll().durable_up_to, 1u);
  script_.resume();
  until_durable(3);
  EXPECT_THAT(script_.sizes(), ElementsAre(1));
}

TEST_F(CommitterTest, TriesTheSameBatchAgainWhenNothingWasWritten) {
  for (int i = 0; i < 3; ++i) script_.then({Commit::not_written, "disk full"});
  script_.pause();
  start();
  committer_->commit(1, batch(put_job(1), put_end(1)));
  script_.wait_until_in_commit();
  committer_->commit(2, batch(put_job(2)));
  script_.resume();
  until([&] { return last_.refusing || last_.durable_up_to == 2; });
  until_durable(2);
  EXPECT_FALSE(last_.refusing);
  EXPECT_EQ(last_.reason, "");
  EXPECT_THAT(script_.sizes(), ElementsAre(2, 2, 2, 2, 1));
}

TEST_F(CommitterTest, SaysThatItRefusesWhileNothingCanBeWritten) {
  options_.retry_min = options_.retry_max = 1h;
  options_.stop_max = 0ms;
  script_.then({Commit::not_written, "disk full"});
  start();
  committer_->commit(1, batch(put_job(1)));
  until([&] { return last_.refusing; });
  EXPECT_EQ(last_.reason, "disk full");
  EXPECT_FALSE(last_.fatal);
  EXPECT_EQ(last_.durable_up_to, 0u);
  committer_.reset();  // the pause of an hour is cut short, and the commit tried once more
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 1));
}

TEST_F(CommitterTest, KnowsFromTheStartThatAStoreIsLowOnSpace) {
  script_.set_low_space(true);
  start();
  EXPECT_TRUE(committer_->poll().refusing);
}

TEST_F(CommitterTest, TellsHowMuchIsNotWrittenYet) {
  PutJob large = put_job(2);
  large.input.data = Bytes::own(std::string(1u << 20, 'x'));
  PutEnd end = put_end(2);
  end.output.data = Bytes::own(std::string(2u << 20, 'y'));
  script_.then({Commit::not_written, "disk full"});
  script_.pause();
  start();
  EXPECT_EQ(committer_->poll().unwritten, 0u);
  committer_->commit(1, batch(large));
  script_.wait_until_in_commit();
  committer_->commit(2, batch(end));
  const size_t unwritten = committer_->poll().unwritten;
  EXPECT_GE(unwritten, 3u << 20);
  EXPECT_LE(unwritten, (3u << 20) + 2 * sizeof(Record));
  script_.resume();
  until_durable(2);
  EXPECT_EQ(committer_->poll().unwritten, 0u);
}

TEST_F(CommitterTest, AsksAStoreThatIsLowOnSpaceUntilItIsNot) {
  options_.tend_every = 1ms;
  script_.set_low_space(true);
  start();
  committer_->commit(1, batch(put_job(1)));
  until([&] { return last_.refusing; });
  until_durable(1);
  script_.set_low_space(false);
  until([&] { return !last_.refusing; });
  EXPECT_FALSE(last_.fatal);
}

TEST_F(CommitterTest, TriesAgainAtOnceWhenTheOutcomeIsUnknown) {
  options_.retry_min = options_.retry_max = 1h;
  for (int i = 0; i < 4; ++i) script_.then({Commit::unknown, "connection lost"});
  start();
  committer_->commit(1, batch(put_job(1)));
  until_durable(1);
  EXPECT_EQ(script_.sizes().size(), 5u);
}

TEST_F(CommitterTest, GivesUpWhenTheOutcomeStaysUnknown) {
  for (int i = 0; i < 5; ++i) script_.then({Commit::unknown, "connection lost"});
  start();
  committer_->commit(1, batch(put_job(1)));
  until([&] { return last_.fatal; });
  EXPECT_THAT(last_.reason, HasSubstr("connection lost"));
  EXPECT_EQ(last_.durable_up_to, 0u);
}

TEST_F(CommitterTest, DoesNothingMoreAfterAFatalError) {
  script_.then({Commit::durable, ""});
  script_.then({Commit::fatal, "fsync failed"});
  start();
  committer_->commit(1, batch(put_job(1)));
  until_durable(1);
  committer_->commit(2, batch(put_job(2)));
  until([&] { return last_.fatal; });
  EXPECT_EQ(last_.reason, "fsync failed");
  EXPECT_TRUE(last_.refusing);
  committer_->commit(3, batch(put_job(3)));
  committer_->commit(4, {});
  committer_->read([](JobStore&) -> std::function<void()> {
    ADD_FAILURE() << "a read after the end";
    return {};
  });
  EXPECT_EQ(committer_->poll().durable_up_to, 1u);
  EXPECT_EQ(committer_->queued(), 0u);
  committer_.reset();
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 1));
}

TEST_F(CommitterTest, CommitsWhatIsQueuedBeforeItEnds) {
  script_.pause();
  start();
  committer_->commit(1, batch(put_job(1)));
  script_.wait_until_in_commit();
  committer_->commit(2, batch(put_job(2), put_job(3)));
  committer_->commit(3, batch(put_job(4)));
  script_.resume();
  committer_.reset();
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 3));
}

TEST_F(CommitterTest, HoldsASmallCommitForItsResult) {
  options_.hold = std::chrono::duration_cast<Micros>(1h);
  start();
  committer_->commit(1, batch(put_job(1), put_state(1, JobStatus::running)), 1);
  committer_->commit(2, batch(put_end(1)));
  until_durable(2);
  EXPECT_THAT(script_.sizes(), ElementsAre(3));
  // What only ends jobs has nothing to wait for, nor has what ends nobody knows when.
  committer_->commit(3, batch(put_end(1)));
  until_durable(3);
  committer_->commit(4, batch(put_job(2), put_state(2, JobStatus::running)));
  until_durable(4);
}

TEST_F(CommitterTest, HoldsNothingForLongerThanItMay) {
  options_.hold = Micros{2000};
  start();
  committer_->commit(1, batch(put_job(1)), 1);
  until_durable(1);
  EXPECT_THAT(script_.sizes(), ElementsAre(1));
}

TEST_F(CommitterTest, HoldsNothingThatIsLargeOrThatAReadWaitsFor) {
  options_.hold = std::chrono::duration_cast<Micros>(1h);
  options_.hold_jobs_max = 2;
  start();
  committer_->commit(1, batch(put_job(1), put_job(2), put_job(3)), 3);
  until_durable(1);
  committer_->commit(2, batch(put_job(4)), 1);
  bool read = false;
  committer_->read([&](JobStore&) -> std::function<void()> { return [&] { read = true; }; });
  until([&] { return read; });
  EXPECT_EQ(last_.durable_up_to, 2u);
  committer_->commit(3, batch(put_job(5)), 1);
  committer_.reset();  // the end does not wait either
  EXPECT_THAT(script_.sizes(), ElementsAre(3, 1, 1));
}

TEST_F(CommitterTest, AnIdleLoopWritesALittleItself) {
  options_.here_records_max = 2;
  options_.here_max = 10s;
  start();
  EXPECT_EQ(committer_->commit(1, batch(put_job(1)), 0, true), Taken::durable);
  EXPECT_EQ(committer_->poll().durable_up_to, 1u);
  // Not what is more, nor when the loop is busy, nor what a result is expected for.
  EXPECT_NE(committer_->commit(2, batch(put_job(2), put_job(3), put_job(4)), 0, true),
            Taken::durable);
  until_durable(2);
  EXPECT_NE(committer_->commit(3, batch(put_job(5)), 0, false), Taken::durable);
  until_durable(3);
  EXPECT_THAT(script_.sizes(), ElementsAre(1, 3, 1));
}

TEST_F(CommitterTest, AnIdleLoopWritesWhatWasHeldWithItsResult) {
  options_.here_records_max = 4;
  options_.here_max = 10s;
  options_.hold = std::chrono::duration_cast<Micros>(1h);
  start();
  EXPECT_EQ(committer_->commit(1, batch(put_job(1), put_state(1, JobStatus::running)), 1, true),
            Taken::held);
  EXPECT_EQ(committer_->commit(2, batch(put_end(1)), 0, true), Taken::durable);
  EXPECT_EQ(committer_->poll().durable_up_to, 2u);
  EXPECT_THAT(script_.sizes(), ElementsAre(3));
}

TEST_F(CommitterTest, WhatWasHeldIsWrittenOnceItIsReleased) {
  options_.here_records_max = 4;
  options_.hold = Micros{1000};
  start();
  EXPECT_EQ(committer_->commit(1, batch(put_job(1)), 1, true), Taken::held);
  committer_->release();
  until_durable(1);
  EXPECT_THAT(script_.sizes(), ElementsAre(1));
}

TEST_F(CommitterTest, WhatTheLoopCouldNotWriteIsTriedAgainByTheThread) {
  options_.here_records_max = 2;
  options_.here_max = 10s;
  start();
  script_.then({Commit::not_written, "full", false});
  EXPECT_NE(committer_->commit(1, batch(put_job(1)), 0, true), Taken::durable);
  until_durable(1);
  script_.then({Commit::fatal, "the sync failed", false});
  EXPECT_NE(committer_->commit(2, batch(put_job(2)), 0, true), Taken::durable);
  until([&] { return last_.fatal; });
  EXPECT_THAT(last_.reason, HasSubstr("the sync failed"));
}

TEST_F(CommitterTest, ALoopDoesNotWriteToADiskThatHasBecomeSlow) {
  options_.here_records_max = 2;
  options_.here_max = 0ms;  // slower than that is any
  start();
  EXPECT_EQ(committer_->commit(1, batch(put_job(1)), 0, true), Taken::durable);
  EXPECT_NE(committer_->commit(2, batch(put_job(2)), 0, true), Taken::durable);
  until_durable(2);
}

TEST(InstantCommitter, CommitsAndReadsAtOnceWithoutAThread) {
  int woken = 0;
  Committer committer(std::move(*open_store("memory")), [&] { ++woken; });
  ASSERT_TRUE(committer.is_instant());
  committer.commit(3, batch(put_job(1)));
  EXPECT_EQ(committer.poll().durable_up_to, 3u);
  EXPECT_EQ(woken, 0);
  bool found = false;
  committer.read([&](JobStore& store) -> std::function<void()> {
    const bool there = store.read(job_id(1), 1)->has_value();
    return [&found, there] { found = there; };
  });
  EXPECT_EQ(woken, 1);
  Committer::Done done = committer.poll();
  ASSERT_EQ(done.ready.size(), 1u);
  EXPECT_EQ(done.ready[0].after, 3u);
  done.ready[0].run();
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace zgrid::broker
