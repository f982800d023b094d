// Options that go together, and the names of runs.
#include <gtest/gtest.h>

#include "client/cli/bulk.h"
#include "client/cli/bulk_run.h"
#include "client/cli/parse.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

using Arguments = std::vector<std::string>;

SubmitCommand submit_of(Arguments arguments) {
  arguments.insert(arguments.begin(), {"submit", "workflow", "w"});
  auto parsed = parse(std::move(arguments));
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    return {};
  }
  return std::get<SubmitCommand>(parsed->command);
}

TEST(BulkOptionsTest, TheyAreRead) {
  const SubmitCommand command = submit_of({"--each-line", "-", "--out", "d", "--max-fails", "0",
                                           "--progress", "--key", "k", "--rerun", "failed"});
  EXPECT_EQ(command.bulk.each_line, "-");
  EXPECT_EQ(command.bulk.out, "d");
  EXPECT_EQ(command.bulk.max_fails, 0u);
  EXPECT_TRUE(command.bulk.progress);
  EXPECT_TRUE(command.rerun_failed);
  EXPECT_TRUE(check_options(command));
  EXPECT_EQ(submit_of({"--each-json", "f"}).bulk.each_json, "f");
  EXPECT_EQ(submit_of({"--array", "1-100:2"}).bulk.array->step, 2u);
  EXPECT_FALSE(submit_of({}).bulk.is_wanted());
}

TEST(BulkOptionsTest, APromptTakesTextAndInput) {
  const auto parsed = parse({"submit", "prompt", "{{data.text}}", "--text", "x"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(std::get<SubmitCommand>(parsed->command).text, "x");
}

TEST(BulkOptionsTest, WhatCannotBeReadIsAUsageError) {
  const std::vector<Arguments> rows{
      {"--array", "9-1"},
      {"--array", "0-3"},
      {"--array", "1-2", "--each-line", "f"},
      {"--each-json", "g", "--each-line", "f"},
      {"--array", "1-2", "--each-json", "f"},
      {"--max-fails", "some"},
      {"--rerun", "all"},
  };
  for (Arguments row : rows) {
    row.insert(row.begin(), {"submit", "workflow", "w"});
    const auto parsed = parse(row);
    ASSERT_FALSE(parsed) << row.back();
    EXPECT_EQ(parsed.error().code, Errc::usage);
  }
}

TEST(BulkOptionsTest, WhatMakesNoSenseTogetherIsAUsageErrorWithAHint) {
  const std::vector<Arguments> rows{
      {"--rerun", "failed"},
      {"--rerun", "failed", "--each-line", "f"},
      {"--out", "d"},
      {"--max-fails", "1"},
      {"--array", "1-2", "--on", "all"},
      {"--array", "1-2", "--detach", "--out", "d"},
      {"--array", "1-2", "--detach", "--max-fails", "1"},
      {"--each-line", "-", "--text", "-"},
      {"--each-json", "-", "--input", "-"},
      {"--array", "1-2", "--key", std::string(250, 'k')},
  };
  for (const Arguments& row : rows) {
    const auto ok = check_options(submit_of(row));
    ASSERT_FALSE(ok) << row.back();
    EXPECT_EQ(ok.error().code, Errc::usage);
    EXPECT_FALSE(ok.error().message.empty());
  }
  EXPECT_TRUE(check_options(submit_of({"--key", "k", "--rerun", "failed"})));
  EXPECT_TRUE(check_options(submit_of({"--array", "1-2", "--detach"})));
  EXPECT_TRUE(check_options(submit_of({"--array", "1-2", "--text", "-"})));
}

TEST(RunNameTest, AGeneratedNameSaysWhenAndIsAName) {
  const std::string name = new_run_name(WallTime{1'769'847'300'000'000}, 0);
  EXPECT_EQ(name, "bulk-20260131-081500-2222");
  EXPECT_TRUE(is_name(name));
  EXPECT_NE(new_run_name(WallTime{1'769'847'300'000'000}, 1), name);
  EXPECT_TRUE(is_name(new_run_name(WallTime{0}, UINT32_MAX)));
}

TEST(RunNameTest, AKeyAlwaysHasTheSameRun) {
  EXPECT_EQ(run_name_of_key("photos"), "photos");
  const std::string odd = run_name_of_key("photos of 2026/01");
  EXPECT_TRUE(is_name(odd)) << odd;
  EXPECT_EQ(odd, run_name_of_key("photos of 2026/01"));
  EXPECT_NE(odd, run_name_of_key("photos of 2026/02"));
  EXPECT_TRUE(is_name(run_name_of_key("all")));
  EXPECT_TRUE(is_name(run_name_of_key(std::string(200, 'x'))));
}

TEST(ExitTallyTest, TheFirstOfFourOneThreeNoughtThatOccurs) {
  ExitTally tally;
  EXPECT_EQ(tally.exit(), 0);
  tally.add(JobStatus::succeeded);
  EXPECT_EQ(tally.exit(), 0);
  tally.add(JobStatus::cancelled);
  EXPECT_EQ(tally.exit(), 3);
  tally.add(JobStatus::timed_out);
  EXPECT_EQ(tally.exit(), 1);
  tally.add(JobStatus::dead_letter);
  EXPECT_EQ(tally.exit(), 4);
  tally.add(JobStatus::failed);
  EXPECT_EQ(tally.exit(), 4);
}

TEST(ExitTallyTest, OnlyFailuresThatOccurredAreNamed) {
  ExitTally tally;
  tally.add(JobStatus::succeeded);
  tally.add(JobStatus::cancelled);
  EXPECT_EQ(tally.failed_option(), "");
  tally.add(JobStatus::timed_out);
  tally.add(JobStatus::timed_out);
  EXPECT_EQ(tally.failed_option(), " --state timed_out");
  tally.add(JobStatus::failed);
  EXPECT_EQ(tally.failed_option(), " --state failed,timed_out");
}

}  // namespace
}  // namespace zgrid::cli
