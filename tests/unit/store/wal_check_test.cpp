#include "broker/store/wal_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"
#include "broker/store/store_tools.h"
#include "tests/contract/store_sample.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::HasSubstr;

constexpr size_t kHeader = 32;
constexpr size_t kFrame = 24 + kPageBytes;

// The log of a broker that was killed after some commits of a few frames each.
class WalCheck : public testing::Test {
 protected:
  void SetUp() override {
    const auto store = open_store(folder_.file("broker.db"));
    ASSERT_TRUE(store);
    for (uint64_t seq = 1; seq <= 40; ++seq) {
      expect_durable(**store, batch(put_job(seq), put_state(seq, JobStatus::running)));
    }
    std::filesystem::copy_file(folder_.file("broker.db"), folder_.file("killed.db"));
    std::ifstream in(folder_.file("broker.db-wal"), std::ios::binary);
    log_.assign(std::istreambuf_iterator<char>(in), {});
    while (is_current(frames_)) ++frames_;
    ASSERT_GT(frames_, 40u);
    log_.resize(kHeader + (frames_ + 3) * kFrame);  // the rest is zeros
    ASSERT_TRUE(ends_commit(frames_ - 1));
  }

  [[nodiscard]] bool is_current(size_t n) const {
    return log_.compare(kHeader + n * kFrame + 8, 8, log_, 16, 8) == 0;
  }
  [[nodiscard]] bool ends_commit(size_t n) const {
    return log_.compare(kHeader + n * kFrame + 4, 4, std::string(4, '\0')) != 0;
  }
  [[nodiscard]] size_t first_of_last_commit() const {
    size_t n = frames_ - 1;
    while (!ends_commit(n - 1)) --n;
    return n;
  }
  std::string flipped(size_t at) {
    std::string bytes = log_;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    return bytes;
  }
  Result<LogEnd> check(const std::string& bytes, const std::optional<LogMark>& mark = {}) {
    const std::string path = folder_.file("log");
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    return check_log(path, kPageBytes, mark);
  }
  // As it stands beside the log; or one that is older.
  [[nodiscard]] LogMark mark() const {
    const auto found = read_log_mark(folder_.file("broker.db"));
    EXPECT_TRUE(found);
    return found.value_or(LogMark{});
  }
  [[nodiscard]] LogMark mark_before_last_commit() const {
    return {mark().salts, static_cast<uint32_t>(first_of_last_commit())};
  }

  TempFolder folder_;
  std::string log_;
  size_t frames_ = 0;
};

