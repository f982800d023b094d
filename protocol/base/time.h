// Time as values. Nothing here reads a clock: time is passed in.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace zgrid {

using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

// Monotonic, meaningful within one process only. Never stored, never sent.
struct MonoTime {
  Micros since_start{0};
  friend auto operator<=>(const MonoTime&, const MonoTime&) = default;
  friend MonoTime operator+(MonoTime t, Micros d) { return {t.since_start + d}; }
  friend MonoTime operator-(MonoTime t, Micros d) { return {t.since_start - d}; }
  friend Micros operator-(MonoTime a, MonoTime b) { return a.since_start - b.since_start; }
  static constexpr MonoTime never() { return {Micros::max()}; }
};

// Wall clock: microseconds since 1970-01-01 UTC. What is stored and shown. 0 = not known.
struct WallTime {
  int64_t us = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
  friend WallTime operator+(WallTime t, Micros d) { return {t.us + d.count()}; }
  friend WallTime operator-(WallTime t, Micros d) { return {t.us - d.count()}; }
  friend Micros operator-(WallTime a, WallTime b) { return Micros{a.us - b.us}; }
};

// The grid's own clock: microseconds that start at the wall clock's when a store is made, and from
// then on pass as the monotonic clock does; time while the broker is down counts, up to a limit.
// Deadlines, delays and retention run on it, so that a wall clock set wrongly spoils nothing.
// Stored; 0 = not known.
struct GridTime {
  int64_t us = 0;
  friend auto operator<=>(const GridTime&, const GridTime&) = default;
  friend GridTime operator+(GridTime t, Micros d) { return {t.us + d.count()}; }
  friend GridTime operator-(GridTime t, Micros d) { return {t.us - d.count()}; }
  friend Micros operator-(GridTime a, GridTime b) { return Micros{a.us - b.us}; }
};

// Both clocks read at one moment. Cores take this and nothing else.
struct Now {
  MonoTime mono;
  WallTime wall;
};

// RFC 3339 in UTC with microseconds: 2026-01-31T08:15:00.000250Z.
std::string format_rfc3339(WallTime time);

}  // namespace zgrid
