// Stores of older layouts.
#include <gmock/gmock.h>

#include "broker/store/sqlite_schema.h"
#include "broker/store/store_tools.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::ElementsAre;
using testing::IsEmpty;

// first_release.db was written by the first release: seven jobs, of which one failed, one is a
// broadcast with a child, one waits for its worker and one for its time; a draining worker.
class FirstRelease : public SqliteStoreTest {
 protected:
  void SetUp() override {
    path_ = folder_.file("broker.db");
    std::filesystem::copy_file(ZGRID_STORE_DIR "/first_release.db", path_);
  }
  char layout() { return contents(path_)[63]; }
};

TEST_F(FirstRelease, IsMigratedOnceAndKeepsEverything) {
  ASSERT_EQ(layout(), 1);
  uint64_t epoch = 0;
  for (int round = 0; round < 2; ++round) {
    const auto store = open();
    EXPECT_EQ(store->info().epoch, ++epoch + 1);
    const auto all = recovered(*store);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_THAT(all->order, ElementsAre(1, 2, 3, 4, 5, 6, 7));
    EXPECT_FALSE(all->clock);
    EXPECT_EQ(all->draining_names, std::vector<std::string>{""});
    ASSERT_EQ(all->unfinished.size(), 2u);
    const StoredJob& queued = all->unfinished[0];
    EXPECT_EQ(queued.accepted.spec->job.service, "nobody-has-this");
    EXPECT_EQ(queued.accepted.spec->job.priority, 7);
    EXPECT_EQ(queued.accepted.input.data.size(), 2560u);
    EXPECT_EQ(queued.accepted.accepted.us, queued.accepted.submitted.us);
    EXPECT_EQ(queued.accepted.submitted.us / 1'000'000, 1795266787);
    const StoredJob& delayed = all->unfinished[1];
    EXPECT_EQ(delayed.status(), JobStatus::waiting);
    EXPECT_EQ(delayed.state.not_before.us - delayed.accepted.accepted.us, 3'600'000'000);
    ASSERT_EQ(all->ended.size(), 5u);
    const EndedJob& echo = all->ended[0];
    EXPECT_EQ(echo.key, "mykey");
    EXPECT_EQ(echo.owner, "root@box");
    EXPECT_EQ(echo.status, JobStatus::succeeded);
    EXPECT_EQ(all->ended[2].status, JobStatus::failed);
    EXPECT_THAT(all->ended[3].children, ElementsAre(all->ended[4].id));
    const StoredJob first = stored(*store, echo.id, echo.seq);
    EXPECT_EQ(first.accepted.spec->job.run, "nightly");
    EXPECT_EQ(first.ended->output.data.view(), "{\"text\":\"hello\"}");
    EXPECT_EQ(first.ended->worker->name, "box");
    EXPECT_EQ(first.ended->ended.us, first.ended->finished.us);
    EXPECT_EQ(echo.ended, first.ended->ended);
    EXPECT_EQ(echo.bytes,
              stored_bytes(first.accepted.input.data.size(), first.ended->output.data.size()));
    EXPECT_EQ(stored(*store, all->ended[1].id, all->ended[1].seq).ended->output.data.size(), 2560u);
  }
  EXPECT_EQ(layout(), kSchemaVersion);
}

TEST_F(FirstRelease, TakesEveryNewRecordAfterItsMigration) {
  const auto store = open();
  auto all = recovered(*store);
  ASSERT_TRUE(all);
  PutState state = all->unfinished[0].state;
  state.lost = {"gone"};
  expect_durable(*store, batch(purge(1, all->ended), state, put_job(8), PutClock{{5}, {6}}));
  all = recovered(*store);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(6, 7, 8));
  EXPECT_EQ(all->purged[0].jobs.size(), 5u);
  EXPECT_EQ(all->purged[0].jobs[0].key, "mykey");
  EXPECT_EQ(all->unfinished[0].state.lost, state.lost);
}

TEST_F(FirstRelease, IsReadWithItsChecksums) {
  std::string bytes = contents(path_);
  const size_t at = bytes.find("nobody-has-this");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'N';
  write(path_, bytes);
  EXPECT_EQ(refused().code, Errc::corrupt);
  EXPECT_EQ(layout(), 1) << "nothing of it was changed";
}

// second_layout.db was written by a program of layout 2: four jobs that were purged, but for one in
// the row of the next; three of run "nightly", of which one waits and two have large inputs; a
// broadcast with a child; one that waits and one that was cancelled; a worker that is drained.
class SecondLayout : public SqliteStoreTest {
 protected:
  void SetUp() override {
    path_ = folder_.file("broker.db");
    std::filesystem::copy_file(ZGRID_STORE_DIR "/second_layout.db", path_);
  }
  void expect_whole(JobStore& store) {
    const auto all = recovered(store);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->unfinished.size(), 2u);
    EXPECT_EQ(all->ended.size(), 6u);
    size_t purged = 0;
    for (const Purge& purge : all->purged) purged += purge.jobs.size();
    EXPECT_EQ(purged, 3u);
    EXPECT_EQ(all->draining_names, std::vector<std::string>{"box"});
    EXPECT_TRUE(all->clock);
    const auto nightly = listed(store, {0, {}, "nightly"});
    ASSERT_EQ(nightly.size(), 3u);
    EXPECT_EQ(listed(store, {0, {JobStatus::queued}, "nightly"}).size(), 1u);
    EXPECT_EQ(listed(store, {0, {JobStatus::cancelled}, ""}).size(), 1u);
    for (const EndedJob& ended : all->ended) {
      if (ended.seq != nightly[1]) continue;
      EXPECT_EQ(stored(store, ended.id, ended.seq).ended->output.data.size(), 3011u);
    }
  }
};

TEST_F(SecondLayout, IsMigratedOnceAndKeepsEverything) {
  ASSERT_EQ(contents(path_)[63], 2);
  for (int round = 0; round < 2; ++round) expect_whole(*open());
  EXPECT_EQ(contents(path_)[63], kSchemaVersion);
  EXPECT_THAT(check_store(path_)->damages, IsEmpty());
}

TEST_F(SecondLayout, IsCheckedAndCopiedAsItIs) {
  const auto report = check_store(path_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->damages, IsEmpty());
  EXPECT_EQ(report->unfinished, 2u);
  EXPECT_EQ(report->ended, 6u);
  EXPECT_EQ(report->purged, 3u);
  const std::string copy = folder_.file("copy.db");
  ASSERT_TRUE(backup_store(path_, copy));
  EXPECT_EQ(contents(copy)[63], 2);
  EXPECT_EQ(contents(path_)[63], 2);
  const std::string restored = folder_.file("restored.db");
  ASSERT_TRUE(restore_store(copy, restored));
  path_ = restored;
  expect_whole(*open());
}

TEST_F(SecondLayout, IsLeftAsItWasIfItCannotBeMigrated) {
  {
    const NoRoom full;
    refused();
  }
  EXPECT_EQ(contents(path_)[63], 2);
  expect_whole(*open());
}

}  // namespace
}  // namespace zgrid::broker
