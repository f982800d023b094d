// Job ids to numbers, in 24 bytes an entry: a million unfinished jobs take 32 to 64 MB.
//
// Ids come from clients, so the hash is keyed at random: nobody can choose ids that collide.
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "protocol/base/ids.h"

namespace zgrid::broker {

class IdMap {
 public:
  static constexpr uint64_t kValueMax = UINT64_MAX - 1;

  IdMap();
  // Inserts or overwrites. value <= kValueMax.
  void set(const JobId& id, uint64_t value);
  [[nodiscard]] std::optional<uint64_t> find(const JobId& id) const;
  void erase(const JobId& id);
  void clear();
  [[nodiscard]] size_t size() const { return size_; }

  // In no order that means anything.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Entry& entry : entries_) {
      if (entry.value != kEmpty) visit(entry.id, entry.value);
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Entry {
    JobId id;
    uint64_t value = kEmpty;
  };

  [[nodiscard]] size_t home(const JobId& id) const;
  // Where it is, or the free place where it belongs.
  [[nodiscard]] size_t place(const JobId& id) const;
  void resize(size_t capacity);

  std::array<uint8_t, 16> hash_key_{};
  std::vector<Entry> entries_;  // a power of two, at most three quarters in use
  size_t size_ = 0;
};

}  // namespace zgrid::broker
