// A disk without room: a small file system of its own for each test.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/store/committer.h"
#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"
#include "broker/store/store_tools.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT

constexpr int kSkipped = 77;

// Runs in a process of its own that may do to itself what it likes; its exit status is the verdict.
int in_child(const std::function<int()>& body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// What a broker does that is killed then; the number is its verdict.
int killed_after(const std::string& path, const std::function<int(JobStore&)>& body) {
  return in_child([&] {
    const auto store = open_store(path);
    _exit(store ? body(**store) : 1);
    return 1;
  });
}

bool mount_small_disk(const std::string& mount_point, const char* size) {
  const bool separate = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return separate && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", mount_point.c_str(), "tmpfs", 0, size) == 0;
}

// Takes all that is left of the disk, to the last page.
class Ballast {
 public:
  explicit Ballast(const std::string& mount_point) : path_(mount_point + "/ballast") {}
  void fill() const {
    const int fd = ::open(path_.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    const std::string zeros(1u << 16, '\0');
    for (size_t size = zeros.size(); size > 0;) {
      if (::write(fd, zeros.data(), size) <= 0) size /= 2;
    }
    ::close(fd);
  }
  [[nodiscard]] bool leave(uint64_t bytes) const {
    fill();
    const uint64_t size = std::filesystem::file_size(path_);
    return size >= bytes && truncate(path_.c_str(), static_cast<off_t>(size - bytes)) == 0;
  }
  [[nodiscard]] bool free() const { return unlink(path_.c_str()) == 0; }

 private:
  std::string path_;
};

PutJob large_job(uint64_t seq) {
  PutJob job = put_job(seq);
  job.input.data = Bytes::own(std::string(1u << 20, 'x'));
  return job;
}

class FullDisk : public testing::Test {
 protected:
  // `scene` gets a disk of its own; the number that it returns names the step that went wrong.
  void expect_good(const std::function<int(const std::string& mount_point)>& scene,
                   const char* size = "size=60m") {
    const std::string mount_point = folder_.file("disk");
    std::filesystem::create_directory(mount_point);
    const int verdict = in_child(
        [&] { return mount_small_disk(mount_point, size) ? scene(mount_point) : kSkipped; });
    if (verdict == kSkipped) GTEST_SKIP() << "may not mount a small file system here";
    EXPECT_EQ(verdict, 0);
  }
  TempFolder folder_;
};

int fill_the_disk_and_free_it(const std::string& mount_point) {
  auto opened = open_store(mount_point + "/broker.db");
  if (!opened) return 1;
  JobStore& store = **opened;
  if (store.tend().low_space) return 2;
  const Ballast ballast(mount_point);
  ballast.fill();

  // First the reserve is used up, and said to be; then nothing is written at all.
  uint64_t seq = 0;
  CommitResult result;
  bool warned = false;
  while (result.outcome == Commit::durable && seq < 200) {
    const PutJob job = large_job(++seq);
    warned = warned || result.low_space;
    result = store.commit(batch(job));
    if (result.outcome == Commit::durable && store.tend().outcome == Commit::fatal) return 3;
  }
  if (result.outcome != Commit::not_written) return 4;
  if (!warned || result.reason.find("full") == std::string::npos) return 5;
  if (store.commit(batch(put_end(1))).outcome == Commit::fatal) return 6;
  const auto kept = store.read(job_id(seq - 1), seq - 1);
  const auto lost = store.read(job_id(seq), seq);
  if (!kept || !*kept || !lost || *lost) return 7;

  if (!ballast.free()) return 8;
  if (store.tend().low_space) return 9;
  result = store.commit(batch(put_job(seq), put_end(1)));
  if (result.outcome != Commit::durable || result.low_space) return 10;
  opened->reset();
  auto again = open_store(mount_point + "/broker.db");
  if (!again) return 11;
  const auto all = recovered(**again);
  return all && all->order.size() == seq ? 0 : 12;
}

TEST_F(FullDisk, LosesNothingAndResumesWhenThereIsRoom) { expect_good(fill_the_disk_and_free_it); }

// What must be true of a store that was started on a full disk with two unfinished jobs.
int works_on(const std::string& path, uint64_t epoch, const Ballast& ballast) {
  auto opened = open_store(path);
  if (!opened) return 20;
  if ((*opened)->info().epoch != epoch) return 21;
  const auto all = recovered(**opened);
  if (!all || all->unfinished.size() != 2) return 22;
  // A committer knows of it before anything was committed.
  Committer::Options options;
  options.tend_every = Millis{1};
  Committer committer(
      std::move(*opened), [] {}, options);
  Committer::Done done = committer.poll();
  if (!done.refusing || done.reason.find("full") == std::string::npos) return 23;
  // Running jobs end all the same.
  committer.commit(1, batch(put_end(1)));
  const auto until = [&](const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < end) done = committer.poll();
    return condition();
  };
  if (!until([&] { return done.durable_up_to == 1; }) || !done.refusing) return 24;
  if (!ballast.free()) return 25;
  return until([&] { return !done.refusing; }) ? 0 : 26;
}

TEST_F(FullDisk, DoesNotKeepAStoreFromOpeningAgain) {
  expect_good([](const std::string& mount_point) {
    const std::string path = mount_point + "/broker.db";
    {
      auto store = open_store(path);
      if (!store) return 1;
      if ((*store)->commit(batch(put_job(1), put_job(2))).outcome != Commit::durable) return 2;
    }
    // The log went with the orderly stop, and somebody else took its space.
    const Ballast ballast(mount_point);
    ballast.fill();
    return works_on(path, 2, ballast);
  });
}

TEST_F(FullDisk, DoesNotKeepAStoreFromOpeningAfterAKillWithAFullLog) {
  expect_good([](const std::string& mount_point) {
    const std::string path = mount_point + "/broker.db";
    const Ballast ballast(mount_point);
    const int killed = killed_after(path, [&](JobStore& store) {
      std::vector<Record> records = batch(put_job(1), put_job(2));
      for (uint64_t seq = 3; seq < 20; ++seq) {
        records.emplace_back(large_job(seq));
        records.emplace_back(put_end(seq));
      }
      // In one commit, so that the log grows beyond what it was grown to.
      return store.commit(records).outcome == Commit::durable ? 0 : 2;
    });
    if (killed != 0) return killed;
    if (std::filesystem::file_size(path + "-wal") <= SqliteStore::kWalBytes) return 3;
    ballast.fill();
    return works_on(path, 2, ballast);
  });
}

TEST_F(FullDisk, KeepsAStoreClosedOnlyAsLongAsItsReserveIsUsedUp) {
  const auto scene = [](const std::string& mount_point) {
    const std::string path = mount_point + "/broker.db";
    const Ballast ballast(mount_point);
    uint64_t seq = 0;
    const int killed = killed_after(path, [&](JobStore& store) {
      ballast.fill();
      CommitResult result;
      while (result.outcome == Commit::durable) {
        const PutJob job = large_job(++seq);
        result = store.commit(batch(job));
      }
      ballast.fill();
      return result.outcome == Commit::not_written ? static_cast<int>(seq) : 2;
    });
    if (killed < 10) return 1;
    seq = static_cast<uint64_t>(killed);
    for (uint64_t start = 2; start < 12; ++start) {
      // There may be room at the end of the log.
      const auto full = open_store(path);
      if (full) continue;
      if (full.error().code != Errc::store_unavailable) return 2;
      if (full.error().message.find(path) == std::string::npos) return 3;
      if (full.error().hint != "make room on the disk") return 4;
    }
    if (!ballast.free()) return 5;
    const auto store = open_store(path);
    if (!store || (*store)->tend().low_space) return 6;
    const auto all = recovered(**store);
    return all && all->unfinished.size() == seq - 1 ? 0 : 7;
  };
  expect_good(scene, "size=100m");  // with room for what the log is to leave in the database
}

TEST_F(FullDisk, NeverLeavesANewStoreThatIsNotWhole) {
  const auto scene = [](const std::string& mount_point) {
    const std::string path = mount_point + "/broker.db";
    const Ballast ballast(mount_point);
    int made = 0, refused = 0;
    for (uint64_t pages = 0; pages < 80; ++pages) {
      if (!ballast.leave(pages * 4096)) return 1;
      if (const auto created = create_database(path); !created) {
        ++refused;
        if (created.error().code != Errc::store_unavailable) return 2;
        for (const char* suffix : {"", ".new", ".new-wal"}) {
          if (file_size(path + suffix)) return 3;
        }
        continue;
      }
      ++made;
      if (file_size(path + "-wal") || file_size(path + ".new") || file_size(path + ".new-wal")) {
        return 4;
      }
      const auto report = check_store(path);
      if (!report || !report->damages.empty()) return 5;
      for (const char* suffix : {"", "-wal", ".lock"}) std::remove((path + suffix).c_str());
    }
    return made > 0 && refused > 0 ? 0 : 6;
  };
  expect_good(scene, "size=4m");
}

}  // namespace
}  // namespace zgrid::broker
