#include "protocol/beacon.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/limits.h"

namespace zgrid::protocol {
namespace {

constexpr std::string_view kMagic = "ZGR";
constexpr uint8_t kBeaconVersion = 1;
constexpr size_t kGridIdBytes = 8;
constexpr size_t kMacBytes = 32;
constexpr size_t kGridIdAt = kMagic.size() + 2;
constexpr size_t kNameLengthAt = kGridIdAt + kGridIdBytes + 16 + 16 + 8 + 8 + 2 + 16;
constexpr size_t kNameAt = kNameLengthAt + 1;
static_assert(kNameAt + limits::kNameBytesMax + kMacBytes <= kBeaconBytesMax);

bool is_name_of_beacon(std::string_view name) {
  return name.size() <= limits::kNameBytesMax && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

// Nothing but the form: anybody can make such bytes.
bool is_well_formed(std::string_view datagram) {
  if (datagram.size() < kNameAt + kMacBytes || datagram.size() > kBeaconBytesMax) return false;
  if (!datagram.starts_with(kMagic) || datagram[kMagic.size()] != kBeaconVersion) return false;
  return datagram.size() == kNameAt + static_cast<uint8_t>(datagram[kNameLengthAt]) + kMacBytes;
}

std::string hex(std::string_view bytes) {
  std::string text(bytes.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                 bytes.size());
  text.pop_back();
  return text;
}

std::string mac_of(std::string_view bytes, const Key32& key) {
  std::string mac(kMacBytes, '\0');
  ZGRID_CHECK(crypto_generichash(reinterpret_cast<unsigned char*>(mac.data()), mac.size(),
                                 reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                                 key.data(), key.size()) == 0);
  return mac;
}

template <class Number>
void put_number(std::string& out, Number number) {
  for (size_t i = sizeof number; i-- > 0;) {
    out += static_cast<char>(static_cast<uint8_t>(number >> (8 * i)));
  }
}

// Takes fields from the front; the caller has checked that they are there.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::string_view take(size_t size) {
    ZGRID_CHECK(size <= rest_.size());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  template <class Number>
  Number number() {
    uint64_t value = 0;
    for (const char byte : take(sizeof(Number))) value = (value << 8) | static_cast<uint8_t>(byte);
    return static_cast<Number>(value);
  }
  template <class SomeId>
  SomeId id() {
    SomeId id;
    std::memcpy(id.bytes.data(), take(id.bytes.size()).data(), id.bytes.size());
    return id;
  }

 private:
  std::string_view rest_;
};

// 10.0.0.7:40001 and [fe80::1]:40001 without the port.
std::string without_port(const std::string& address) {
  const size_t colon = address.rfind(':');
  const bool bare_ipv6 = !address.starts_with('[') && address.find(':') != colon;
  if (colon == std::string::npos || bare_ipv6 || address.ends_with(']')) return address;
  return address.substr(0, colon);
}

}  // namespace

std::string encode_beacon(const Beacon& beacon, const Key32& key) {
  ZGRID_CHECK(is_name_of_beacon(beacon.name));
  std::string out(kMagic);
  out += static_cast<char>(kBeaconVersion);
  out += static_cast<char>(beacon.type);
  std::array<uint8_t, kGridIdBytes> grid{};
  size_t size = 0;
  ZGRID_CHECK(sodium_hex2bin(grid.data(), grid.size(), beacon.grid_id.data(), beacon.grid_id.size(),
                             nullptr, &size, nullptr) == 0 &&
              size == grid.size() && beacon.grid_id.size() == 2 * grid.size());
  out.append(reinterpret_cast<const char*>(grid.data()), grid.size());
  out += beacon.store.view();
  out += beacon.boot.view();
  put_number(out, beacon.epoch);
  put_number(out, beacon.sequence);
  put_number(out, beacon.port);
  out += beacon.nonce.view();
  out += static_cast<char>(beacon.name.size());
  out += beacon.name;
  out += mac_of(out, key);
  return out;
}

std::optional<Beacon> decode_beacon(std::string_view datagram, const Key32& key) {
  if (!is_well_formed(datagram)) return std::nullopt;
  const std::string_view signed_part = datagram.substr(0, datagram.size() - kMacBytes);
  const std::string mac = mac_of(signed_part, key);
  if (sodium_memcmp(mac.data(), datagram.data() + signed_part.size(), kMacBytes) != 0) {
    return std::nullopt;
  }
  Reader reader(signed_part.substr(kMagic.size() + 1));
  const auto type = reader.number<uint8_t>();
  if (type < static_cast<uint8_t>(Beacon::Type::announce) ||
      type > static_cast<uint8_t>(Beacon::Type::answer)) {
    return std::nullopt;
  }
  Beacon beacon;
  beacon.type = static_cast<Beacon::Type>(type);
  beacon.grid_id = hex(reader.take(kGridIdBytes));
  beacon.store = reader.id<StoreId>();
  beacon.boot = reader.id<BootId>();
  beacon.epoch = reader.number<uint64_t>();
  beacon.sequence = reader.number<uint64_t>();
  beacon.port = reader.number<uint16_t>();
  beacon.nonce = reader.id<Nonce>();
  beacon.name = reader.take(reader.number<uint8_t>());
  if (!is_name_of_beacon(beacon.name)) return std::nullopt;
  return beacon;
}

std::optional<std::string> beacon_grid(std::string_view datagram) {
  if (!is_well_formed(datagram)) return std::nullopt;
  return hex(datagram.substr(kGridIdAt, kGridIdBytes));
}

void BrokerTable::on_static(const std::string& endpoint) {
  const auto known = by_endpoint_.find(endpoint);
  if (known == by_endpoint_.end() && !make_room()) return;
  FoundBroker& broker = by_endpoint_[endpoint].broker;
  broker.endpoint = endpoint;
  broker.is_static = true;
}

void BrokerTable::on_answer(const std::string& address, const Beacon& answer, MonoTime now) {
  if (answer.port == 0) return;
  const std::string endpoint = "tcp://" + without_port(address) + ":" + std::to_string(answer.port);
  const auto known = by_endpoint_.find(endpoint);
  if (known == by_endpoint_.end() && !make_room()) return;
  Entry& entry = by_endpoint_[endpoint];
  entry.broker.endpoint = endpoint;
  entry.broker.name = answer.name;
  entry.broker.store = answer.store;
  entry.broker.boot = answer.boot;
  entry.broker.epoch = answer.epoch;
  entry.heard = now;
}

bool BrokerTable::make_room() {
  if (by_endpoint_.size() < kEntriesMax) return true;
  auto oldest = by_endpoint_.end();
  for (auto it = by_endpoint_.begin(); it != by_endpoint_.end(); ++it) {
    if (it->second.broker.is_static) continue;
    if (oldest == by_endpoint_.end() || it->second.heard < oldest->second.heard) oldest = it;
  }
  if (oldest == by_endpoint_.end()) return false;
  by_endpoint_.erase(oldest);
  return true;
}

std::vector<FoundBroker> BrokerTable::list(MonoTime now) const {
  std::vector<FoundBroker> found;
  for (const auto& [endpoint, entry] : by_endpoint_) {
    const Micros age = entry.heard ? now - *entry.heard : Micros{0};
    if (!entry.broker.is_static && age > kAgeMax) continue;
    found.push_back(entry.broker);
    found.back().age = std::chrono::duration_cast<Millis>(age);
  }
  std::sort(found.begin(), found.end(), [](const FoundBroker& a, const FoundBroker& b) {
    return std::tie(b.epoch, a.name, a.endpoint) < std::tie(a.epoch, b.name, b.endpoint);
  });
  return found;
}

}  // namespace zgrid::protocol
