#include "broker/store/store_tools.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <map>

#include "broker/store/sqlite_db.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// A store of which a broker was killed has a log that matters; one that was stopped has none.
class StoreTools : public SqliteStoreTest {
 protected:
  void SetUp() override {
    {
      const auto store = open();
      for (uint64_t seq = 1; seq <= 40; ++seq) {
        PutJob job = put_job(seq, spec(seq % 2 ? "odd" : ""));
        if (seq % 10 == 0) job.input.data = Bytes::own(std::string(6000, 'i'));
        expect_durable(*store, batch(job, put_state(seq, JobStatus::running, facts("box"))));
        if (seq <= 30) expect_durable(*store, batch(put_end(seq)));
      }
      expect_durable(*store, batch(purge(1, {ended_job(1), ended_job(2), ended_job(3)}),
                                   PutDrain{some_id<WorkerId>(1), "box", true},
                                   PutClock{GridTime{5}, WallTime{6}}));
      killed_ = snapshot("killed.db");
      id_ = store->info().id;
    }
  }
  // Name and bytes of each file in the folder of a store, but of locks.
  std::map<std::string, std::string> files(const std::string& path) {
    std::map<std::string, std::string> all;
    const auto folder = std::filesystem::path(path).parent_path();
    for (const auto& file : std::filesystem::directory_iterator(folder)) {
      const std::string name = file.path().string();
      if (!file.is_regular_file() || name.ends_with(".lock")) continue;
      all[name] = contents(name);
    }
    return all;
  }
  void damage(const std::string& path, const std::string& text) {
    std::string bytes = contents(path);
    const size_t at = bytes.find(text);
    ASSERT_NE(at, std::string::npos) << text;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write(path, bytes);
  }
  static void execute(const std::string& path, const char* sql) {
    const auto db = Database::open(path);
    ASSERT_TRUE(db) << db.error().message;
    const auto done = (*db)->execute(sql);
    ASSERT_TRUE(done) << done.error().message;
  }

  std::string killed_;
  StoreId id_;
};

TEST_F(StoreTools, CountWhatIsInAStoreAndChangeNothing) {
  for (const std::string& path : {path_, killed_}) {
    const auto before = files(path);
    const auto report = check_store(path);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->damages, IsEmpty());
    EXPECT_FALSE(report->more_damages);
    EXPECT_EQ(report->id, id_);
    EXPECT_EQ(report->epoch, 1u);
    EXPECT_EQ(report->unfinished, 10u);
    EXPECT_EQ(report->ended, 27u);
    EXPECT_EQ(report->purged, 3u);
    EXPECT_GE(report->bytes, std::filesystem::file_size(path));
    EXPECT_EQ(report->clean, path == path_);
    EXPECT_TRUE(files(path) == before);
  }
}

TEST_F(StoreTools, ReadAStoreOfTheFirstRelease) {
  const std::string first = folder_.file("first.db");
  std::filesystem::copy_file(ZGRID_STORE_DIR "/first_release.db", first);
  const auto before = contents(first);
  const auto report = check_store(first);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->damages, IsEmpty());
  EXPECT_EQ(report->ended, 5u);
  EXPECT_EQ(contents(first), before);
  ASSERT_TRUE(backup_store(first, folder_.file("copy.db")));
  path_ = folder_.file("copy.db");
  EXPECT_EQ(recovered(*open())->order.size(), 7u);
}

TEST_F(StoreTools, RefuseAStoreThatABrokerHoldsAndOneThatIsNotThere) {
  const std::string missing = folder_.file("missing.db");
  EXPECT_EQ(check_store(missing).error().code, Errc::not_found);
  EXPECT_EQ(backup_store(missing, folder_.file("b")).error().code, Errc::not_found);
  EXPECT_EQ(restore_store(missing, path_).error().code, Errc::not_found);
  EXPECT_FALSE(std::filesystem::exists(missing + ".lock"));
  EXPECT_EQ(check_store("memory").error().code, Errc::unsupported);
  EXPECT_EQ(check_store("postgresql://host/db").error().code, Errc::unsupported);
  EXPECT_EQ(restore_store(path_, path_).error().code, Errc::usage);
  const auto store = open();
  for (const Error& error :
       {check_store(path_).error(), backup_store(path_, folder_.file("b")).error(),
        restore_store(path_, folder_.file("b")).error(), restore_store(killed_, path_).error()}) {
    EXPECT_EQ(error.code, Errc::cannot_create);
    EXPECT_THAT(error.message, HasSubstr("is held by another broker (pid "));
  }
}

TEST_F(StoreTools, NameEachDamage) {
  damage(path_, "done 20");
  damage(path_, "{\"n\":35}");
  execute(path_,
          "DELETE FROM payload WHERE key = 80; INSERT INTO log(n, data) VALUES(10000, 'x');"
          "INSERT INTO payload VALUES(4, 'x'); UPDATE drain SET data = 'y';"
          "UPDATE purged SET data = 'z'");
  const auto report = check_store(path_);
  ASSERT_TRUE(report) << report.error().message;
  const auto job = [](uint64_t seq) { return HasSubstr("job " + job_id(seq).str()); };
  using testing::AllOf;
  EXPECT_THAT(report->damages,
              testing::UnorderedElementsAre(
                  AllOf(job(20), HasSubstr("checksum")), AllOf(job(35), HasSubstr("checksum")),
                  AllOf(job(40), HasSubstr("payload is missing")),
                  HasSubstr("table log: row 10000 of the log fails its checksum"),
                  HasSubstr("table log: the log has 66 rows instead of 65"),
                  HasSubstr("table payload: 1 payloads belong to no job"),
                  HasSubstr("table drain: "), HasSubstr("purge 1: ")));
}

