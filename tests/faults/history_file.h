// The history file of a fault test, as a client writes it; load.cpp lists the lines.
// Threads: one.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace zgrid::faults {

[[noreturn]] inline void die(const std::string& message, int code) {
  std::fprintf(stderr, "fault_load: %s\n", message.c_str());
  std::_Exit(code);
}

inline int64_t micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Lines of one turn leave in one write, so that a killed load leaves whole lines.
class History {
 public:
  explicit History(const std::string& path)
      : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    if (fd_ < 0) die("cannot open " + path, 73);
  }
  ~History() {
    flush();
    ::close(fd_);
  }
  History(const History&) = delete;
  History& operator=(const History&) = delete;

  void line(const char* word, const std::string& rest) {
    lines_ += std::to_string(micros());
    lines_ += ' ';
    lines_ += word;
    if (!rest.empty()) (lines_ += ' ') += rest;
    lines_ += '\n';
  }
  void flush() {
    if (lines_.empty()) return;
    const auto size = static_cast<ssize_t>(lines_.size());
    if (::write(fd_, lines_.data(), lines_.size()) != size) die("cannot write the history", 74);
    lines_.clear();
  }

 private:
  int fd_;
  std::string lines_;
};

}  // namespace zgrid::faults
