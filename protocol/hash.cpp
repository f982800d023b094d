#include "protocol/hash.h"

#include <sodium.h>

namespace zgrid::protocol {

Hash128 hash_bytes(const Hash128& key, std::string_view bytes) {
  static_assert(crypto_shorthash_siphashx24_BYTES == sizeof(Hash128::bytes));
  static_assert(crypto_shorthash_siphashx24_KEYBYTES == sizeof(Hash128::bytes));
  Hash128 hash;
  crypto_shorthash_siphashx24(hash.bytes.data(),
                              reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                              key.bytes.data());
  return hash;
}

Hash128 hash_body(const Hash128& spec_hash, const Payload& input, uint64_t index) {
  Hash128 key = spec_hash;
  for (size_t i = 0; i < 8; ++i) key.bytes[i] ^= static_cast<uint8_t>(index >> (8 * i));
  key.bytes[8] ^= static_cast<uint8_t>(input.tag);
  return hash_bytes(key, input.data.view());
}

JobId child_id(const JobId& parent, const WorkerId& worker) {
  const Hash128 hash = hash_bytes(Hash128{parent.bytes}, worker.view());
  int64_t unix_ms = 0;
  for (size_t i = 0; i < 6; ++i) unix_ms = unix_ms << 8 | parent.bytes[i];
  std::array<uint8_t, 10> tail{};
  std::copy(hash.bytes.begin(), hash.bytes.begin() + tail.size(), tail.begin());
  return make_job_id(unix_ms, tail);
}

}  // namespace zgrid::protocol