TEST_F(StoreTools, NameDamageToPagesAndLogs) {
  std::string bytes = contents(path_);
  bytes[8192 + 3] = '\x7f';  // how many cells the page says it has
  write(path_, bytes);
  auto report = check_store(path_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->damages, Not(IsEmpty()));
  bytes = contents(killed_ + "-wal");
  bytes[32 + 4120 * 5 + 1000] ^= 1;
  write(killed_ + "-wal", bytes);
  report = check_store(killed_);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_THAT(report->damages, Not(IsEmpty()));
  EXPECT_THAT(report->damages[0], HasSubstr("frame 6"));
  write(path_, "no store at all");
  report = check_store(path_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->damages, Not(IsEmpty()));
}

TEST_F(StoreTools, CopyAStoreWithItsLogIntoOneFile) {
  const std::string copy = folder_.file("copy.db");
  const auto before = files(killed_);
  const auto report = backup_store(killed_, copy);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->unfinished, 10u);
  auto after = files(killed_);
  ASSERT_EQ(after.erase(copy), 1u);
  EXPECT_TRUE(after == before);
  struct stat info {};
  ASSERT_EQ(stat(copy.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto checked = check_store(copy);
  ASSERT_TRUE(checked) << checked.error().message;
  EXPECT_THAT(checked->damages, IsEmpty());
  EXPECT_TRUE(checked->clean);
  EXPECT_EQ(checked->id, id_);
  EXPECT_EQ(checked->unfinished + checked->ended, 37u);
  EXPECT_EQ(backup_store(killed_, copy).error().code, Errc::cannot_create);
}

TEST_F(StoreTools, DoNotCopyADamagedStore) {
  damage(path_, "done 20");
  const auto report = backup_store(path_, folder_.file("copy.db"));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, Errc::corrupt);
  EXPECT_FALSE(std::filesystem::exists(folder_.file("copy.db")));
}

TEST_F(StoreTools, PutABackupInThePlaceOfAStore) {
  const std::string backup = folder_.file("backup.db");
  ASSERT_TRUE(backup_store(killed_, backup));
  // The store goes on and is killed, so that it has a log.
  { expect_durable(*open(), batch(put_job(100))); }
  {
    const auto store = open();
    expect_durable(*store, batch(put_job(101)));
    std::filesystem::rename(snapshot("later.db"), folder_.file("moved"));
    std::filesystem::rename(folder_.file("later.db-wal"), folder_.file("moved-wal"));
  }
  std::filesystem::rename(folder_.file("moved"), path_);
  std::filesystem::rename(folder_.file("moved-wal"), path_ + "-wal");

  const auto restored = restore_store(backup, path_);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_NE(restored->report.id, id_);
  EXPECT_EQ(restored->moved_to, path_ + ".before-restore-1");
  {
    const auto store = open();
    EXPECT_EQ(store->info().id, restored->report.id);
    const auto all = recovered(*store);
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->order.size(), 37u);
    EXPECT_EQ(all->purges.size(), 1u);
  }
  const auto again = restore_store(backup, path_);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->moved_to, path_ + ".before-restore-2");
  EXPECT_NE(again->report.id, restored->report.id);

  path_ = restored->moved_to;
  const auto old = open();
  EXPECT_EQ(old->info().id, id_);
  EXPECT_EQ(recovered(*old)->order.back(), 101u) << "what was there is there, with its log";
}

TEST_F(StoreTools, PutABackupWhereNothingWas) {
  const std::string backup = folder_.file("backup.db");
  ASSERT_TRUE(backup_store(path_, backup));
  const auto restored = restore_store(backup, folder_.file("new/folder/broker.db"));
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->moved_to, "");
  path_ = folder_.file("new/folder/broker.db");
  EXPECT_EQ(recovered(*open())->order.size(), 37u);
}

TEST_F(StoreTools, LeaveAStoreAloneIfItsBackupIsDamaged) {
  damage(killed_ + "-wal", "done 20");
  const auto before = files(path_);
  const auto restored = restore_store(killed_, path_);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, Errc::corrupt);
  EXPECT_TRUE(files(path_) == before);
}

TEST_F(StoreTools, KeepBrokersFromStartingInTheMiddleOfARestore) {
  std::filesystem::copy_file(path_, path_ + ".restoring");
  EXPECT_THAT(refused().message, HasSubstr("interrupted"));
  const std::string backup = folder_.file("backup.db");
  ASSERT_TRUE(backup_store(killed_, backup));
  ASSERT_TRUE(restore_store(backup, path_));
  EXPECT_EQ(recovered(*open())->order.size(), 37u);
}

}  // namespace
}  // namespace zgrid::broker
