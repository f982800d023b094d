// Virtual time, seeded randomness and the queue of what happens next.
//
// Everything random in a world comes from its seed, and nothing else is an input: the same seed
// gives the same run, event by event. Threads: one world is used by one thread; worlds share
// nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include "broker/core/core.h"
#include "protocol/base/time.h"

namespace zgrid::sim {

// SplitMix64. Not from <random>: its distributions differ from library to library.
class Random final : public broker::Entropy {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // 0 … n-1; n must not be 0.
  uint64_t below(uint64_t n) { return next() % n; }
  // Both ends included.
  int64_t between(int64_t low, int64_t high);
  bool percent(uint64_t chance) { return below(100) < chance; }
  void fill(std::span<uint8_t> into) override;
  template <class IdType>
  IdType id() {
    IdType id;
    fill(id.bytes);
    return id;
  }

 private:
  uint64_t state_;
};

class World {
 public:
  World(uint64_t seed, bool tracing) : random(seed), seed_(seed), tracing_(tracing) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Random random;

  [[nodiscard]] Micros now() const { return now_; }
  // Both clocks of a process that started at `start`.
  [[nodiscard]] Now clock(Micros start) const;
  // Somebody sets the wall clock, by so much.
  void set_wall(Micros by) { wall_offset_ += by; }
  [[nodiscard]] Micros wall_offset() const { return wall_offset_; }
  void at(Micros when, std::function<void()> what);
  void after(Micros delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  // Until that time, or the first violation.
  void run_until(Micros time);

  [[nodiscard]] uint64_t seed() const { return seed_; }
  [[nodiscard]] bool tracing() const { return tracing_; }
  // A line of the trace.
  void note(const std::string& line);
  // Makes the digest of this run depend on a value.
  void mix(uint64_t value) { digest_ = (digest_ ^ value) * 0x100000001b3u; }
  [[nodiscard]] uint64_t digest() const { return digest_; }

  // A promise was broken. Only the first one is kept; the world stops.
  void violate(std::string what);
  [[nodiscard]] const std::string& violation() const { return violation_; }

 private:
  struct Event {
    Micros when;
    uint64_t number = 0;
    std::function<void()> what;
    friend bool operator>(const Event& a, const Event& b) {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };
  // The queue in its usual form would copy each event.
  std::vector<Event> heap_;
  Micros now_{0};
  Micros wall_offset_{0};
  uint64_t next_number_ = 0;
  uint64_t digest_ = 0xcbf29ce484222325u;
  const uint64_t seed_;
  const bool tracing_;
  std::string violation_;
};

}  // namespace zgrid::sim