TEST_F(WalCheck, AcceptsALogAsAKillLeavesIt) {
  const auto whole = check(log_);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(whole->whole, frames_);
  EXPECT_EQ(whole->torn, 0u);
  EXPECT_FALSE(whole->marked);
  EXPECT_TRUE(check_log(folder_.file("no such log"), kPageBytes, {}));
  EXPECT_TRUE(check(""));
  EXPECT_TRUE(check(std::string(100'000, '\0')));
  EXPECT_TRUE(check(std::string(100'000, 'x')));
}

TEST_F(WalCheck, NamesADamagedFrameThatCommitsFollow) {
  for (size_t n = 0; n < first_of_last_commit(); ++n) {
    // In the page, and in each field of the frame's header.
    for (const size_t at : {2000u, 0u, 6u, 10u, 14u, 18u, 22u}) {
      const auto found = check(flipped(kHeader + n * kFrame + at));
      if (!found) {
        EXPECT_EQ(found.error().code, Errc::corrupt);
        EXPECT_THAT(found.error().message, HasSubstr("frame " + std::to_string(n + 1) + ","));
        continue;
      }
      // A single commit follows, and the frame no longer says that it ended one.
      EXPECT_TRUE(ends_commit(n) && at != 2000) << "frame " << n << " byte " << at;
      EXPECT_TRUE(n + 1 == first_of_last_commit()) << "frame " << n << " byte " << at;
    }
  }
}

TEST_F(WalCheck, CountsWhatIsLeftOfALastCommitThatIsNotWhole) {
  const size_t last = first_of_last_commit();
  for (size_t n = last; n < frames_; ++n) {
    const auto found = check(flipped(kHeader + n * kFrame + 2000));
    ASSERT_TRUE(found) << n;
    EXPECT_EQ(found->whole, last);
    EXPECT_EQ(found->torn, frames_ - last);
  }
}

TEST_F(WalCheck, CountsWhatThePowerCutOff) {
  // Some pages of the last commit are on disk, others are what was there before.
  const size_t last = first_of_last_commit();
  for (size_t n = last; n < frames_; ++n) {
    std::string bytes = log_;
    bytes.replace(kHeader + n * kFrame, kFrame, std::string(kFrame, '\0'));
    for (const auto& known : {std::optional<LogMark>(), std::optional(mark_before_last_commit())}) {
      const auto found = check(bytes, known);
      ASSERT_TRUE(found) << n;
      EXPECT_EQ(found->torn, frames_ - last - 1);
      EXPECT_EQ(found->marked, known.has_value());
    }
  }
}

TEST_F(WalCheck, KnowsFromTheMarkWhatWasSynced) {
  EXPECT_EQ(mark().frames, frames_);
  const auto whole = check(log_, mark());
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_TRUE(whole->marked);
  for (size_t n = 0; n < frames_; ++n) {
    for (const size_t at : {2000u, 0u, 6u, 10u, 14u, 18u, 22u}) {
      const auto found = check(flipped(kHeader + n * kFrame + at), mark());
      ASSERT_FALSE(found) << "frame " << n << " byte " << at;
      EXPECT_EQ(found.error().code, Errc::corrupt);
      EXPECT_THAT(found.error().message, HasSubstr("frame " + std::to_string(n + 1) + ","));
    }
    std::string bytes = log_;
    bytes.replace(kHeader + n * kFrame, kFrame, std::string(kFrame, '\0'));
    EXPECT_FALSE(check(bytes, mark())) << n;
    EXPECT_FALSE(check(log_.substr(0, kHeader + n * kFrame + 100), mark()) && n > 0) << n;
  }
}

TEST_F(WalCheck, IgnoresAMarkOfAnotherLog) {
  LogMark other = mark();
  other.salts ^= 1;
  other.frames += 100;
  const auto found = check(flipped(kHeader + (frames_ - 1) * kFrame + 2000), other);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_FALSE(found->marked);
}

TEST_F(WalCheck, IgnoresAMarkThatWasNotWrittenToItsEnd) {
  const std::string path = folder_.file("broker.db") + kLogMarkSuffix;
  std::ifstream in(path, std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string bytes = whole;
    bytes[n] = static_cast<char>(bytes[n] ^ 1);
    for (const std::string& damaged : {whole.substr(0, n), bytes}) {
      std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
      EXPECT_FALSE(read_log_mark(folder_.file("broker.db"))) << n;
    }
  }
}

TEST_F(WalCheck, NoticesADamagedHeader) {
  for (size_t at = 0; at < kHeader; ++at) {
    const auto found = check(flipped(at));
    ASSERT_FALSE(found) << at;
    EXPECT_THAT(found.error().message, HasSubstr("its header")) << at;
  }
}

TEST_F(WalCheck, AcceptsAHeaderThatThePowerCutOffBeforeOlderFrames) {
  for (size_t bytes = 1; bytes < kHeader; bytes += 5) {
    std::string torn = log_;
    for (size_t at = 0; at < kHeader; ++at) torn[at] = static_cast<char>(at < bytes ? 7 : torn[at]);
    // The frames are those of a log before this one.
    for (size_t n = 0; n < frames_; ++n) torn[kHeader + n * kFrame + 2000] ^= 1;
    EXPECT_TRUE(check(torn)) << bytes;
  }
}

// The files of a broker that was killed, with a bit of the last commit flipped.
TEST_F(WalCheck, KeepsAStoreFromLosingItsLastCommitSilently) {
  const std::string path = folder_.file("copy.db");
  const auto copy = [&] {
    std::filesystem::remove(path);
    std::filesystem::copy_file(folder_.file("killed.db"), path);
    std::ofstream(path + "-wal", std::ios::binary)
        << flipped(kHeader + (frames_ - 1) * kFrame + 1000)
        << std::string(SqliteStore::kWalBytes, '\0');
  };
  copy();
  std::filesystem::copy_file(folder_.file("broker.db.synced"), path + ".synced");
  const auto refused = open_store(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::corrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("the commits behind frame"));
  EXPECT_THAT(refused.error().hint, HasSubstr("remove " + path + ".synced"));
  auto report = check_store(path);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->damages, testing::ElementsAre(HasSubstr("are lost")));

  // As after a power cut, which took the mark.
  std::filesystem::remove(path + ".synced");
  report = check_store(path);
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->damages.empty());
  EXPECT_THAT(report->notices, testing::ElementsAre(HasSubstr("are not whole")));
  {
    const auto store = open_store(path);
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_THAT((*store)->info().notice, HasSubstr("frames at the end of log " + path + "-wal"));
    EXPECT_THAT((*store)->info().notice_hint, HasSubstr("check the disk"));
  }
  const auto after = open_store(path);
  ASSERT_TRUE(after);
  EXPECT_EQ((*after)->info().notice, "");
}

TEST_F(WalCheck, KeepsAStoreFromLosingCommitsSilently) {
  const std::string path = folder_.file("copy.db");
  std::filesystem::copy_file(folder_.file("broker.db"), path);
  std::ofstream(path + "-wal", std::ios::binary) << flipped(kHeader + 5 * kFrame + 1000);
  const auto store = open_store(path);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Errc::corrupt);
  EXPECT_THAT(store.error().message, HasSubstr(path + "-wal is damaged in frame 6"));
}

}  // namespace
}  // namespace zgrid::broker
