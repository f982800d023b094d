// How far a bulk is: a bar with rate and time to go on a terminal, a line every few seconds in a
// pipe.
// Threads: one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "protocol/base/time.h"

namespace zgrid::cli {

struct Counts {
  uint64_t succeeded = 0, failed = 0;  // failed: ended in any other way
  std::optional<uint64_t> total;       // not known for a pipe
  [[nodiscard]] uint64_t done() const { return succeeded + failed; }
};

// How many a second, over the last few seconds.
class RateMeter {
 public:
  static constexpr Seconds kWindow{10};
  void add(MonoTime now, uint64_t done);
  [[nodiscard]] double per_second() const;

 private:
  struct Sample {
    MonoTime at;
    uint64_t done = 0;
  };
  std::deque<Sample> samples_;  // the first is at least a window old, or the beginning
};

// 0.31, 8.5, 813: for people.
std::string format_rate(double per_second);
// 5s, 2m10s, 3h05m, 2d04h.
std::string format_rough(Micros duration);
// 0.3s, 59.9s, and then as roughly.
std::string format_passed(Micros duration);
// The same, and less than a second in milliseconds: "250ms", "7.4s", "2m05s".
std::string format_span(Micros duration);
// Without a newline, and never wider than `columns`.
std::string progress_bar(const Counts& counts, double per_second, size_t columns);
std::string progress_line(const Counts& counts, double per_second);

class Progress {
 public:
  enum class Form : uint8_t { none, bar, lines };
  // Ten bars a second look smooth and cost nothing; a log wants fewer lines.
  static constexpr Millis kBarEvery{100};
  static constexpr Millis kLineEvery{5000};

  // `fd`: where it is drawn, stderr but for tests.
  Progress(Form form, int fd, MonoTime now) : form_(form), fd_(fd), next_(now + first_wait(form)) {
    rate_.add(now, 0);
  }
  ~Progress() { hide(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Draws it if it is time.
  void draw(const Counts& counts, MonoTime now);
  // Before anything else is written to the terminal.
  void hide();
  // When draw() has something to do again.
  [[nodiscard]] MonoTime next() const { return form_ == Form::none ? MonoTime::never() : next_; }

 private:
  static Millis first_wait(Form form) { return form == Form::bar ? kBarEvery : kLineEvery; }

  Form form_;
  int fd_;
  MonoTime next_;
  RateMeter rate_;
  bool is_shown_ = false;
};

}  // namespace zgrid::cli
