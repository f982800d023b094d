// Keeps newcomers out of a ROUTER while this process has few file descriptors left.
//
// At the limit accept() fails and libzmq's I/O thread tries again at once, for ever; and the store
// needs descriptors, too. zmq_unbind() would end the connections that a listener has accepted. So
// the listener stays, and a packet filter on it drops what newcomers send: to them the network is
// slow, and they try again. Who is connected notices nothing.
//
// TCP only: a Unix socket has no packets. Linux only (SO_ATTACH_FILTER).
// Private to this folder. Threads: any. The monitor's thread closes, because it hears of every
// connection; the router's thread opens again, because it wakes up without one.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

#include "protocol/base/time.h"

namespace zgrid::protocol::transport {

class Doorkeeper {
 public:
  // For the store, logs, and what libzmq accepts before this notices, which on a busy machine may
  // be hundreds; of a low limit a quarter.
  static constexpr size_t kReserve = 256;
  // Opening again costs a look at every descriptor.
  static constexpr Millis kLookEvery{200};
  // The shortest time between two rounds of turning away: libzmq tells of each accept() that
  // failed, and may have tried thousands of times before the first round. Whoever slips in after it
  // waits this long.
  static constexpr Millis kTurnAwayEvery{10};

  Doorkeeper() = default;
  Doorkeeper(const Doorkeeper&) = delete;
  Doorkeeper& operator=(const Doorkeeper&) = delete;

  // From the monitor. Of on_closed's number somebody else may be the owner already.
  void on_listening(int fd);
  void on_closed(int fd);
  void on_accepted();
  void on_accept_failed(int error);

  // Opens when twice the reserve is free. True if newcomers are kept out.
  bool look(MonoTime now);

 private:
  void close_doors();
  void open_doors();
  void turn_away();  // and drops packets, in case that failed before

  std::mutex mutex_;
  std::vector<int> listeners_;
  std::atomic<bool> is_closed_{false};
  size_t unwatched_ = 0;  // how many more may come in before descriptors are counted again
  MonoTime next_look_{};
  std::chrono::steady_clock::time_point turned_away_at_{};
};

}  // namespace zgrid::protocol::transport
