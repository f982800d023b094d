// Waiting on a condition variable for as long as a caller asks, also for ever.
// Threads: as std::condition_variable.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "protocol/base/time.h"

namespace zgrid {

// The longest wait: a clock's sum with more overflows, and then nobody would wait at all.
inline constexpr Millis kWaitMax = std::chrono::hours(24 * 365 * 10);

// Whether `done` holds; false once it has not held for `timeout`. Millis::max() is for ever, what
// is negative not at all.
template <class Done>
bool wait_at_most(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                  Millis timeout, Done done) {
  return changed.wait_for(lock, std::clamp(timeout, Millis{0}, kWaitMax), std::move(done));
}

}  // namespace zgrid
