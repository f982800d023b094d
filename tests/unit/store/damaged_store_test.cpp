// Flipped bits, and files that were cut short.
#include <gmock/gmock.h>

#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT

// Opens, recovers and reads all that can be read. The first error, if there was one.
std::optional<Error> use(const std::string& path, uint64_t jobs) {
  Result<std::unique_ptr<JobStore>> store = open_store(path);
  if (!store) return store.error();
  const auto all = recovered(**store);
  if (!all) return all.error();
  std::optional<Error> first;
  for (uint64_t seq = 1; seq <= jobs; ++seq) {
    const auto job = (*store)->read(job_id(seq), seq);
    if (!job) {
      first = job.error();
    } else if (!*job || (*job)->accepted.seq != seq || (*job)->accepted.owner != "ada@desk") {
      return Error{Errc::internal, "a wrong answer for job " + std::to_string(seq)};
    } else if ((*job)->ended && (*job)->ended->output != put_end(seq).output &&
               (*job)->ended->output.data.size() < 5000) {
      return Error{Errc::internal, "a wrong output of job " + std::to_string(seq)};
    }
  }
  return first;
}

class DamagedStore : public SqliteStoreTest {
 protected:
  static constexpr uint64_t kJobs = 60;
  void SetUp() override {
    const auto store = open();
    for (uint64_t seq = 1; seq <= kJobs; ++seq) {
      PutJob job = put_job(seq, spec(seq % 2 ? "odd" : ""));
      PutEnd end = put_end(seq, seq % 5 ? JobStatus::succeeded : JobStatus::failed, facts("box"));
      if (seq % 10 == 0) end.output.data = Bytes::own(std::string(6000, 'o'));
      expect_durable(*store, batch(job, put_state(seq, JobStatus::running)));
      if (seq % 3 != 0) expect_durable(*store, batch(end));
    }
    crashed_ = snapshot("crashed.db");
  }
  std::string crashed_;
};

TEST_F(DamagedStore, NeverGivesAWrongAnswerForAFlippedBit) {
  const std::string whole = contents(path_);
  ASSERT_GT(whole.size(), 20'000u);
  ASSERT_FALSE(use(path_, kJobs));
  size_t noticed = 0;
  size_t tried = 0;
  const std::string damaged = folder_.file("damaged.db");
  for (size_t at = 20; at < whole.size(); at += 193) {
    if (whole[at] == 0) continue;  // mostly free space
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    std::filesystem::remove(damaged + "-wal");
    write(damaged, bytes);
    ++tried;
    const auto error = use(damaged, kJobs);
    if (!error) continue;
    ++noticed;
    EXPECT_EQ(error->code, Errc::corrupt) << "byte " << at << ": " << error->message;
    EXPECT_NE(error->message, "");
  }
  // The rest are bytes without a meaning, such as header counters.
  EXPECT_GT(tried, 60u);
  EXPECT_GT(noticed * 10, tried * 8) << noticed << " of " << tried;
}

TEST_F(DamagedStore, NoticesThatTheFileWasCutShort) {
  const std::string whole = contents(path_);
  const std::string damaged = folder_.file("damaged.db");
  for (size_t size = 1; size < whole.size(); size += 1999) {
    std::filesystem::remove(damaged + "-wal");
    write(damaged, whole.substr(0, size));
    const auto error = use(damaged, kJobs);
    ASSERT_TRUE(error) << size;
    EXPECT_EQ(error->code, Errc::corrupt) << size << ": " << error->message;
  }
}

TEST_F(DamagedStore, ReadsAllCommitsOfADamagedLogOrSaysThatItCannot) {
  const std::string whole = contents(crashed_);
  const std::string log = contents(crashed_ + "-wal");
  const std::string damaged = folder_.file("damaged.db");
  size_t refused = 0;
  for (size_t at = 40; at < 600'000; at += 49'999) {
    std::string bytes = log;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    write(damaged, whole);
    write(damaged + "-wal", bytes);
    Result<std::unique_ptr<JobStore>> store = open_store(damaged);
    if (!store) {
      ++refused;
      EXPECT_EQ(store.error().code, Errc::corrupt) << store.error().message;
      continue;
    }
    const auto all = recovered(**store);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->order.size(), kJobs) << "byte " << at << " of the log";
  }
  EXPECT_GT(refused, 5u);
}

}  // namespace
}  // namespace zgrid::broker
