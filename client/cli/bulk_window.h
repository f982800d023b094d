// How much of a bulk is under way at once, and the order in which its results are shown. Ten
// million lines take no more memory than ten thousand.
// Threads: pure values, one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "protocol/base/limits.h"

namespace zgrid::cli {

// Counts what is under way. A job is unacknowledged, then open, then ended.
class BulkWindow {
 public:
  struct Limits {
    // Two full SUBMIT messages: one that the broker commits, and one on its way to it meanwhile.
    size_t unacknowledged = 2 * limits::kBatchItemsMax;
    // Of their inputs, which stay in memory until they are acknowledged. One always goes, whatever
    // its size.
    size_t bytes = limits::kPayloadBytesMax;
    // Submitted and not ended: more than the windows of sixty workers ask for, as many as one
    // CANCEL may name, and with 200 bytes each nothing that a machine would notice.
    size_t open = limits::kIdsMax;
    // How far those that ended may run ahead of the first that has not, where results are shown in
    // order. They take 100 bytes each; their outputs are counted by InOrder.
    size_t ahead = 1u << 20;
  };

  BulkWindow() = default;
  explicit BulkWindow(const Limits& limits) : limits_(limits) {}

  // Whether one more may be submitted.
  [[nodiscard]] bool has_room() const {
    return unacknowledged_ < limits_.unacknowledged && open_ < limits_.open &&
           bytes_ < limits_.bytes && next_place_ - shown_ < limits_.ahead;
  }
  // Returns its place, counted from 0.
  uint64_t submitted(size_t bytes) {
    ++unacknowledged_;
    ++open_;
    bytes_ += bytes;
    return next_place_++;
  }
  void acknowledged(size_t bytes) {
    --unacknowledged_;
    bytes_ -= bytes;
  }
  void ended() { --open_; }
  // Every place before this was shown, or will never be.
  void shown_until(uint64_t place) { shown_ = place; }

  [[nodiscard]] size_t open() const { return open_; }
  [[nodiscard]] size_t unacknowledged() const { return unacknowledged_; }
  [[nodiscard]] uint64_t submitted_so_far() const { return next_place_; }

 private:
  Limits limits_;
  size_t unacknowledged_ = 0, open_ = 0, bytes_ = 0;
  uint64_t next_place_ = 0, shown_ = 0;
};

// Holds what came before its turn. What the budget has no room for is *parked*: its key alone is
// kept, and the caller fetches the value again when its turn comes near. The nearer one stays.
template <class Key, class Value>
class InOrder {
 public:
  explicit InOrder(size_t budget) : budget_(budget) {}

  // The value of a place, of so many bytes: the first time, or because to_fetch() named it.
  void put(uint64_t place, const Key& key, Value value, size_t bytes) {
    skip(place);
    Slot& slot = slots_.at(place);
    slot.key = key;
    slot.bytes = bytes;
    if (!make_room(place, bytes)) {
      slot.state = State::parked;
      return;
    }
    slot.state = State::ready;
    slot.value = std::make_unique<Value>(std::move(value));
    ready_.insert(place);
    held_bytes_ += bytes;
  }
  // Nothing will be shown there.
  void skip(uint64_t place) {
    Slot& slot = slots_[place];
    release(place, slot);
    slot = Slot{};
  }
  // The value whose turn it is; each call is for the next one. None: its turn has not come.
  std::optional<Value> take() {
    while (true) {
      const auto first = slots_.find(next_);
      if (first == slots_.end()) return std::nullopt;
      Slot& slot = first->second;
      if (slot.state == State::parked || slot.state == State::fetching) return std::nullopt;
      const std::unique_ptr<Value> value = std::move(slot.value);
      release(next_, slot);
      slots_.erase(first);
      ++next_;
      if (value) return std::move(*value);
    }
  }
  // The next key to fetch again, in order of turns, as long as it will have room. To be called
  // until it has none, the first time with next(); what it named must be put() or skipped.
  // `place` is set to its own; the search begins there, so that many are found in one pass.
  std::optional<Key> to_fetch(uint64_t& place) {
    for (auto at = slots_.find(place); at != slots_.end() && at->first == place; ++at, ++place) {
      Slot& slot = at->second;
      if (slot.state != State::parked) continue;
      if (!make_room(place, slot.bytes)) break;
      slot.state = State::fetching;
      held_bytes_ += slot.bytes;
      return slot.key;
    }
    return std::nullopt;
  }
  // The first place that was not taken.
  [[nodiscard]] uint64_t next() const { return next_; }
  [[nodiscard]] bool empty() const { return slots_.empty(); }
  [[nodiscard]] size_t held_bytes() const { return held_bytes_; }

 private:
  enum class State : uint8_t { skipped, ready, parked, fetching };
  struct Slot {
    State state = State::skipped;
    Key key{};
    std::unique_ptr<Value> value;  // what is parked must not take its space
    size_t bytes = 0;
  };

  // Parks what is farther away. The one whose turn it is always has room.
  bool make_room(uint64_t place, size_t bytes) {
    while (held_bytes_ + bytes > budget_ && !ready_.empty() && *ready_.rbegin() > place) {
      const uint64_t last = *ready_.rbegin();
      Slot& slot = slots_.at(last);
      release(last, slot);
      slot.value.reset();
      slot.state = State::parked;
    }
    return place == next_ || held_bytes_ + bytes <= budget_;
  }
  void release(uint64_t place, const Slot& slot) {
    if (slot.state != State::ready && slot.state != State::fetching) return;
    held_bytes_ -= slot.bytes;
    ready_.erase(place);
  }

  size_t budget_;
  size_t held_bytes_ = 0;  // of what is ready or under way
  uint64_t next_ = 0;
  std::map<uint64_t, Slot> slots_;
  std::set<uint64_t> ready_;
};

}  // namespace zgrid::cli
