// What only the store on disk does: restarts, locks, damage, full disks.
#include "broker/store/sqlite_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/store/sqlite_schema.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(SqliteStoreTest, KeepsEverythingAcrossARestart) {
  StoreId id;
  PutJob large = put_job(3);
  large.input.data = Bytes::own(std::string(50'000, 'x'));
  {
    const auto store = open();
    id = store->info().id;
    EXPECT_EQ(store->info().epoch, 1u);
    EXPECT_EQ(store->info().description, path_);
    expect_durable(*store, batch(put_job(1), put_job(2), large));
    expect_durable(*store, batch(put_state(1, JobStatus::running, facts("gpu")),
                                 put_end(2, JobStatus::failed, facts("gpu")),
                                 PutDrain{some_id<WorkerId>(4), "box", true}));
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + "-wal")) << "an orderly stop leaves one file";
  const auto store = open();
  EXPECT_EQ(store->info().id, id);
  EXPECT_EQ(store->info().epoch, 2u);
  const auto all = recovered(*store);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(1, 2, 3));
  expect_same(all->unfinished[0].state, put_state(1, JobStatus::running, facts("gpu")));
  expect_same(all->unfinished[1].accepted, large);
  expect_same(*stored(*store, 2).ended, put_end(2, JobStatus::failed, facts("gpu")));
  EXPECT_THAT(all->draining, ElementsAre(some_id<WorkerId>(4)));
}

TEST_F(SqliteStoreTest, TakesChangesOfJobsThatItHasNotRecovered) {
  { expect_durable(*open(), batch(put_job(1), put_job(2))); }
  const auto store = open();
  expect_durable(*store, batch(put_end(1), put_state(2, JobStatus::running)));
  EXPECT_EQ(stored(*store, 1).status(), JobStatus::succeeded);
  EXPECT_THAT(listed(*store, {0, {JobStatus::running}, ""}), ElementsAre(2));
}

TEST_F(SqliteStoreTest, HasWhatWasCommittedWhenTheProcessDies) {
  const auto store = open();
  expect_durable(*store, batch(put_job(1)));
  expect_durable(*store, batch(put_end(1), put_job(2)));
  path_ = snapshot("crashed.db");
  const auto after = open();
  EXPECT_EQ(after->info().id, store->info().id);
  EXPECT_EQ(after->info().epoch, 2u);
  EXPECT_THAT(recovered(*after)->order, ElementsAre(1, 2));
}

// The check after an unclean stop reads the file beside SQLite; closing a descriptor of it would
// end SQLite's lock, and whoever has it open next could delete the log.
TEST_F(SqliteStoreTest, KeepsOtherProgramsOutAfterAnUncleanStop) {
  const auto store = open();
  expect_durable(*store, batch(put_job(1)));
  path_ = snapshot("crashed.db");
  const auto after = open();
  // Locks are between processes, and a fork would inherit what SQLite knows of ours.
  const pid_t other = fork();
  if (other == 0) {
    setenv("ZGRID_TEST_OTHER", path_.c_str(), 1);
    execl("/proc/self/exe", "unit_store", "--gtest_filter=OtherProgram.*", nullptr);
    _exit(127);
  }
  int status = -1;
  ASSERT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0) << "another program could write to a store in use";
}

// Run by the test above, as the other program.
TEST(OtherProgram, IsRefused) {
  const char* path = std::getenv("ZGRID_TEST_OTHER");
  if (path == nullptr) GTEST_SKIP() << "it is the other program of another test";
  const auto db = Database::open(path);
  ASSERT_TRUE(db);
  EXPECT_FALSE((*db)->execute("BEGIN IMMEDIATE"));
  (*db)->abandon();
}

TEST_F(SqliteStoreTest, KeepsOthersOut) {
  const auto store = open();
  const Error error = refused();
  EXPECT_EQ(error.code, Errc::cannot_create);
  EXPECT_THAT(error.message, HasSubstr(path_));
  EXPECT_THAT(error.message, HasSubstr("another broker (pid " + std::to_string(getpid()) + ")"));
  struct stat info {};
  ASSERT_EQ(stat((path_).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((path_ + "-wal").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(folder_.file("state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(SqliteStoreTest, GrowsItsLogAtTheStartAndNeverInOperation) {
  const auto store = open();
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), SqliteStore::kWalBytes);
  for (uint64_t seq = 1; seq <= 20'000;) {
    std::vector<Record> records;
    for (int i = 0; i < 200; ++i) records.emplace_back(put_job(seq++));
    expect_durable(*store, records);
    if (seq % 400 == 1) {
      EXPECT_EQ(store->tend().outcome, Commit::durable);
    }
  }
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), SqliteStore::kWalBytes);
  // Also if nobody tends it.
  for (uint64_t seq = 20'001; seq <= 60'000;) {
    std::vector<Record> records;
    for (int i = 0; i < 1000; ++i) records.emplace_back(put_job(seq++));
    expect_durable(*store, records);
  }
  EXPECT_LE(std::filesystem::file_size(path_ + "-wal"), 2 * SqliteStore::kWalBytes);
}

TEST_F(SqliteStoreTest, UsesTheSpaceOfPurgedJobsAgain) {
  auto store = open();
  uint64_t seq = 0;
  for (uint64_t round = 1; round <= 100; ++round) {
    std::vector<Record> begin, end;
    Purge old{round, GridTime{1}, {}};
    for (int i = 0; i < 100; ++i) {
      PutJob job = put_job(++seq);
      if (i % 10 == 0) job.input.data = Bytes::own(std::string(5000, 'x'));
      old.jobs.push_back(ended_job(job, put_end(seq)));
      begin.emplace_back(std::move(job));
      end.emplace_back(put_end(seq));
    }
    expect_durable(*store, begin);
    expect_durable(*store, end);
    expect_durable(*store, batch(old));
    if (round > 5) expect_durable(*store, batch(Forget{round - 5}));
    ASSERT_EQ(store->tend().outcome, Commit::durable);
  }
  store.reset();
  // Each round wrote 100 kB.
  EXPECT_LE(std::filesystem::file_size(path_), 400'000u);
}

TEST_F(SqliteStoreTest, RefusesFilesThatAreNoStore) {
  std::filesystem::create_directories(folder_.file("state/zgrid"));
  write(path_, "");
  EXPECT_EQ(refused().code, Errc::corrupt);
  write(path_, std::string(10'000, 'x'));
  EXPECT_EQ(refused().code, Errc::corrupt);
  std::filesystem::remove(path_);
  write(path_ + "-wal", "something");
  EXPECT_EQ(refused().code, Errc::corrupt) << "a log without its file";
  std::filesystem::remove(path_ + "-wal");
  std::filesystem::create_directory(path_);
  EXPECT_NE(refused().message, "");
  path_ = "/proc/zgrid/broker.db";
  EXPECT_EQ(refused().code, Errc::cannot_create);
}

TEST_F(SqliteStoreTest, RefusesAFileOfAnotherProgramOrOfANewerVersion) {
  { open(); }
  // The marks stand in the header: user_version at 60, application_id at 68.
  const std::string whole = contents(path_);
  std::string other = whole;
  other[71] = 'x';
  write(path_, other);
  EXPECT_EQ(refused().code, Errc::cannot_create);
  other = whole;
  other[63] = kSchemaVersion + 1;
  write(path_, other);
  EXPECT_EQ(refused().code, Errc::unsupported);
  write(path_, whole);
  EXPECT_NE(open(), nullptr);
}

}  // namespace
}  // namespace zgrid::broker
