// An eventfd: one thread signals, another one sleeps on it in a poll.
// Threads: signal() from any, the rest from the thread that polls.
#pragma once

namespace zgrid::protocol {

class EventFd {
 public:
  EventFd();  // ok() is false if the process has no file descriptor left
  ~EventFd();
  EventFd(const EventFd&) = delete;
  EventFd& operator=(const EventFd&) = delete;

  [[nodiscard]] bool ok() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  void signal() const;
  // Makes it unreadable until the next signal.
  void drain() const;

 private:
  int fd_;
};

}  // namespace zgrid::protocol
