// Writing. msgpack-cxx packs the values; the form is described in codec.h.
#include "protocol/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <msgpack.hpp>

#include "protocol/base/check.h"
#include "protocol/describe.h"

namespace zgrid::protocol {
namespace {

// What msgpack::packer writes to: mostly a byte or two at a time, so that the way without growth is
// a copy and nothing else.
class Buffer {
 public:
  [[gnu::always_inline]] void write(const char* data, size_t size) {
    if (size == 0) return;  // an empty payload has no address
    if (static_cast<size_t>(end_ - at_) < size) grow(size);
    std::memcpy(at_, data, size);
    at_ += size;
  }
  Bytes take() {
    bytes_.resize(used());
    return Bytes::own(std::move(bytes_));
  }

 private:
  static constexpr size_t kFirst = 512;
  [[nodiscard]] size_t used() const { return static_cast<size_t>(at_ - bytes_.data()); }
  [[gnu::noinline]] void grow(size_t size) {
    const size_t before = used();
    bytes_.resize(std::max(kFirst, 2 * before + size));
    at_ = bytes_.data() + before;
    end_ = bytes_.data() + bytes_.size();
  }

  std::string bytes_;
  char* at_ = bytes_.data();
  char* end_ = at_;
};
using Packer = msgpack::packer<Buffer>;

template <class T>
concept Described = requires(struct Counter& ar, T& value) {
  describe(ar, value);
};

// True when a field may be left out.
template <class T>
bool is_default(const T& value);

// How many fields of a struct differ from their defaults.
struct Counter {
  uint32_t fields = 0;
  template <class T>
  void field(int, T& value) {
    fields += is_default(value) ? 0 : 1;
  }
  template <class T>
  void field(int, T& value, const T& preset) {
    fields += value == preset ? 0 : 1;
  }
  void text(int, std::string& value, size_t, std::string_view preset = {}) {
    fields += value == preset ? 0 : 1;
  }
  template <class T>
  void list(int, std::vector<T>& value, size_t) {
    fields += value.empty() ? 0 : 1;
  }
};

template <class T>
uint32_t count_fields(const T& value) {
  Counter counter;
  describe(counter, const_cast<T&>(value));  // a Counter only looks
  return counter.fields;
}

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsOptional<Rare<T>> : std::true_type {};

template <class T>
bool is_default(const T& value) {
  if constexpr (std::is_same_v<T, double>) {
    return value == 0 || !std::isfinite(value);  // what is no number would be refused
  } else if constexpr (std::is_same_v<T, std::optional<double>>) {
    return !value.has_value() || !std::isfinite(*value);
  } else if constexpr (IsOptional<T>::value) {
    return !value.has_value();
  } else if constexpr (Described<T>) {
    return count_fields(value) == 0;
  } else {
    return value == T{};
  }
}

struct Writer {
  Buffer& buffer;
  Packer& pack;
  Frames& frames;  // [0] is kept for the header

  template <class T>
  void field(int key, T& value) {
    if (!is_default(value)) put(key, value);
  }
  template <class T>
  void field(int key, T& value, const T& preset) {
    if (!(value == preset)) put(key, value);
  }
  void text(int key, std::string& value, size_t max, std::string_view preset = {}) {
    if (value == preset) return;
    pack.pack_uint8(static_cast<uint8_t>(key));
    // What is too long is our own text (a message, a tail): cut it rather than be refused.
    put_text(std::string_view(value).substr(0, max));
  }
  template <class T>
  void list(int key, std::vector<T>& value, size_t max) {
    if (value.empty()) return;
    ZGRID_CHECK(value.size() <= max);
    pack.pack_uint8(static_cast<uint8_t>(key));
    pack.pack_array(static_cast<uint32_t>(value.size()));
    for (auto& element : value) write(element);
  }

  template <class T>
  void put(int key, T& value) {
    pack.pack_uint8(static_cast<uint8_t>(key));
    write(value);
  }
  void put_text(std::string_view text) {
    pack.pack_str(static_cast<uint32_t>(text.size()));
    pack.pack_str_body(text.data(), static_cast<uint32_t>(text.size()));
  }

