#include "broker/store/row_bytes.h"

#include <sodium.h>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

constexpr size_t kCheckBytes = 8;
static_assert(crypto_shorthash_BYTES == kCheckBytes);
static_assert(crypto_shorthash_KEYBYTES == 16);

}  // namespace

uint64_t part_check(std::string_view bytes, PartKind kind, uint64_t owner) {
  // A fixed text, with the owner and the kind mixed in.
  std::array<uint8_t, 16> key = {'z', 'g', 'r', 'i', 'd', ' ', 's', 't',
                                 'o', 'r', 'e', ' ', 'r', 'o', 'w', '1'};
  for (size_t i = 0; i < 8; ++i) key[i] ^= static_cast<uint8_t>(owner >> (8 * i));
  key[8] ^= static_cast<uint8_t>(kind);
  std::array<uint8_t, kCheckBytes> hash{};
  crypto_shorthash(hash.data(), reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(),
                   key.data());
  uint64_t check = 0;
  for (size_t i = 0; i < kCheckBytes; ++i) check |= uint64_t{hash[i]} << (8 * i);
  return check;
}

PartWriter::PartWriter(std::string& out) : out_(out) {
  out_.clear();
  u8(kPartVersion);
}

void PartWriter::text(std::string_view value) {
  ZGRID_CHECK(value.size() <= UINT32_MAX);
  u32(static_cast<uint32_t>(value.size()));
  out_.append(value);
}

void PartWriter::seal(PartKind kind, uint64_t owner) { u64(part_check(out_, kind, owner)); }

std::optional<PartReader> PartReader::open(std::string_view part, PartKind kind, uint64_t owner) {
  if (part.size() < 1 + kCheckBytes) return std::nullopt;
  const std::string_view covered = part.substr(0, part.size() - kCheckBytes);
  PartReader check(part.substr(covered.size()));
  if (check.u64() != part_check(covered, kind, owner)) return std::nullopt;
  PartReader reader(covered.substr(1));
  reader.version_ = static_cast<uint8_t>(covered[0]);
  if (reader.version_ == 0 || reader.version_ > kPartVersion) return std::nullopt;
  return reader;
}

std::string_view PartReader::text() { return take(u32()); }

std::string_view PartReader::take(size_t bytes) {
  if (!ok_ || body_.size() < bytes) {
    ok_ = false;
    body_ = {};
    return {};
  }
  const std::string_view taken = body_.substr(0, bytes);
  body_.remove_prefix(bytes);
  return taken;
}

uint64_t PartReader::integer(size_t bytes) {
  const std::string_view raw = take(bytes);
  uint64_t value = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
  }
  return value;
}

}  // namespace zgrid::broker
