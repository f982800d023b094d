// The real clocks, and ids made with them. Everything else in the client is told the time.
#pragma once

#include <array>
#include <functional>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"

namespace zgrid::client {

using Clock = std::function<Now()>;
// Monotonic and wall clock of this machine.
Now system_now();

// Fills with unpredictable bytes from the kernel.
void fill_random(void* into, size_t size);

// Makes UUIDv7 job ids. Reads randomness in blocks, so that a million ids cost few system calls.
// Threads: one thread.
class JobIds {
 public:
  JobId next(WallTime now);

 private:
  std::array<uint8_t, 4000> pool_{};
  size_t used_ = sizeof pool_;
};

}  // namespace zgrid::client
