// Where brokers might be, while a connection is being made: the interface between looking and
// connecting, so that a connection can be tested without a network.
#pragma once

#include <string>
#include <vector>

#include "protocol/base/time.h"

namespace zgrid::client {

// Threads: one thread.
class Finder {
 public:
  virtual ~Finder() = default;
  // Sends what is due, reads what came. Never blocks.
  virtual void turn(MonoTime now) = 0;
  // Endpoints in the order in which to try them. It only grows.
  [[nodiscard]] virtual const std::vector<std::string>& endpoints() const = 0;
  // True once an answer could have been expected: an empty list then means that nobody is there.
  [[nodiscard]] virtual bool settled() const = 0;
  // Grid ids of other grids whose beacons were heard.
  [[nodiscard]] virtual const std::vector<std::string>& other_grids() const = 0;
  // Poll these for reading.
  [[nodiscard]] virtual std::vector<int> fds() const = 0;
  // That endpoint welcomed us.
  virtual void on_welcome(const std::string& endpoint) = 0;
};

}  // namespace zgrid::client
