// How a store's log is written, shrinks, and is understood again.
#include "broker/store/log_table.h"

#include <gmock/gmock.h>

#include <array>

#include "broker/store/memory_store.h"
#include "broker/store/sqlite_schema.h"
#include "broker/store/store_tools.h"
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
  void execute(const std::string& sql) {
    const auto db = Database::open(path_);
    const Result<void> done = db ? (*db)->execute(sql.c_str()) : fail(db.error());
    EXPECT_TRUE(done) << done.error().message;
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

TEST_F(LogTableTest, NoticesThatTheNewestRowsAreMissing) {
  {
    const auto store = open();
    expect_durable(*store, jobs(1, 100));
  }
  const std::string whole = contents(path_);
  for (const char* sql : {"DELETE FROM log WHERE n > 2", "DELETE FROM log"}) {
    write(path_, whole);
    value(sql);
    EXPECT_THAT(refused().message, HasSubstr("newest rows")) << sql;
    EXPECT_THAT(check_store(path_)->damages, SizeIs(1)) << sql;
  }
  // After a kill, too, if they were there when the broker began.
  write(path_, whole);
  {
    const auto store = open();
    snapshot("killed.db");
  }
  path_ = folder_.file("killed.db");
  value("DELETE FROM log WHERE n > 2");
  write(path_ + "-wal", std::string(16u << 20, '\0'));
  EXPECT_THAT(refused().message, HasSubstr("newest rows"));
}

TEST_F(LogTableTest, NoticesThatAPurgedJobIsBack) {
  {
    const auto store = open();
    expect_durable(*store, batch(put_job(1), put_end(1), put_job(2)));
  }
  value("CREATE TABLE aside AS SELECT n, data FROM log");
  const std::string before = contents(path_);
  value("DROP TABLE aside");
  {
    const auto store = open();
    expect_durable(*store, batch(purge(1, {1})));
  }
  // As if the page with the row had not been written when the purge was.
  write(folder_.file("before.db"), before);
  execute("ATTACH '" + folder_.file("before.db") +
          "' AS before;"
          "UPDATE main.log SET data = (SELECT data FROM before.aside WHERE n = 1) WHERE n = 1");
  Result<std::unique_ptr<JobStore>> store = open_store(path_);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_THAT(recovered(**store).error().message, HasSubstr("was purged"));
}

// Random lives of jobs, with kills, orderly stops and a disk that is full now and then, beside the
// store in memory.
class Lives {
 public:
  explicit Lives(uint32_t seed) : noise_(seed) {}
  std::vector<Record> next() {
    std::vector<Record> records;
    for (uint32_t steps = 1 + below(30); steps > 0; --steps) step(records);
    return records;
  }
  uint32_t below(uint32_t end) {
    noise_ = noise_ * 1664525 + 1013904223;
    return (noise_ >> 8) % end;
  }

 private:
  void step(std::vector<Record>& records) {
    const uint32_t dice = below(12);
    if (dice < 4 || open_.empty()) {
      PutJob job = put_job(++seq_, spec(std::array{"", "a", "b", "c"}[below(4)]));
      if (below(20) == 0) job.input.data = Bytes::own(std::string(1500 + below(5000), 'i'));
      open_.push_back(seq_);
      records.emplace_back(job);
    } else if (dice < 7) {
      PutState state = put_state(open_[below(size(open_))], JobStatus::running);
      state.attempt = below(9);
      if (below(3) == 0) state.failures = 1 + below(3);
      records.emplace_back(state);
    } else if (dice < 10) {
      const size_t at = below(size(open_));
      PutEnd end = put_end(open_[at], below(3) ? JobStatus::succeeded : JobStatus::failed);
      if (below(20) == 0) end.output.data = Bytes::own(std::string(1500 + below(5000), 'o'));
      records.emplace_back(end);
      ended_.push_back(open_[at]);
      open_.erase(open_.begin() + static_cast<ptrdiff_t>(at));
    } else if (dice == 10 && !ended_.empty()) {
      const size_t at = below(4) ? 0 : below(size(ended_));
      const size_t count = std::min<size_t>(1 + below(20), ended_.size() - at);
      const auto first = ended_.begin() + static_cast<ptrdiff_t>(at);
      std::vector<EndedJob> gone;
      for (size_t i = 0; i < count; ++i) gone.push_back(ended_job(ended_[at + i]));
      records.emplace_back(sample::purge(++purge_, gone));
      ended_.erase(first, first + static_cast<ptrdiff_t>(count));
    } else if (forgotten_ < purge_) {
      records.emplace_back(Forget{++forgotten_});
    }
  }
  static uint32_t size(const std::vector<uint64_t>& all) {
    return static_cast<uint32_t>(all.size());
  }
  uint32_t noise_;
  uint64_t seq_ = 0, purge_ = 0, forgotten_ = 0;
  std::vector<uint64_t> open_, ended_;
};

class LogTableModel : public LogTableTest, public testing::WithParamInterface<uint32_t> {
 protected:
  static void expect_same_job(const StoredJob& a, const StoredJob& b) {
    expect_same(a.accepted, b.accepted);
    ASSERT_EQ(a.status(), b.status()) << a.accepted.seq;
    if (a.ended) expect_same(*a.ended, *b.ended);
    // A store may leave out the state of a job that ended without an event.
    if (!a.ended || b.state.failures > 0) expect_same(a.state, b.state);
  }
  static void expect_same_stores(JobStore& store, JobStore& model) {
    const auto all = recovered(store);
    const auto expected = recovered(model);
    ASSERT_TRUE(all) << all.error().message;
    ASSERT_EQ(all->order, expected->order);
    ASSERT_EQ(all->purges, expected->purges);
    for (const uint64_t seq : all->order) {
      expect_same_job(stored(store, seq), stored(model, seq));
    }
    for (const char* run : {"", "a", "b"}) {
      for (const auto& states : {std::vector<JobStatus>{}, {JobStatus::failed}}) {
        const JobFilter filter{0, states, run};
        const auto ours = store.list(filter), theirs = model.list(filter);
        ASSERT_TRUE(ours && theirs);
        ASSERT_EQ(ours->size(), theirs->size()) << run;
        for (size_t i = 0; i < ours->size(); ++i) {
          ASSERT_EQ((*ours)[i].accepted.seq, (*theirs)[i].accepted.seq);
        }
      }
    }
  }
};

TEST_P(LogTableModel, AgreesWithTheStoreInMemory) {
  Lives lives(GetParam());
  MemoryStore model;
  auto store = open();
  for (int round = 1; round <= 300; ++round) {
    const std::vector<Record> records = lives.next();
    if (lives.below(6) == 0) {
      const NoRoom full;
      const CommitResult result = store->commit(records);
      ASSERT_EQ(result.outcome, Commit::not_written) << result.reason;
    }
    expect_durable(*store, records);
    expect_durable(model, records);
    if (lives.below(4) == 0) {
      ASSERT_EQ(store->tend().outcome, Commit::durable);
    }
    if (round % 20 == 0) expect_same_stores(*store, model);
    if (HasFatalFailure()) return;
    if (lives.below(25) > 0) continue;
    if (lives.below(2) == 0) {
      store.reset();
    } else {
      const std::string killed = snapshot("killed-" + std::to_string(round) + ".db");
      store.reset();
      path_ = killed;
    }
    store = open();
    expect_same_stores(*store, model);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LogTableModel, testing::Range(1u, 13u));

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
