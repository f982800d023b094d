#include "protocol/job.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/protocol/codec_samples.h"

namespace zgrid {
namespace {

TEST(Target, IsReadAndWrittenAlike) {
  for (const char* text :
       {"any", "all", "box", "box,gpu-1", "tag:gpu=yes", "tag:a=1,b=", "a.b_c"}) {
    const auto target = parse_target(text);
    ASSERT_TRUE(target) << text;
    EXPECT_EQ(format_target(*target), text);
  }
  EXPECT_EQ(parse_target("tag:b=2,a=1=x")->tags,
            (std::vector<std::pair<std::string, std::string>>{{"a", "1=x"}, {"b", "2"}}));
}

TEST(Target, IsNothingElse) {
  for (const char* text : {"", ",", "a,", ",a", "a,,b", "a b", "all,a", "any,a", "tag:", "tag:a",
                           "tag:=1", "tag:a=1,", "tag:a=1,b", "ü"}) {
    EXPECT_FALSE(parse_target(text)) << text;
  }
  EXPECT_FALSE(parse_target(std::string(64, 'a')));
}

TEST(JobStatus, HasANameForEachAndTheTerminalOnesAreLast) {
  for (size_t i = 0; i < kJobStatusCount; ++i) {
    const auto status = static_cast<JobStatus>(i);
    EXPECT_EQ(parse_status(status_name(status)), status);
    EXPECT_EQ(is_terminal(status), i >= 4);
  }
  EXPECT_FALSE(parse_status("unknown"));
  EXPECT_EQ(status_name(static_cast<JobStatus>(kJobStatusCount)), "unknown");
}

// What the codec lets in has a name.
TEST(Enumerators, ThatTravelHaveDifferentNames) {
  std::set<std::string_view> names;
  for (uint64_t i = 0; i <= protocol::enum_max(JobErrorKind{}); ++i) {
    EXPECT_TRUE(names.insert(job_error_name(static_cast<JobErrorKind>(i))).second) << i;
  }
  names.clear();
  for (uint64_t i = 0; i <= protocol::enum_max(JobKind{}); ++i) {
    EXPECT_TRUE(names.insert(kind_name(static_cast<JobKind>(i))).second) << i;
  }
  EXPECT_EQ(kind_name(static_cast<JobKind>(protocol::enum_max(JobKind{}) + 1)), "unknown");
  names.clear();
  for (uint64_t i = protocol::enum_min(Errc{}); i <= protocol::enum_max(Errc{}); ++i) {
    EXPECT_NE(errc_name(static_cast<Errc>(i)), "unknown") << i;
    EXPECT_TRUE(names.insert(errc_name(static_cast<Errc>(i))).second) << i;
  }
  EXPECT_EQ(errc_name(static_cast<Errc>(protocol::enum_max(Errc{}) + 1)), "unknown");
  EXPECT_EQ(protocol::enum_max(JobStatus{}), kJobStatusCount - 1);
}

}  // namespace
}  // namespace zgrid
