#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>

namespace zgrid::sim {

namespace {

// 2026-01-01, so that stored times look like times.
constexpr int64_t kEpochUs = 1'767'225'600'000'000;

}  // namespace

uint64_t Random::next() {
  state_ += 0x9e3779b97f4a7c15u;
  uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

int64_t Random::between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
}

void Random::fill(std::span<uint8_t> into) {
  for (uint8_t& byte : into) byte = static_cast<uint8_t>(next());
}

Now World::clock(Micros start) const {
  return {MonoTime{now_ - start}, WallTime{kEpochUs + (now_ + wall_offset_).count()}};
}

void World::at(Micros when, std::function<void()> what) {
  heap_.push_back({std::max(when, now_), next_number_++, std::move(what)});
  std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
}

void World::run_until(Micros time) {
  while (violation_.empty() && !heap_.empty() && heap_.front().when <= time) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    mix(static_cast<uint64_t>(now_.count()));
    event.what();
  }
  now_ = std::max(now_, time);
}

void World::note(const std::string& line) {
  if (tracing_) std::printf("%11.6f  %s\n", static_cast<double>(now_.count()) / 1e6, line.c_str());
}

void World::violate(std::string what) {
  note("VIOLATION " + what);
  if (violation_.empty()) violation_ = std::move(what);
}

}  // namespace zgrid::sim
