// Bars, lines, rates and times to go.
#include "client/cli/progress.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>

namespace zgrid::cli {
namespace {

Counts counts(uint64_t succeeded, uint64_t failed, std::optional<uint64_t> total) {
  return {succeeded, failed, total};
}

TEST(ProgressTest, TheBarShowsShareCountsRateAndTimeToGo) {
  EXPECT_EQ(progress_bar(counts(450, 50, 1000), 100, 70),
            "[#############--------------]  50%  500/1000  50 failed  100/s  eta 5s");
  EXPECT_EQ(progress_bar(counts(0, 0, 10), 0, 40), "[-------------------]   0%  0/10  0.00/s");
  EXPECT_EQ(progress_bar(counts(10, 0, 10), 2.5, 50),
            "[#####################] 100%  10/10  2.5/s  eta 0s");
}

TEST(ProgressTest, ItIsNeverWiderThanTheTerminal) {
  for (size_t columns = 0; columns < 200; ++columns) {
    for (const auto total : {std::optional<uint64_t>{10'000'000}, std::optional<uint64_t>{}}) {
      EXPECT_LE(progress_bar(counts(9'000'000, 999'999, total), 12345.6, columns).size(), columns);
    }
  }
}

TEST(ProgressTest, OneHundredPercentIsAllOfIt) {
  EXPECT_NE(progress_bar(counts(9'999'999, 0, 10'000'000), 1, 80).find(" 99%"), std::string::npos);
}

TEST(ProgressTest, WithoutATotalThereIsNoBarAndNoTimeToGo) {
  EXPECT_EQ(progress_bar(counts(1234, 0, {}), 300, 70), "1234  300/s");
  EXPECT_EQ(progress_line(counts(1234, 5, {}), 300), "1239 done, 5 failed, 300/s");
}

TEST(ProgressTest, ALineSaysTheSameInWords) {
  EXPECT_EQ(progress_line(counts(5148, 52, 10'000), 813),
            "5200 of 10000 done, 52 failed, 813/s, eta 6s");
  EXPECT_EQ(progress_line(counts(0, 0, 10), 0), "0 of 10 done, 0.00/s");
}

TEST(ProgressTest, RatesAndTimesAreRounded) {
  EXPECT_EQ(format_rate(0.314), "0.31");
  EXPECT_EQ(format_rate(8.52), "8.5");
  EXPECT_EQ(format_rate(813.4), "813");
  EXPECT_EQ(format_rough(Micros{0}), "0s");
  EXPECT_EQ(format_rough(Micros{1}), "1s");
  EXPECT_EQ(format_rough(Seconds{59}), "59s");
  EXPECT_EQ(format_passed(Millis{320}), "0.3s");
  EXPECT_EQ(format_passed(Seconds{130}), "2m10s");
  EXPECT_EQ(format_span(Micros{-1}), "0s");
  EXPECT_EQ(format_span(Millis{999}), "999ms");
  EXPECT_EQ(format_span(Millis{7396}), "7.4s");
  EXPECT_EQ(format_span(Seconds{125}), "2m05s");
  EXPECT_EQ(format_rough(Seconds{130}), "2m10s");
  EXPECT_EQ(format_rough(Seconds{3 * 3600 + 5 * 60}), "3h05m");
  EXPECT_EQ(format_rough(Seconds{52 * 3600}), "2d04h");
}

TEST(ProgressTest, TheRateIsThatOfTheLastSeconds) {
  RateMeter rate;
  MonoTime now{Micros{5'000'000}};
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(now, 0);
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(now, 100);
  EXPECT_EQ(rate.per_second(), 0);  // no time has passed
  for (int i = 1; i <= 100; ++i) rate.add(now + Seconds{i}, 100 + static_cast<uint64_t>(i) * 10);
  EXPECT_NEAR(rate.per_second(), 10, 1);
  for (int i = 1; i <= 20; ++i) rate.add(now + Seconds{100 + i}, 1100);
  EXPECT_EQ(rate.per_second(), 0);
}

class ProgressPipe : public ::testing::Test {
 protected:
  ProgressPipe() { EXPECT_EQ(::pipe2(ends_.data(), 0), 0); }
  ~ProgressPipe() override {
    ::close(ends_[0]);
    if (ends_[1] >= 0) ::close(ends_[1]);
  }
  std::string written() {
    ::close(ends_[1]);
    ends_[1] = -1;
    std::string text(4096, '\0');
    const ssize_t got = ::read(ends_[0], text.data(), text.size());
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return text;
  }
  std::array<int, 2> ends_{-1, -1};
  MonoTime now_{Micros{1'000'000}};
};

TEST_F(ProgressPipe, InAPipeThereIsALineEveryFewSeconds) {
  {
    Progress progress(Progress::Form::lines, ends_[1], now_);
    for (int i = 0; i < 120; ++i) {
      progress.draw(counts(static_cast<uint64_t>(i), 0, 1000), now_ + Millis{i * 100});
      progress.hide();
    }
    EXPECT_EQ(progress.next(), now_ + Seconds{15});
  }
  EXPECT_EQ(written(),
            "zgrid: 50 of 1000 done, 10/s, eta 1m35s\n"
            "zgrid: 100 of 1000 done, 10/s, eta 1m30s\n");
}

TEST_F(ProgressPipe, ABarIsTakenAwayBeforeAnythingElseIsWritten) {
  {
    Progress progress(Progress::Form::bar, ends_[1], now_);
    progress.hide();  // nothing is shown yet
    progress.draw(counts(1, 0, 4), now_ + Millis{100});
    progress.hide();
    progress.hide();
  }
  const std::string text = written();
  EXPECT_EQ(text.substr(0, 2), "\r[");
  EXPECT_EQ(text.substr(text.size() - 7), "\x1b[K\r\x1b[K");
}

TEST_F(ProgressPipe, WithoutProgressThereIsNothing) {
  {
    Progress progress(Progress::Form::none, ends_[1], now_);
    progress.draw(counts(1, 0, 4), now_ + Seconds{100});
    EXPECT_EQ(progress.next(), MonoTime::never());
  }
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace zgrid::cli
