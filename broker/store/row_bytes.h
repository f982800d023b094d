// The bytes of a stored row: fixed little-endian integers and texts with their length before them,
// sealed with a version and a 64-bit checksum. A reader never trusts a length and never fails
// harder than by saying that the bytes are corrupt.
//
// A sealed part is: version u8, body, check u64. The check covers version and body and is keyed
// with the kind of the part and its owner (mostly the job's seq), so that a part which turns up in
// another row is noticed as well. It finds accidents, it is no protection against forgery.
// Threads: distinct objects from distinct threads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"

namespace zgrid::broker {

enum class PartKind : uint8_t {
  meta = 1,
  accepted = 2,
  state = 3,
  ended = 4,
  facts = 5,
  drain = 6,
  input = 7,  // payloads outside of their row; their check stands in the row
  output = 8,
  purged = 9,
  clock = 10,
  log_mark = 11,  // in a file of its own
  log_row = 12,
};

// What is written; all from 1 on can be read.
inline constexpr uint8_t kPartVersion = 2;

uint64_t part_check(std::string_view bytes, PartKind kind, uint64_t owner);

// Appends to a string that its user may reuse.
class PartWriter {
 public:
  // Clears `out` and begins a part in it.
  explicit PartWriter(std::string& out);
  // Goes on with a part that was begun in `out` and not sealed.
  static PartWriter go_on(std::string& out) { return PartWriter(out, Begun{}); }
  void u8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void u16(uint16_t value) { integer(value); }
  void u32(uint32_t value) { integer(value); }
  void u64(uint64_t value) { integer(value); }
  void i64(int64_t value) { u64(static_cast<uint64_t>(value)); }
  // At most 4 GiB.
  void text(std::string_view value);
  template <class Tag>
  void id(const Id<Tag>& value) {
    out_.append(value.view());
  }
  // Ends the part. Nothing may be written after it.
  void seal(PartKind kind, uint64_t owner);

 private:
  struct Begun {};
  PartWriter(std::string& out, Begun) : out_(out) {}
  template <class Integer>
  void integer(Integer value) {
    char raw[sizeof value];
    for (size_t i = 0; i < sizeof value; ++i) raw[i] = static_cast<char>(value >> (8 * i));
    out_.append(raw, sizeof value);
  }

  std::string& out_;
};

// Reads a sealed part. After a value that is not there all further ones are zero or empty, and
// finished() is false: check that once at the end, before any value is used.
class PartReader {
 public:
  // Nothing if the check does not fit or the version is not known.
  static std::optional<PartReader> open(std::string_view part, PartKind kind, uint64_t owner);
  // Bytes of whose version the caller knows, and which it checks itself.
  static PartReader unchecked(std::string_view body) { return PartReader(body); }

  uint8_t u8() { return static_cast<uint8_t>(integer(1)); }
  uint16_t u16() { return static_cast<uint16_t>(integer(2)); }
  uint32_t u32() { return static_cast<uint32_t>(integer(4)); }
  uint64_t u64() { return integer(8); }
  int64_t i64() { return static_cast<int64_t>(integer(8)); }
  // Lies inside the part.
  std::string_view text();
  // So many bytes, inside the part; empty if there are not so many.
  std::string_view take(size_t bytes);
  template <class IdType>
  IdType id() {
    IdType value;
    const std::string_view bytes = take(value.bytes.size());
    if (!bytes.empty()) bytes.copy(reinterpret_cast<char*>(value.bytes.data()), bytes.size());
    return value;
  }
  [[nodiscard]] uint8_t version() const { return version_; }
  [[nodiscard]] size_t left() const { return body_.size(); }
  // Every value was there, and nothing is left over.
  [[nodiscard]] bool finished() const { return ok_ && body_.empty(); }

 private:
  explicit PartReader(std::string_view body) : body_(body) {}
  uint64_t integer(size_t bytes);

  std::string_view body_;
  uint8_t version_ = kPartVersion;
  bool ok_ = true;
};

}  // namespace zgrid::broker
