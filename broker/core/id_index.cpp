#include "broker/core/id_index.h"

#include <utility>

#include "protocol/base/check.h"

namespace zgrid::broker {

void IdIndex::add(const JobId& id, uint32_t place) {
  if ((size_ + 1) * 2 > slots_.size()) resize(slots_.size() * 2);
  put({tag_of(id), place});
  ++size_;
}

void IdIndex::erase(const JobId& id, uint32_t place) {
  const uint32_t tag = tag_of(id);
  size_t hole = home(tag);
  while (slots_[hole].tag != tag || slots_[hole].place != place) {
    ZGRID_CHECK(slots_[hole].tag != kFree);
    hole = next(hole);
  }
  // Whatever was pushed past the hole moves up, so that no search ends early.
  const size_t mask = slots_.size() - 1;
  for (size_t at = next(hole); slots_[at].tag != kFree; at = next(at)) {
    const size_t wanted = home(slots_[at].tag);
    if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = {};
  --size_;
  if (slots_.size() > kCapacityMin && size_ * 8 < slots_.size()) resize(slots_.size() / 2);
}

void IdIndex::clear() {
  slots_.assign(kCapacityMin, Slot{});
  size_ = 0;
}

void IdIndex::put(Slot slot) {
  size_t at = home(slot.tag);
  while (slots_[at].tag != kFree) at = next(at);
  slots_[at] = slot;
}

void IdIndex::resize(size_t capacity) {
  std::vector<Slot> old(capacity);
  std::swap(old, slots_);
  for (const Slot& slot : old) {
    if (slot.tag != kFree) put(slot);
  }
}

}  // namespace zgrid::broker
