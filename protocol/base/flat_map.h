// Keys to numbers in one piece of memory: open addressing with linear probing.
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/check.h"

namespace zgrid {

// `Hash` is a function object: Key to uint64_t, of which the low bits are used.
template <class Key, class Hash>
class FlatMap {
 public:
  static constexpr uint64_t kValueMax = UINT64_MAX - 1;

  FlatMap() : entries_(kCapacityMin) {}

  // Inserts or overwrites. value <= kValueMax.
  void set(const Key& key, uint64_t value) {
    ZGRID_CHECK(value <= kValueMax);
    size_t at = place(key);
    if (entries_[at].value == kEmpty) {
      if ((size_ + 1) * 4 > entries_.size() * 3) {
        resize(entries_.size() * 2);
        at = place(key);
      }
      ++size_;
    }
    entries_[at] = Entry{key, value};
  }

  [[nodiscard]] std::optional<uint64_t> find(const Key& key) const {
    const Entry& entry = entries_[place(key)];
    if (entry.value == kEmpty) return std::nullopt;
    return entry.value;
  }

  // Has the processor fetch what find() will look at.
  void prefetch(const Key& key) const { __builtin_prefetch(&entries_[home(key)]); }

  // Whether it was there.
  bool erase(const Key& key) {
    size_t hole = place(key);
    if (entries_[hole].value == kEmpty) return false;
    // Whatever was pushed past the hole moves up, so that no search ends early.
    const size_t mask = entries_.size() - 1;
    for (size_t next = (hole + 1) & mask; entries_[next].value != kEmpty;
         next = (next + 1) & mask) {
      const size_t wanted = home(entries_[next].key);
      if (((next - wanted) & mask) >= ((next - hole) & mask)) {
        entries_[hole] = entries_[next];
        hole = next;
      }
    }
    entries_[hole] = Entry{};
    --size_;
    if (entries_.size() > kCapacityMin && size_ * 8 < entries_.size()) resize(entries_.size() / 2);
    return true;
  }

  void clear() {
    if (size_ == 0) return;
    entries_.assign(kCapacityMin, Entry{});
    size_ = 0;
  }

  [[nodiscard]] size_t size() const { return size_; }

  // In no order that means anything.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Entry& entry : entries_) {
      if (entry.value != kEmpty) visit(entry.key, entry.value);
    }
  }

 private:
  static constexpr size_t kCapacityMin = 64;
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Entry {
    Key key{};
    uint64_t value = kEmpty;
  };

  [[nodiscard]] size_t home(const Key& key) const {
    return static_cast<size_t>(hash_(key)) & (entries_.size() - 1);
  }
  // Where it is, or the free place where it belongs.
  [[nodiscard]] size_t place(const Key& key) const {
    size_t at = home(key);
    while (entries_[at].value != kEmpty && entries_[at].key != key) {
      at = (at + 1) & (entries_.size() - 1);
    }
    return at;
  }
  void resize(size_t capacity) {
    std::vector<Entry> old(capacity);
    std::swap(old, entries_);
    for (const Entry& entry : old) {
      if (entry.value != kEmpty) entries_[place(entry.key)] = entry;
    }
  }

  Hash hash_;
  std::vector<Entry> entries_;  // a power of two, at most three quarters in use
  size_t size_ = 0;
};

// For numbers that are our own, so that nobody can choose ones that collide.
struct NumberHash {
  uint64_t operator()(uint64_t number) const {
    const uint64_t mixed = number * 0x9e3779b97f4a7c15;
    return mixed ^ mixed >> 32;
  }
};
using NumberMap = FlatMap<uint64_t, NumberHash>;

}  // namespace zgrid
