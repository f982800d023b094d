// 128-bit identifiers, one type per meaning, so that one cannot be passed for another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace zgrid {

// The text form is that of RFC 4122: 8-4-4-4-12 lower-case hex digits.
std::string format_uuid(const std::array<uint8_t, 16>& bytes);
// Accepts the 36-character form and 32 bare hex digits, upper or lower case.
std::optional<std::array<uint8_t, 16>> parse_uuid(std::string_view text);

template <class Tag>
struct Id {
  std::array<uint8_t, 16> bytes{};

  friend auto operator<=>(const Id&, const Id&) = default;
  friend bool operator==(const Id& a, const Id& b) {  // in two steps rather than by a call
    uint64_t left[2], right[2];
    std::memcpy(left, a.bytes.data(), sizeof left);
    std::memcpy(right, b.bytes.data(), sizeof right);
    return left[0] == right[0] && left[1] == right[1];
  }
  [[nodiscard]] bool is_nil() const { return *this == Id{}; }
  [[nodiscard]] std::string str() const { return format_uuid(bytes); }
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static std::optional<Id> parse(std::string_view text) {
    auto parsed = parse_uuid(text);
    if (!parsed) return std::nullopt;
    return Id{*parsed};
  }
};

using JobId = Id<struct JobTag>;        // UUIDv7, made by the client
using WorkerId = Id<struct WorkerTag>;  // random, stored beside the worker's spool
using BootId = Id<struct BootTag>;      // random, one per process start
using StoreId = Id<struct StoreTag>;    // random, one per store
using Nonce = Id<struct NonceTag>;      // random, one per attempt; fences
using Hash128 = Id<struct HashTag>;     // a keyed hash of a job's body

// For tables in one piece of memory. The tail of an id is random, or counts, if a foreign client
// makes it.
struct IdTailHash {
  template <class Tag>
  uint64_t operator()(const Id<Tag>& id) const {
    uint64_t bits = 0;
    std::memcpy(&bits, id.bytes.data() + 8, sizeof bits);
    bits = (bits ^ bits >> 32) * 0x9e3779b97f4a7c15u;
    return bits ^ bits >> 32;
  }
};

// A UUIDv7 (RFC 9562) from milliseconds since 1970 and 10 random bytes.
JobId make_job_id(int64_t unix_ms, const std::array<uint8_t, 10>& random);

// What the broker calls a connected peer; never reused within a process.
enum class SessionId : uint64_t { none = 0 };

}  // namespace zgrid

template <class Tag>
struct std::hash<zgrid::Id<Tag>> {
  // The last eight bytes of every id that we make are random.
  size_t operator()(const zgrid::Id<Tag>& id) const noexcept {
    size_t h = 0;
    std::memcpy(&h, id.bytes.data() + 8, sizeof h);
    return h;
  }
};
