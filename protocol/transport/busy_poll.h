// Waits that stay awake for a moment, where falling asleep would cost more than the wait.
//
// When one job at a time goes round, most of its way is the waking of idle cores: some 30 us each
// on a virtual machine. A loop whose next message comes 100 us later is better off asking again and
// again. So that this costs nothing where it gains nothing, AwakeRule looks at how earlier waits
// went: an idle loop sleeps, and so does one that offers its core and finds that others wanted it.
//
// Private to this folder. Threads: one at a time.
#pragma once

#include <poll.h>

#include <array>
#include <cstdint>
#include <span>

#include "protocol/base/time.h"

namespace zgrid::protocol::transport {

// Whether to stay awake in the next wait. Pure.
class AwakeRule {
 public:
  // At most so long. An answer that comes at once, from another process on this machine, is here by
  // then, even if every core on its way had to be woken.
  static constexpr Micros kAwake{200};
  // A wait that was slept through is longer by the waking of several cores, and counts as short
  // up to this.
  static constexpr Micros kShort{300};
  // So many waits are slept through once others wanted the core; twice as many each time that
  // happens again, up to the second.
  static constexpr uint32_t kCededMin = 4, kCededMax = 256;

  [[nodiscard]] bool stays_awake() const;
  // A wait ended after so long, awake or not.
  void waited(Micros time);
  // A wait ended awake after the core was offered, and nobody wanted it.
  void kept() { cede_next_ = kCededMin; }
  // Others ran for long when this thread offered them its core. waited() follows.
  void ceded();

 private:
  static constexpr uint8_t kTrusted = 4;
  static constexpr uint8_t kTrustMax = 7;

  // By whether each of the last two waits was short: requests and answers take turns, and the next
  // message comes soon after the one and late after the other.
  std::array<uint8_t, 4> trust_{};
  uint32_t last_two_ = 0;
  uint32_t ceded_ = 0;  // waits to be slept through
  uint32_t cede_next_ = kCededMin;
};

// ppoll(2) without a signal mask. It may end early; negative timeouts are none.
void poll_for(std::span<pollfd> polled, Micros timeout);

class BusyPoll {
 public:
  BusyPoll();
  // As poll_for.
  void wait(std::span<pollfd> polled, Micros timeout);

 private:
  // False: nothing came, go to sleep.
  bool wait_awake(std::span<pollfd> polled, Micros longest);

  const bool has_other_cores_;  // on the only one nothing can come while it is kept
  AwakeRule rule_;
};

}  // namespace zgrid::protocol::transport
