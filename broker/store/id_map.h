// Job ids to numbers, in 24 bytes an entry: a million jobs take 32 to 64 MB.
//
// Ids come from clients, so the hash is keyed at random: nobody can choose ids that collide.
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>

#include "protocol/base/flat_map.h"
#include "protocol/base/ids.h"

namespace zgrid::broker {

class KeyedIdHash {
 public:
  KeyedIdHash();
  uint64_t operator()(const JobId& id) const;

 private:
  std::array<uint8_t, 16> key_{};
};
using IdMap = FlatMap<JobId, KeyedIdHash>;

}  // namespace zgrid::broker
