#include "broker/store/id_map.h"

#include <sodium.h>

#include <cstring>

namespace zgrid::broker {

KeyedIdHash::KeyedIdHash() {
  static_assert(crypto_shorthash_KEYBYTES == sizeof key_);
  randombytes_buf(key_.data(), key_.size());
}

uint64_t KeyedIdHash::operator()(const JobId& id) const {
  std::array<uint8_t, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), id.bytes.data(), id.bytes.size(), key_.data());
  uint64_t value = 0;
  std::memcpy(&value, hash.data(), sizeof value);
  return value;
}

}  // namespace zgrid::broker
