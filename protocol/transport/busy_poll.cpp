#include "protocol/transport/busy_poll.h"

#include <sched.h>

#include <algorithm>
#include <chrono>

namespace zgrid::protocol::transport {
namespace {

// Offering the core to nobody and asking once takes about one.
constexpr Micros kOthersRan{60};

using Clock = std::chrono::steady_clock;

Micros since(Clock::time_point start) { return std::chrono::floor<Micros>(Clock::now() - start); }

// Whether something came, or a signal, which ends a wait as well.
bool came(std::span<pollfd> polled, Micros within) {
  const auto seconds = std::chrono::floor<Seconds>(within);
  const timespec left{seconds.count(), std::chrono::nanoseconds(within - seconds).count()};
  return ::ppoll(polled.data(), polled.size(), &left, nullptr) != 0;
}

bool has_several_cores() {
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 1;
}

}  // namespace

void poll_for(std::span<pollfd> polled, Micros timeout) {
  static_cast<void>(came(polled, std::max(Micros{0}, timeout)));
}

bool AwakeRule::stays_awake() const { return ceded_ == 0 && trust_[last_two_] >= kTrusted; }

void AwakeRule::waited(Micros time) {
  const bool is_short = time <= kShort;
  uint8_t& trust = trust_[last_two_];
  if (is_short && trust < kTrustMax) ++trust;
  if (!is_short && trust > 0) --trust;
  last_two_ = (last_two_ << 1 | (is_short ? 1U : 0U)) & 3U;
  if (ceded_ > 0) --ceded_;
}

void AwakeRule::ceded() {
  ceded_ = cede_next_;
  cede_next_ = std::min(2 * cede_next_, kCededMax);
}

BusyPoll::BusyPoll() : has_other_cores_(has_several_cores()) {}

void BusyPoll::wait(std::span<pollfd> polled, Micros timeout) {
  if (timeout <= Micros{0} || !has_other_cores_) return poll_for(polled, timeout);
  const auto start = Clock::now();
  if (!rule_.stays_awake() || !wait_awake(polled, std::min(timeout, AwakeRule::kAwake))) {
    poll_for(polled, timeout - since(start));
  }
  rule_.waited(since(start));
}

bool BusyPoll::wait_awake(std::span<pollfd> polled, Micros longest) {
  const auto start = Clock::now();
  auto offered = start;
  do {
    if (came(polled, Micros{0})) {
      rule_.kept();
      return true;
    }
    ::sched_yield();
    const Micros gone = since(offered);
    if (gone > kOthersRan) {
      // It was they, perhaps, who made what we wait for.
      const bool has_come = came(polled, Micros{0});
      if (!has_come || gone > AwakeRule::kShort) rule_.ceded();
      return has_come;
    }
    offered = Clock::now();
  } while (offered - start < longest);
  return false;
}

}  // namespace zgrid::protocol::transport
