// What --out leaves in its folder.
#include "client/cli/output_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;

class OutputFolderTest : public ::testing::Test {
 protected:
  OutputFolderTest() {
    std::string path = ::testing::TempDir() + "out-XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  ~OutputFolderTest() override { fs::remove_all(root_); }
  static JobResult ended(JobStatus status, const std::string& data, const char* run = "r") {
    JobResult result;
    result.head.run = run;
    result.entry.index = 7;
    result.entry.outcome.status = status;
    result.entry.output = {PayloadTag::json, Bytes::copy_of(data)};
    return result;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream file(root_ / "d" / name, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  [[nodiscard]] std::set<std::string> names() const {
    std::set<std::string> all;
    for (const auto& entry : fs::directory_iterator(root_ / "d"))
      all.insert(entry.path().filename());
    return all;
  }
  fs::path root_;
};

TEST_F(OutputFolderTest, AnOutputAndADocumentForEachIndexAndNothingElse) {
  auto folder = OutputFolder::open(root_ / "d", "r", "see elsewhere");
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->write(7, ended(JobStatus::succeeded, R"({"text":"a\u0000b"})")));
  ASSERT_TRUE(folder->write(12, ended(JobStatus::succeeded, R"({"n":1})")));
  EXPECT_EQ(names(), (std::set<std::string>{"7.out", "7.json", "12.out", "12.json"}));
  EXPECT_EQ(read("7.out"), std::string("a\0b", 3));
  EXPECT_EQ(read("12.out"), R"({"n":1})");
  const auto document = Json::parse(read("7.json"));
  ASSERT_TRUE(document);
  EXPECT_EQ(*document->find("index")->as_int(), 7);
}

TEST_F(OutputFolderTest, AFailureHasADocumentAndLeavesNoOutputOfAnEarlierRun) {
  auto folder = OutputFolder::open(root_ / "d", "r", "see elsewhere");
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->write(7, ended(JobStatus::succeeded, R"({"text":"old"})")));
  ASSERT_TRUE(folder->write(7, ended(JobStatus::failed, "")));
  EXPECT_EQ(names(), (std::set<std::string>{"7.json"}));
  EXPECT_NE(read("7.json").find("\"failed\""), std::string::npos);
}

TEST_F(OutputFolderTest, AFolderHoldsTheResultsOfOneRun) {
  const auto done = ended(JobStatus::succeeded, R"({"text":"a"})");
  for (const uint64_t index : {1u, 2u, 10u}) {
    auto folder = OutputFolder::open(root_ / "d", "r", "");
    ASSERT_TRUE(folder) << folder.error().message;
    ASSERT_TRUE(folder->write(index, done));
  }
  const auto before = names();
  const auto other = OutputFolder::open(root_ / "d", "s", "");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::cannot_create);
  EXPECT_NE(other.error().message.find("run r,"), std::string::npos) << other.error().message;
  EXPECT_EQ(names(), before);
}

TEST_F(OutputFolderTest, WhatWasThereAndIsNotWrittenAgainCanBeTold) {
  const auto done = ended(JobStatus::succeeded, R"({"text":"a"})");
  {
    auto folder = OutputFolder::open(root_ / "d", "r", "");
    ASSERT_TRUE(folder);
    for (const uint64_t index : {1u, 2u, 10u, 11u}) ASSERT_TRUE(folder->write(index, done));
    EXPECT_TRUE(folder->untouched().empty());
  }
  auto folder = OutputFolder::open(root_ / "d", "r", "");
  ASSERT_TRUE(folder);
  for (const uint64_t index : {2u, 3u, 10u}) ASSERT_TRUE(folder->write(index, done));
  EXPECT_EQ(folder->untouched(), (std::vector<uint64_t>{1, 11}));
}

TEST_F(OutputFolderTest, DocumentsOfOthersAreLeftAloneAndHalfOnesOfOursAreNoObstacle) {
  fs::create_directory(root_ / "d");
  std::ofstream(root_ / "d" / "9.json") << "";  // as a power cut leaves it
  for (const char* name : {"x.json", "07.json", "7.json.old", "7.txt"}) {
    std::ofstream(root_ / "d" / name) << R"({"mine": true})";
  }
  EXPECT_TRUE(OutputFolder::open(root_ / "d", "r", ""));
  std::ofstream(root_ / "d" / "8.json") << R"({"mine": true})";
  const auto folder = OutputFolder::open(root_ / "d", "r", "");
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message.find("8.json"), std::string::npos);
  EXPECT_EQ(read("8.json"), R"({"mine": true})");
}

TEST_F(OutputFolderTest, FoldersAboveItAreMadeAndWhatIsNoFolderIsRefused) {
  EXPECT_TRUE(OutputFolder::open(root_ / "a" / "b" / "c", "r", ""));
  EXPECT_TRUE(fs::is_directory(root_ / "a" / "b" / "c"));
  std::ofstream(root_ / "file") << "x";
  for (const fs::path& path : {root_ / "file", root_ / "file" / "d"}) {
    const auto folder = OutputFolder::open(path, "r", "");
    ASSERT_FALSE(folder);
    EXPECT_EQ(folder.error().code, Errc::cannot_create);
  }
}

TEST_F(OutputFolderTest, AFileThatCannotBeWrittenIsAnErrorThatNamesIt) {
  auto folder = OutputFolder::open(root_ / "d", "r", "see elsewhere");
  ASSERT_TRUE(folder);
  fs::create_directory(root_ / "d" / "7.out");
  std::ofstream(root_ / "d" / "7.out" / "x") << "x";
  const auto written = folder->write(7, ended(JobStatus::succeeded, R"({"text":"a"})"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::io);
  EXPECT_EQ(written.error().hint, "see elsewhere");
  EXPECT_NE(written.error().message.find("7.out"), std::string::npos);
  EXPECT_EQ(names(), std::set<std::string>{"7.out"});
}

}  // namespace
}  // namespace zgrid::cli
