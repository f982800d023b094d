#include "broker/store/page_check.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "broker/store/sqlite_schema.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::HasSubstr;

// A file as much use leaves it: rows of all sizes come and go.
class PageCheck : public SqliteStoreTest {
 protected:
  void SetUp() override {
    const auto store = open();
    std::mt19937 random(1);
    std::vector<EndedJob> old;
    uint64_t number = 0;
    for (uint64_t seq = 1; seq <= 1500;) {
      std::vector<Record> begin, end;
      for (int i = 0; i < 25; ++i, ++seq) {
        PutJob job = put_job(seq, spec(random() % 3 ? "" : "run-" + std::to_string(random() % 5)));
        job.key = std::string(random() % 200, 'k');
        job.input.data = Bytes::own(std::string(random() % 20 ? random() % 1500 : 20'000, 'x'));
        begin.emplace_back(job);
        if (random() % 4 == 0) continue;
        PutEnd done = put_end(seq, random() % 5 ? JobStatus::succeeded : JobStatus::failed);
        done.output.data = Bytes::own(std::string(random() % 20 ? random() % 1500 : 20'000, 'x'));
        end.emplace_back(done);
        old.push_back(ended_job(job, done));
      }
      expect_durable(*store, begin);
      expect_durable(*store, end);
      std::shuffle(old.begin(), old.end(), random);
      if (old.size() < 30) continue;
      const std::vector<EndedJob> some(old.begin(), old.begin() + 20);
      old.erase(old.begin(), old.begin() + 20);
      expect_durable(*store, batch(purge(++number, some)));
      if (number > 3 && random() % 2) expect_durable(*store, batch(Forget{number - 3}));
    }
  }
  Result<void> check() {
    const auto db = Database::open(path_);
    if (!db) return fail(db.error());
    return check_database(**db, path_, true);
  }
};

TEST_F(PageCheck, FindsNothingInAFileAfterMuchUse) {
  const auto db = Database::open(path_);
  ASSERT_TRUE(db);
  EXPECT_EQ((*db)->value("PRAGMA integrity_check"), "ok");
  EXPECT_NE((*db)->value("PRAGMA freelist_count"), "0") << "or it would not be much of a test";
  const auto found = check();
  EXPECT_TRUE(found) << found.error().message;
}

TEST_F(PageCheck, NoticesWhatSqliteNoticesOfFlippedBits) {
  const std::string whole = contents(path_);
  const auto pages = static_cast<uint32_t>(whole.size() / kPageBytes);
  const auto flip = [&](size_t at, int bit) {
    const int fd = ::open(path_.c_str(), O_WRONLY);
    const auto byte = static_cast<char>(whole[at] ^ (1 << bit));
    EXPECT_EQ(::pwrite(fd, &byte, 1, static_cast<off_t>(at)), 1);
    ::close(fd);
  };
  size_t ours = 0, theirs = 0, only_theirs = 0;
  std::mt19937 random(2);
  for (int round = 0; round < 400; ++round) {
    // In the headers of pages, the pointers to cells, and what overflows and free pages begin with.
    const size_t at = (1 + random() % (pages - 1)) * kPageBytes + random() % 24;
    const int bit = static_cast<int>(random() % 8);
    flip(at, bit);
    const auto found = check();
    const auto db = Database::open(path_);
    const auto verdict = (*db)->value("PRAGMA quick_check(1)");
    const bool quick = !verdict || *verdict != "ok";
    ours += found ? 0 : 1;
    theirs += quick ? 1 : 0;
    // SQLite also looks at rows, which recovery does by their checksums.
    if (found && quick) ++only_theirs;
    if (!found) {
      EXPECT_EQ(found.error().code, Errc::corrupt);
    }
    std::ofstream(path_, std::ios::binary | std::ios::in).seekp(static_cast<std::streamoff>(at))
        << whole[at];
  }
  EXPECT_GE(ours, 100u);
  EXPECT_LE(only_theirs, ours / 20) << "of " << theirs << ", ours " << ours;
}

TEST_F(PageCheck, NoticesAFreePageThatIsInUse) {
  std::string bytes = contents(path_);
  const auto word = [&](size_t at) {
    size_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  const size_t trunk = word(32);
  ASSERT_NE(trunk, 0u);
  ASSERT_NE(word((trunk - 1) * kPageBytes + 4), 0u);
  bytes[(trunk - 1) * kPageBytes + 11] = 2;  // the last byte of the first free page's number
  bytes[(trunk - 1) * kPageBytes + 10] = 0;
  write(path_, bytes);
  const auto found = check();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("page 2 is used twice"));
}

}  // namespace
}  // namespace zgrid::broker
