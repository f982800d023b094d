// Beacons: how brokers are found. The form is that of ZeroMQ's beacons (RFC 36): one UDP datagram
// of at most 255 bytes, authenticated with a key derived from the secret.
//
// A beacon is a hint; the CURVE handshake decides. An unsolicited beacon only makes a listener
// send a probe, and only an answer counts whose MAC covers the probe's nonce: a replayed or
// spoofed datagram is never believed.
// Threads: pure functions; BrokerTable is used from one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/ids.h"
#include "protocol/base/time.h"
#include "protocol/keys.h"

namespace zgrid::protocol {

inline constexpr size_t kBeaconBytesMax = 255;
inline constexpr uint16_t kBeaconPort = 5670;

struct Beacon {
  enum class Type : uint8_t { announce = 1, probe = 2, answer = 3 };
  Type type = Type::announce;
  std::string grid_id;  // 16 hex digits
  StoreId store;        // of announce and answer, as all below
  BootId boot;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  uint16_t port = 0;  // of the broker's endpoint; 0 = it has none on this interface
  std::string name;   // the broker's, at most 63 bytes: letters, digits, . _ - or empty
  Nonce nonce;        // of a probe, repeated in its answer
};

// The bytes, numbers big-endian: "ZGR", version (1), type, grid id (8), store (16), boot (16),
// epoch (8), sequence (8), port (2), nonce (16), length of the name (1), name, and a MAC (32):
// BLAKE2b, keyed with the beacon key, of all before it. 112 + name bytes.
std::string encode_beacon(const Beacon& beacon, const Key32& key);
// Nothing for a datagram of another form or size, or whose MAC is not made with `key`.
std::optional<Beacon> decode_beacon(std::string_view datagram, const Key32& key);
// The grid id that a well-formed datagram of any grid names: for "only another grid was found".
std::optional<std::string> beacon_grid(std::string_view datagram);

// What was heard, bounded and aged. A static peer that is also heard keeps the heard name.
struct FoundBroker {
  std::string endpoint;  // tcp://ADDRESS:PORT
  std::string name;
  StoreId store;
  BootId boot;
  uint64_t epoch = 0;
  Millis age{0};  // since it was heard; 0 for a static one that never was
  bool is_static = false;
};
class BrokerTable {
 public:
  static constexpr size_t kEntriesMax = 256;
  static constexpr Millis kAgeMax{5000};
  void on_static(const std::string& endpoint);
  // `address` is where the answer came from, with a port (10.0.0.7:40001, of the socket, not the
  // endpoint's) or without. A new endpoint takes the place of the one not heard for longest when
  // the table is full; static ones stay.
  void on_answer(const std::string& address, const Beacon& answer, MonoTime now);
  // Those not older than kAgeMax, and the static ones; newest epoch first, then by name.
  [[nodiscard]] std::vector<FoundBroker> list(MonoTime now) const;

 private:
  struct Entry {
    FoundBroker broker;
    std::optional<MonoTime> heard;
  };
  bool make_room();

  std::map<std::string, Entry> by_endpoint_;
};

}  // namespace zgrid::protocol
