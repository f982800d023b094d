#include "protocol/base/time.h"

#include <gtest/gtest.h>

namespace zgrid {
namespace {

TEST(Time, PrintsRfc3339WithMicroseconds) {
  EXPECT_EQ(format_rfc3339(WallTime{0}), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_rfc3339(WallTime{1'769'847'300'000'250}), "2026-01-31T08:15:00.000250Z");
  EXPECT_EQ(format_rfc3339(WallTime{951'782'400'000'000}), "2000-02-29T00:00:00.000000Z");
  EXPECT_EQ(format_rfc3339(WallTime{-1}), "1969-12-31T23:59:59.999999Z");
}

TEST(Time, AddsAndComparesBothClocks) {
  EXPECT_EQ(WallTime{5} + Micros{3}, WallTime{8});
  EXPECT_EQ(WallTime{5} - Micros{3}, WallTime{2});
  EXPECT_EQ(WallTime{5} - WallTime{3}, Micros{2});
  const MonoTime t{Micros{10}};
  EXPECT_EQ(t + Millis{1}, MonoTime{Micros{1010}});
  EXPECT_EQ(t - Micros{4}, MonoTime{Micros{6}});
  EXPECT_EQ(MonoTime{Micros{10}} - MonoTime{Micros{4}}, Micros{6});
  EXPECT_LT(t, MonoTime::never());
}

}  // namespace
}  // namespace zgrid