  void write(bool value) { value ? pack.pack_true() : pack.pack_false(); }
  void write(uint8_t value) { pack.pack_uint64(value); }
  void write(uint16_t value) { pack.pack_uint64(value); }
  void write(uint32_t value) { pack.pack_uint64(value); }
  void write(uint64_t value) { pack.pack_uint64(value); }
  void write(int32_t value) { pack.pack_int64(value); }
  // Not pack_double: that writes whole numbers as integers.
  void write(double value) {
    const auto bits = std::bit_cast<uint64_t>(value + 0.0);  // -0 equals 0: the same bytes
    char bytes[9] = {static_cast<char>(0xcb)};
    for (size_t i = 0; i < 8; ++i) bytes[i + 1] = static_cast<char>(bits >> (56 - 8 * i));
    buffer.write(bytes, sizeof bytes);
  }
  // A clock that misbehaves must not make a message that every reader refuses.
  void write(Millis value) { pack.pack_int64(std::clamp(value, Millis{0}, kMillisMax).count()); }
  void write(Micros value) { pack.pack_int64(std::clamp(value, Micros{0}, kMicrosMax).count()); }
  void write(WallTime value) {
    pack.pack_int64(std::clamp(value.us, -kMicrosMax.count(), kMicrosMax.count()));
  }
  void write(const std::string& value) { put_text(value); }
  template <class Tag>
  void write(const Id<Tag>& id) {
    pack.pack_bin(static_cast<uint32_t>(id.bytes.size()));
    pack.pack_bin_body(id.view().data(), static_cast<uint32_t>(id.bytes.size()));
  }
  template <class E>
  requires std::is_enum_v<E>
  void write(E value) { pack.pack_uint64(static_cast<uint64_t>(value)); }
  template <class T>
  void write(std::optional<T>& value) {
    write(*value);
  }
  template <class T>
  void write(Rare<T>& value) {
    write(*value);
  }
  void write(const std::pair<std::string, std::string>& value) {
    pack.pack_array(2);
    put_text(value.first);
    put_text(value.second);
  }
  void write(const SpecRef& spec) { buffer.write(spec->raw.data(), spec->raw.size()); }
  void write(const WorkerFactsRef& facts) { write(const_cast<WorkerFacts&>(*facts)); }
  void write(const Payload& payload) {
    const std::string_view data = payload.data.view();
    const bool is_inline = data.size() <= limits::kInlinePayloadBytesMax;
    pack.pack_array(is_inline ? 2 : 3);
    write(payload.tag);
    if (is_inline) {
      pack.pack_bin(static_cast<uint32_t>(data.size()));
      pack.pack_bin_body(data.data(), static_cast<uint32_t>(data.size()));
      return;
    }
    ZGRID_CHECK(data.size() <= limits::kPayloadBytesMax);
    const size_t first = frames.size();
    for (size_t at = 0; at < data.size(); at += limits::kChunkBytes) {
      frames.push_back(payload.data.slice(at, std::min(limits::kChunkBytes, data.size() - at)));
    }
    ZGRID_CHECK(frames.size() <= 1 + limits::kPayloadFramesMax);
    pack.pack_uint64(first);
    pack.pack_uint64(frames.size() - first);
  }
  template <Described T>
  void write(T& value) {
    pack.pack_map(count_fields(value));
    describe(*this, value);
  }
};

template <class T>
Bytes pack_struct(const T& value) {
  Buffer buffer;
  Packer pack(buffer);
  Frames frames(1);
  Writer writer{buffer, pack, frames};
  writer.write(const_cast<T&>(value));  // a Writer only looks
  ZGRID_CHECK(frames.size() == 1);
  return buffer.take();
}

}  // namespace

Frames encode(const Message& message) {
  Buffer buffer;
  Packer pack(buffer);
  Frames frames(1);
  Writer writer{buffer, pack, frames};
  pack.pack_array(3);
  pack.pack_uint8(kVersion);
  pack.pack_uint8(static_cast<uint8_t>(kind_of(message)));
  std::visit([&](auto& body) { writer.write(const_cast<std::decay_t<decltype(body)>&>(body)); },
             message);
  frames[0] = buffer.take();
  return frames;
}

SpecRef make_spec(JobSpec job) {
  Bytes raw = pack_struct(job);
  return std::make_shared<const Spec>(Spec{std::move(job), std::move(raw)});
}

Bytes encode_outcome(const Outcome& outcome) { return pack_struct(outcome); }
Bytes encode_facts(const WorkerFacts& facts) { return pack_struct(facts); }

}  // namespace zgrid::protocol
