#include "broker/store/id_map.h"

#include <sodium.h>

#include <utility>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

constexpr size_t kCapacityMin = 64;

}  // namespace

IdMap::IdMap() : entries_(kCapacityMin) {
  static_assert(crypto_shorthash_KEYBYTES == sizeof hash_key_);
  randombytes_buf(hash_key_.data(), hash_key_.size());
}

size_t IdMap::home(const JobId& id) const {
  std::array<uint8_t, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), id.bytes.data(), id.bytes.size(), hash_key_.data());
  size_t value = 0;
  std::memcpy(&value, hash.data(), sizeof value);
  return value & (entries_.size() - 1);
}

size_t IdMap::place(const JobId& id) const {
  size_t at = home(id);
  while (entries_[at].value != kEmpty && entries_[at].id != id) {
    at = (at + 1) & (entries_.size() - 1);
  }
  return at;
}

void IdMap::set(const JobId& id, uint64_t value) {
  ZGRID_CHECK(value <= kValueMax);
  size_t at = place(id);
  if (entries_[at].value == kEmpty) {
    if ((size_ + 1) * 4 > entries_.size() * 3) {
      resize(entries_.size() * 2);
      at = place(id);
    }
    ++size_;
  }
  entries_[at] = Entry{id, value};
}

std::optional<uint64_t> IdMap::find(const JobId& id) const {
  const Entry& entry = entries_[place(id)];
  if (entry.value == kEmpty) return std::nullopt;
  return entry.value;
}

void IdMap::erase(const JobId& id) {
  size_t hole = place(id);
  if (entries_[hole].value == kEmpty) return;
  // Whatever was pushed past the hole moves up, so that no search ends early.
  const size_t mask = entries_.size() - 1;
  for (size_t next = (hole + 1) & mask; entries_[next].value != kEmpty; next = (next + 1) & mask) {
    const size_t wanted = home(entries_[next].id);
    if (((next - wanted) & mask) >= ((next - hole) & mask)) {
      entries_[hole] = entries_[next];
      hole = next;
    }
  }
  entries_[hole] = Entry{};
  --size_;
  if (entries_.size() > kCapacityMin && size_ * 8 < entries_.size()) resize(entries_.size() / 2);
}

void IdMap::clear() {
  entries_.assign(kCapacityMin, Entry{});
  size_ = 0;
}

void IdMap::resize(size_t capacity) {
  std::vector<Entry> old(capacity);
  std::swap(old, entries_);
  for (const Entry& entry : old) {
    if (entry.value != kEmpty) entries_[place(entry.id)] = entry;
  }
}

}  // namespace zgrid::broker
