#include "protocol/base/units.h"

#include <gtest/gtest.h>

namespace zgrid {
namespace {

TEST(Units, ReadsDurationsWithAUnit) {
  const std::pair<const char*, int64_t> rows[] = {{"0", 0},          {"0s", 0},
                                                  {"500ms", 500},    {"90s", 90'000},
                                                  {"1.5s", 1'500},   {"15m", 900'000},
                                                  {"2h", 7'200'000}, {"7d", 604'800'000},
                                                  {"0.5ms", 1},      {"3650d", 315'360'000'000}};
  for (const auto& [text, ms] : rows) {
    const Result<Millis> duration = parse_duration(text);
    ASSERT_TRUE(duration) << text;
    EXPECT_EQ(duration->count(), ms) << text;
  }
}

TEST(Units, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "5", "s", "-1s", "+1s", "1 s", "1S", "1e3s", ".5s", "5.s", "1.2.3s",
                           "3651d", "99999999999999999999d", "1s ", "1µs", "nan", "0x10s"}) {
    const Result<Millis> duration = parse_duration(text);
    ASSERT_FALSE(duration) << text;
    EXPECT_EQ(duration.error().code, Errc::usage);
    EXPECT_NE(duration.error().hint, "");
  }
}

TEST(Units, ReadsSizesInBothSystems) {
  const std::pair<const char*, uint64_t> rows[] = {
      {"0", 0},          {"512", 512},          {"512B", 512},
      {"64KiB", 65'536}, {"1.5MiB", 1'572'864}, {"1GiB", 1u << 30},
      {"2kB", 2'000},    {"3MB", 3'000'000},    {"1GB", 1'000'000'000}};
  for (const auto& [text, bytes] : rows) {
    const Result<uint64_t> size = parse_size(text);
    ASSERT_TRUE(size) << text;
    EXPECT_EQ(*size, bytes) << text;
  }
  for (const char* text : {"", "KiB", "-1", "1 KiB", "1kib", "1TiB2", "9999999999GiB", "1e3"}) {
    const Result<uint64_t> size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code, Errc::usage);
  }
}

TEST(Units, PrintsDurationsThatReadBack) {
  const std::pair<int64_t, const char*> rows[] = {{0, "0s"},          {1, "1ms"},
                                                  {500, "500ms"},     {1'000, "1s"},
                                                  {90'000, "90s"},    {60'000, "1m"},
                                                  {900'000, "15m"},   {7'200'000, "2h"},
                                                  {86'400'000, "1d"}, {86'401'000, "86401s"}};
  for (const auto& [ms, text] : rows) {
    EXPECT_EQ(format_duration(Millis{ms}), text);
    EXPECT_EQ(parse_duration(text)->count(), ms);
  }
}

TEST(Units, PrintsSizesWithOneDecimal) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1.0 KiB");
  EXPECT_EQ(format_size(1'572'864), "1.5 MiB");
  EXPECT_EQ(format_size(4ull << 30), "4.0 GiB");
}

TEST(Units, KnowsWhatANameIs) {
  for (const std::string& name : {std::string("a"), std::string("A.b_c-9"), std::string(63, 'x'),
                                  std::string("anyone"), std::string("ALL")}) {
    EXPECT_TRUE(is_name(name)) << name;
  }
  for (const std::string& name : {std::string(), std::string("any"), std::string("all"),
                                  std::string(64, 'x'), std::string("a b"), std::string("a/b"),
                                  std::string("ä"), std::string("a\0", 2), std::string("a:b")}) {
    EXPECT_FALSE(is_name(name)) << name;
  }
}

}  // namespace
}  // namespace zgrid
