// Datagrams from anybody. The MAC is made good for half of them, or nothing behind it would be
// reached.
#include <sodium.h>

#include "protocol/base/check.h"
#include "protocol/beacon.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zgrid::protocol;
  constexpr size_t kMacBytes = 32;
  const Key32 key{};
  std::string datagram(reinterpret_cast<const char*>(data), size);
  const auto check = [&key](const std::string& bytes) {
    static_cast<void>(beacon_grid(bytes));
    const auto beacon = decode_beacon(bytes, key);
    if (beacon) ZGRID_CHECK(encode_beacon(*beacon, key) == bytes);
  };
  check(datagram);
  if (datagram.size() < kMacBytes) return 0;
  auto* bytes = reinterpret_cast<unsigned char*>(datagram.data());
  const size_t covered = datagram.size() - kMacBytes;
  crypto_generichash(bytes + covered, kMacBytes, bytes, covered, key.data(), key.size());
  check(datagram);
  return 0;
}
