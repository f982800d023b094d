#include "worker/executors/scratch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <vector>

#include "temp_folder.h"

namespace zgrid::worker {
namespace {

namespace fs = std::filesystem;

TEST(Scratch, removes_a_tree_without_following_links) {
  TempFolder folder;
  fs::create_directories(folder.file("s/a/b"));
  fs::create_directory(folder.file("keep"));
  folder.write("keep/file", "stays");
  folder.write("s/a/b/file", "goes");
  fs::create_symlink(folder.file("keep"), folder.file("s/a/link"));
  fs::create_symlink("/nowhere", folder.file("s/dangling"));
  ::mkfifo(folder.file("s/fifo").c_str(), 0600);
  fs::permissions(folder.file("s/a"), fs::perms::none);
  ASSERT_TRUE(remove_tree(folder.file("s")).has_value());
  EXPECT_FALSE(folder.has("s"));
  EXPECT_EQ(folder.read("keep/file"), "stays");
}

TEST(Scratch, removes_what_is_deeper_than_a_path_can_name) {
  TempFolder folder;
  const fs::path home = fs::current_path();
  fs::create_directory(folder.file("s"));
  fs::current_path(folder.file("s"));
  const std::string name(200, 'd');
  for (int i = 0; i < 300; ++i) {  // 60 kB of path
    ASSERT_EQ(::mkdir(name.c_str(), 0700), 0);
    ASSERT_EQ(::chdir(name.c_str()), 0);
  }
  fs::current_path(home);
  const auto removed = remove_tree(folder.file("s"));
  EXPECT_TRUE(removed.has_value()) << removed.error().message;
  EXPECT_FALSE(folder.has("s"));
}

TEST(Scratch, removing_what_is_not_there_is_fine) {
  TempFolder folder;
  EXPECT_TRUE(remove_tree(folder.file("none")).has_value());
}

TEST(ScratchPool, folders_are_for_their_owner_only_and_each_is_another) {
  TempFolder folder;
  ScratchPool pool(folder.path());
  ScratchPool other(folder.path());
  const std::vector<std::string> paths{*pool.take({}), *pool.take({}), *other.take({})};
  EXPECT_NE(paths[0], paths[1]);
  EXPECT_NE(paths[0], paths[2]);
  for (const std::string& path : paths) {
    EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
    EXPECT_EQ(fs::remove(path), true);
  }
  EXPECT_EQ(ScratchPool(folder.file("none")).take({}).error().code, Errc::io);
}

// Once at times at which a folder was just changed, once when that seems to be long ago.
class ScratchPoolReuse : public ::testing::TestWithParam<WallTime> {
 protected:
  // Taken for good: what follows has another time than what was before.
  static std::string take(ScratchPool& pool) {
    std::string path = *pool.take(GetParam());
    const TempFolder clock;
    std::ofstream(clock.file("first")) << "x";
    const auto begun = fs::last_write_time(clock.file("first"));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    do {
      std::ofstream(clock.file("next")) << "x";
    } while (fs::last_write_time(clock.file("next")) <= begun &&
             std::chrono::steady_clock::now() < end);
    return path;
  }
};

TEST_P(ScratchPoolReuse, only_an_untouched_folder_is_used_again) {
  TempFolder folder;
  {
    ScratchPool pool(folder.path());
    std::string path = take(pool);
    pool.give_back(path);
    EXPECT_EQ(take(pool), path);
    pool.give_back(path);
    EXPECT_EQ(take(pool), path);
    fs::permissions(path, fs::perms::all);
    pool.give_back(path);
    EXPECT_FALSE(fs::exists(path));
    pool.give_back(take(pool));
    path = take(pool);
    std::ofstream(path + "/file") << "x";
    pool.give_back(path);
    EXPECT_FALSE(fs::exists(path));
    pool.give_back(take(pool));
    path = take(pool);
    fs::remove(path);
    fs::create_symlink("/", path);
    pool.give_back(path);
    EXPECT_FALSE(fs::is_symlink(path));
    pool.give_back(take(pool));
    EXPECT_FALSE(fs::is_empty(folder.path()));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

INSTANTIATE_TEST_SUITE_P(JustChangedOrLongAgo, ScratchPoolReuse,
                         ::testing::Values(WallTime{0}, WallTime{INT64_MAX / 1000}));

TEST(ScratchPool, what_a_dead_process_left_is_removed) {
  TempFolder folder;
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  const std::string stale = folder.file("scratch-" + std::to_string(dead) + "-1");
  const std::string alive = folder.file("scratch-" + std::to_string(::getppid()) + "-1");
  fs::create_directories(stale + "/a");
  fs::create_directory(alive);
  fs::create_directory(folder.file("mine"));
  const ScratchPool pool(folder.path());
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(alive));
  EXPECT_TRUE(folder.has("mine"));
}

}  // namespace
}  // namespace zgrid::worker
