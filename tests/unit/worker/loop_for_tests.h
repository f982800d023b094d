// Drives what has fd(), deadline() and run() until a condition holds.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "protocol/base/time.h"

namespace zgrid::worker {

inline Now now_for_tests() {
  const auto mono = std::chrono::steady_clock::now().time_since_epoch();
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {{std::chrono::duration_cast<Micros>(mono)},
          {std::chrono::duration_cast<Micros>(wall).count()}};
}

inline constexpr Seconds kPatience{30};  // far more than anything here takes

// False if the condition did not hold in time.
template <class Loop>
bool run_until(Loop& loop, const std::function<bool()>& condition, Micros patience = kPatience) {
  const MonoTime give_up = now_for_tests().mono + patience;
  while (!condition()) {
    const MonoTime now = now_for_tests().mono;
    if (now >= give_up) return false;
    // At least ten looks a second at conditions that no descriptor announces.
    const Micros wait = std::min<Micros>({loop.deadline() - now, give_up - now, Millis{100}});
    pollfd item{loop.fd(), POLLIN, 0};
    ::poll(&item, 1, static_cast<int>(std::max<int64_t>(0, (wait.count() + 999) / 1000)));
    loop.run(now_for_tests());
  }
  return true;
}

}  // namespace zgrid::worker
