#include "worker/executors/scratch.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "temp_folder.h"

namespace zgrid::worker {
namespace {

namespace fs = std::filesystem;

TEST(Scratch, is_for_its_owner_only) {
  TempFolder folder;
  ASSERT_TRUE(make_scratch(folder.file("s")).has_value());
  EXPECT_EQ(fs::status(folder.file("s")).permissions(), fs::perms::owner_all);
  EXPECT_TRUE(make_scratch(folder.file("s")).has_value());
  EXPECT_EQ(make_scratch(folder.file("none/s")).error().code, Errc::io);
}

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

}  // namespace
}  // namespace zgrid::worker
