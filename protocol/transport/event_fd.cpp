#include "protocol/transport/event_fd.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace zgrid::protocol {

EventFd::EventFd() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

EventFd::~EventFd() {
  if (fd_ >= 0) close(fd_);
}

void EventFd::signal() const {
  const uint64_t one = 1;
  // It can only fail when the counter is full, and then it is readable as wanted.
  [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof one);
}

void EventFd::drain() const {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = read(fd_, &count, sizeof count);
}

}  // namespace zgrid::protocol
