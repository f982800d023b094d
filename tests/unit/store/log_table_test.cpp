// How a store's log is written, shrinks, and is understood again.
#include "broker/store/log_table.h"

#include <gmock/gmock.h>

#include "broker/store/sqlite_schema.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class LogTableTest : public SqliteStoreTest {
 protected:
  // Of the file, which no store has open.
  std::string value(const std::string& sql) {
    const auto db = Database::open(path_);
    const Result<std::string> value = db ? (*db)->value(sql) : fail(db.error());
    EXPECT_TRUE(value) << value.error().message;
    return value ? *value : "";
  }
  [[nodiscard]] int rows() { return std::stoi(value("SELECT count(*) FROM log")); }

  static std::vector<Record> jobs(uint64_t first, uint64_t last) {
    std::vector<Record> records;
    for (uint64_t seq = first; seq <= last; ++seq) records.emplace_back(put_job(seq));
    return records;
  }
  static Purge purge(uint64_t number, const std::vector<uint64_t>& seqs) {
    Purge purge;
    purge.number = number;
    for (const uint64_t seq : seqs) {
      EndedJob job;
      job.id = job_id(seq);
      job.seq = seq;
      job.status = JobStatus::succeeded;
      purge.jobs.push_back(job);
    }
    return purge;
  }
};

TEST_F(LogTableTest, PutsTheJobsOfACommitIntoRowsOfAPage) {
  {
    const auto store = open();
    expect_durable(*store, jobs(1, 100));
  }
  EXPECT_GT(rows(), 2);
  EXPECT_LT(rows(), 10);
  EXPECT_LE(std::stoull(value("SELECT max(length(data)) FROM log")), LogRowWriter::kBytesMax);
}

TEST_F(LogTableTest, GivesEachRunRowsOfItsOwn) {
  const auto store = open();
  expect_durable(*store, batch(put_job(1, spec("a")), put_job(2, spec("b")), put_job(3, spec("a")),
                               put_job(4), put_end(1)));
  expect_durable(*store, batch(put_job(5, spec("a")), put_end(3)));
  const auto listed = [&](const JobFilter& filter) {
    std::vector<uint64_t> seqs;
    const auto found = store->list(filter);
    for (const StoredJob& job : *found) seqs.push_back(job.accepted.seq);
    return seqs;
  };
  EXPECT_THAT(listed({0, {}, "a"}), ElementsAre(5, 3, 1));
  EXPECT_THAT(listed({2, {}, "a"}), ElementsAre(5, 3));
  EXPECT_THAT(listed({0, {JobStatus::succeeded}, "a"}), ElementsAre(3, 1));
  EXPECT_THAT(listed({0, {}, "b"}), ElementsAre(2));
}

TEST_F(LogTableTest, KeepsTheRestOfARowWhenSomeOfItsJobsArePurged) {
  {
    const auto store = open();
    expect_durable(*store, jobs(1, 6));
    expect_durable(*store, batch(put_end(2), put_end(4), put_end(5)));
    expect_durable(*store, batch(purge(1, {2, 5})));
    EXPECT_FALSE(store->read(job_id(2), 2)->has_value());
    EXPECT_EQ(stored(*store, 4).status(), JobStatus::succeeded);
    expect_durable(*store, batch(Forget{1}));
  }
  const auto store = open();
  const auto all = recovered(*store);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(1, 3, 4, 6));
  EXPECT_THAT(all->ended, SizeIs(1));
}

TEST_F(LogTableTest, DoesNotGrowWhileJobsComeAndGo) {
  {
    const auto store = open();
    for (uint64_t seq = 1; seq <= 600; ++seq) {
      expect_durable(*store, batch(put_job(seq)));
      expect_durable(*store, batch(put_state(seq, JobStatus::running)));
      expect_durable(*store, batch(put_end(seq)));
      if (seq > 5) expect_durable(*store, batch(purge(seq, {seq - 5}), Forget{seq}));
    }
  }
  EXPECT_LT(rows(), 30);
  const auto all = recovered(*open());
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(596, 597, 598, 599, 600));
}

TEST_F(LogTableTest, IgnoresAnOldStateOfAPurgedJobThatSharesItsRow) {
  {
    const auto store = open();
    expect_durable(*store, jobs(1, 2));
    // Job 2 keeps the row of these two.
    expect_durable(*store,
                   batch(put_state(1, JobStatus::running), put_state(2, JobStatus::running)));
    expect_durable(*store, batch(put_end(1)));
    expect_durable(*store, batch(purge(1, {1}), Forget{1}));
  }
  const auto store = open();
  const auto all = recovered(*store);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_THAT(all->order, ElementsAre(2));
  EXPECT_EQ(stored(*store, 2).status(), JobStatus::running);
}

TEST_F(LogTableTest, KeepsTheStateThatTellsMoreThanTheEnd) {
  PutState lost = put_state(1, JobStatus::queued);
  lost.losses = 1;
  lost.lost = {"its worker is gone"};
  {
    const auto store = open();
    expect_durable(*store, batch(put_job(1)));
    expect_durable(*store, batch(lost));
    expect_durable(*store, batch(put_end(1)));
  }
  EXPECT_EQ(stored(*open(), 1).state.lost, lost.lost);
}

TEST_F(LogTableTest, NoticesThatRowsAreMissing) {
  {
    const auto store = open();
    expect_durable(*store, jobs(1, 100));
    expect_durable(*store, batch(put_end(1)));
  }
  value("DELETE FROM log WHERE n = 2");
  const Error error = refused();
  EXPECT_EQ(error.code, Errc::corrupt);
  EXPECT_THAT(error.message, HasSubstr(" rows instead of "));
}

TEST_F(LogTableTest, NoticesThatAResultHasNoJob) {
  {
    const auto store = open();
    expect_durable(*store, batch(put_job(1)));
    expect_durable(*store, batch(put_end(1), put_job(2)));
  }
  // Another row in the place of the first one, so that their count is right.
  value("DELETE FROM log WHERE n = 1");
  value("UPDATE log SET n = 1 WHERE n = 2");
  EXPECT_EQ(refused().code, Errc::corrupt);
}

}  // namespace
}  // namespace zgrid::broker
