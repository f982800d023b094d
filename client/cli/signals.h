// Signals as something to poll. Made before the first thread, so that every thread inherits the
// mask and only this sees them.
// Threads: one thread.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <optional>

namespace zgrid::cli {

class Signals {
 public:
  // Blocks these and queues them for next().
  explicit Signals(std::initializer_list<int> signals);
  ~Signals();  // handles them as before again
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // Readable when one waits.
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::optional<int> next();
  // Ends the process by that signal, as if it had never been handled.
  [[noreturn]] static void die_by(int signal);

 private:
  sigset_t before_;
  int fd_ = -1;
};

}  // namespace zgrid::cli
