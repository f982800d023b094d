#include "protocol/transport/busy_poll.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace zgrid::protocol::transport {
namespace {

// About 1 us passes if nobody wants the core; longer than this, and others ran.
constexpr Micros kOthersRan{60};

using Clock = std::chrono::steady_clock;

Micros since(Clock::time_point start) { return std::chrono::floor<Micros>(Clock::now() - start); }

// Whether something came, or a signal, which ends a wait as well.
bool came(std::span<pollfd> polled, Micros within) {
  const auto seconds = std::chrono::floor<Seconds>(within);
  const timespec left{seconds.count(), std::chrono::nanoseconds(within - seconds).count()};
  return ::ppoll(polled.data(), polled.size(), &left, nullptr) != 0;
}

// What a service manager or a container grants this process (cgroup v2): a process that spends it
// awake is stopped for the rest of the period.
bool has_quota_for_two() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::")) continue;
    std::ifstream file("/sys/fs/cgroup" + line.substr(3) + "/cpu.max");
    double quota = 0, period = 0;
    return !(file >> quota >> period) || quota >= 2 * period;  // no file or "max": no limit
  }
  return true;
}

bool has_several_cores() {
  cpu_set_t cores;
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 1 &&
         has_quota_for_two();
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
  ceded_ = cede_next_ + 1;  // the wait of which this is told ends yet
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
      if (offered != start) rule_.kept();
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
