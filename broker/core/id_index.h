// From the id of a job to the place where its table keeps it: open addressing, 8 bytes a slot.
//
// The table has the id itself: here is a tag of it, so that of a million ids few are looked at in
// vain, and slots move without a look at their jobs.
// Internal to the core. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/ids.h"

namespace zgrid::broker {

class IdIndex {
 public:
  IdIndex() : slots_(kCapacityMin) {}

  // `is_at(place)`: whether this id is the one there.
  template <class IsAt>
  [[nodiscard]] std::optional<uint32_t> find(const JobId& id, IsAt&& is_at) const {
    const uint32_t tag = tag_of(id);
    for (size_t at = home(tag); slots_[at].tag != kFree; at = next(at)) {
      if (slots_[at].tag == tag && is_at(slots_[at].place)) return slots_[at].place;
    }
    return std::nullopt;
  }
  // Has the processor fetch what find() will look at first.
  void prefetch(const JobId& id) const { __builtin_prefetch(&slots_[home(tag_of(id))]); }

  // The id must be new. At most 2^30 of them.
  void add(const JobId& id, uint32_t place);
  // Both as they were added.
  void erase(const JobId& id, uint32_t place);
  void clear();
  [[nodiscard]] size_t size() const { return size_; }

  // In no order that means anything.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.tag != kFree) visit(slot.place);
    }
  }

 private:
  static constexpr size_t kCapacityMin = 64;
  static constexpr uint32_t kFree = 0;
  struct Slot {
    uint32_t tag = kFree;
    uint32_t place = 0;
  };

  static uint32_t tag_of(const JobId& id) { return static_cast<uint32_t>(IdTailHash{}(id)) | 1; }
  [[nodiscard]] size_t home(uint32_t tag) const { return (tag >> 1) & (slots_.size() - 1); }
  [[nodiscard]] size_t next(size_t at) const { return (at + 1) & (slots_.size() - 1); }
  void put(Slot slot);
  void resize(size_t capacity);

  std::vector<Slot> slots_;  // a power of two, at most half of them in use: most ids are new
  size_t size_ = 0;
};

}  // namespace zgrid::broker
