#include "client/cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "client/cli/terminal.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

constexpr size_t kBarMin = 10, kBarMax = 40;

std::string with_two_digits(int64_t value) {
  return (value < 10 ? "0" : "") + std::to_string(value);
}

std::optional<Micros> time_left(const Counts& counts, double per_second) {
  if (!counts.total || per_second <= 0 || counts.done() > *counts.total) return std::nullopt;
  const double seconds = static_cast<double>(*counts.total - counts.done()) / per_second;
  constexpr double kYear = 365.0 * 24 * 3600;
  return Micros{static_cast<int64_t>(std::min(seconds, kYear) * 1e6)};
}

// What cannot be written is not worth an error.
void write_to(int fd, const std::string& text) {
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
}

}  // namespace

void RateMeter::add(MonoTime now, uint64_t done) {
  samples_.push_back({now, done});
  while (samples_.size() > 2 && now - samples_[1].at >= Micros(kWindow)) samples_.pop_front();
}

double RateMeter::per_second() const {
  if (samples_.size() < 2) return 0;
  const Micros passed = samples_.back().at - samples_.front().at;
  if (passed <= Micros{0}) return 0;
  const auto done = static_cast<double>(samples_.back().done - samples_.front().done);
  return done * 1e6 / static_cast<double>(passed.count());
}

std::string format_rate(double per_second) {
  const int digits = per_second < 1 ? 2 : per_second < 10 ? 1 : 0;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, per_second);
  return text;
}

std::string format_rough(Micros duration) {
  const int64_t seconds = std::chrono::ceil<Seconds>(std::max(duration, Micros{0})).count();
  if (seconds < 60) return std::to_string(seconds) + "s";
  const int64_t minutes = seconds / 60;
  if (minutes < 60) return std::to_string(minutes) + "m" + with_two_digits(seconds % 60) + "s";
  const int64_t hours = minutes / 60;
  if (hours < 48) return std::to_string(hours) + "h" + with_two_digits(minutes % 60) + "m";
  return std::to_string(hours / 24) + "d" + with_two_digits(hours % 24) + "h";
}

std::string format_passed(Micros duration) {
  if (duration >= Seconds{60}) return format_rough(duration);
  char text[16];
  std::snprintf(text, sizeof text, "%.1fs", static_cast<double>(duration.count()) / 1e6);
  return text;
}

std::string format_span(Micros duration) {
  const auto ms = std::chrono::duration_cast<Millis>(std::max(duration, Micros{0}));
  return ms < Seconds{1} ? format_duration(ms) : format_passed(duration);
}

std::string progress_bar(const Counts& counts, double per_second, size_t columns) {
  std::string tail = std::to_string(counts.done());
  if (counts.total) tail += "/" + std::to_string(*counts.total);
  if (counts.failed > 0) tail += "  " + std::to_string(counts.failed) + " failed";
  tail += "  " + format_rate(per_second) + "/s";
  if (const auto left = time_left(counts, per_second)) tail += "  eta " + format_rough(*left);
  if (!counts.total) return tail.substr(0, columns);

  const double share =
      *counts.total == 0
          ? 1
          : std::min(1.0, static_cast<double>(counts.done()) / static_cast<double>(*counts.total));
  char percent[16];
  // Never 100% before it is all done.
  std::snprintf(percent, sizeof percent, "%3d%%  ", static_cast<int>(std::floor(share * 100)));
  tail = percent + tail;
  constexpr size_t kFrame = 3;  // [, ] and a blank
  if (tail.size() + kFrame + kBarMin > columns) return tail.substr(0, columns);
  const size_t width = std::min(columns - tail.size() - kFrame, kBarMax);
  const auto full = static_cast<size_t>(share * static_cast<double>(width));
  return "[" + std::string(full, '#') + std::string(width - full, '-') + "] " + tail;
}

std::string progress_line(const Counts& counts, double per_second) {
  std::string text = std::to_string(counts.done());
  if (counts.total) text += " of " + std::to_string(*counts.total);
  text += " done";
  if (counts.failed > 0) text += ", " + std::to_string(counts.failed) + " failed";
  text += ", " + format_rate(per_second) + "/s";
  if (const auto left = time_left(counts, per_second)) text += ", eta " + format_rough(*left);
  return text;
}

void Progress::draw(const Counts& counts, MonoTime now) {
  if (form_ == Form::none || now < next_) return;
  rate_.add(now, counts.done());
  if (form_ == Form::lines) {
    next_ = now + kLineEvery;
    return write_to(fd_, "zgrid: " + progress_line(counts, rate_.per_second()) + "\n");
  }
  next_ = now + kBarEvery;
  // The last column stays free: some terminals wrap when it is written.
  const size_t columns = columns_of(fd_);
  write_to(fd_, "\r" + progress_bar(counts, rate_.per_second(), columns - 1) + "\x1b[K");
  is_shown_ = true;
}

void Progress::hide() {
  if (!is_shown_) return;
  write_to(fd_, "\r\x1b[K");
  is_shown_ = false;
}

}  // namespace zgrid::cli
