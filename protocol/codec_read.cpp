// Reading: a cursor over the header, bounded everywhere, that builds nothing but the message.
//
// msgpack-cxx's own unpacker makes a tree of objects first, and allocates what a hostile length
// asks for unless told otherwise; a cursor decodes twice as fast and cannot (docs/decisions.md).
#include <bit>
#include <cmath>
#include <cstring>

#include "protocol/base/check.h"
#include "protocol/codec.h"
#include "protocol/describe.h"

namespace zgrid::protocol {
namespace {

template <class T>
concept Described = requires(struct Reader& ar, T& value) {
  describe(ar, value);
};

constexpr uint64_t kKeyMax = 0xffff;  // of a map's keys

// After the first error every read returns nothing and changes nothing.
struct Reader {
  const Bytes& header;
  std::span<const Bytes> frames;  // [0] is the header
  const uint8_t* at;
  const uint8_t* end;
  const char* error = nullptr;
  bool over_limit = false;

  uint64_t next_frame = 1;  // the first that no payload has named yet

  // The fields left in the struct that is being read, and the key that comes next.
  uint32_t left = 0;
  int64_t next_key = -1;

  explicit Reader(const Bytes& header_frame, std::span<const Bytes> all)
      : header(header_frame),
        frames(all),
        at(reinterpret_cast<const uint8_t*>(header_frame.data())),
        end(at + header_frame.size()) {}

  [[nodiscard]] bool ok() const { return error == nullptr; }
  void fail_with(const char* what) {
    if (error == nullptr) error = what;
    at = end;
    left = 0;
    next_key = -1;
  }
  void too_large(const char* what) {
    over_limit = over_limit || ok();
    fail_with(what);
  }

  // ---- primitives ---------------------------------------------------------------------

  template <size_t bytes>
  uint64_t big_endian() {
    if (static_cast<size_t>(end - at) < bytes) {
      fail_with("the header ends inside a value");
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | at[i];
    at += bytes;
    return value;
  }
  uint8_t lead() { return static_cast<uint8_t>(big_endian<1>()); }

  uint64_t read_uint() {
    const uint8_t b = lead();
    if (b < 0x80) return b;
    switch (b) {
      case 0xcc: return big_endian<1>();
      case 0xcd: return big_endian<2>();
      case 0xce: return big_endian<4>();
      case 0xcf: return big_endian<8>();
      default: fail_with("an unsigned integer was expected"); return 0;
    }
  }
  int64_t read_int() {
    if (at < end && *at >= 0xe0) return static_cast<int8_t>(*at++);
    if (at < end && *at >= 0xd0 && *at <= 0xd3) {
      const uint8_t b = *at++;
      if (b == 0xd0) return static_cast<int8_t>(big_endian<1>());
      if (b == 0xd1) return static_cast<int16_t>(big_endian<2>());
      if (b == 0xd2) return static_cast<int32_t>(big_endian<4>());
      return static_cast<int64_t>(big_endian<8>());
    }
    const uint64_t value = read_uint();
    if (value > static_cast<uint64_t>(INT64_MAX)) {
      fail_with("an integer is too large");
      return 0;
    }
    return static_cast<int64_t>(value);
  }
  // The length of a str (or bin) whose bytes follow.
  std::string_view take(size_t size) {
    if (static_cast<size_t>(end - at) < size) {
      fail_with("a length points past the end");
      return {};
    }
    const std::string_view view(reinterpret_cast<const char*>(at), size);
    at += size;
    return view;
  }
  std::string_view read_str() {
    const uint8_t b = lead();
    if (b >= 0xa0 && b <= 0xbf) return take(b & 0x1f);
    if (b == 0xd9) return take(big_endian<1>());
    if (b == 0xda) return take(big_endian<2>());
    if (b == 0xdb) return take(big_endian<4>());
    fail_with("a string was expected");
    return {};
  }
  std::string_view read_bin() {
    const uint8_t b = lead();
    if (b == 0xc4) return take(big_endian<1>());
    if (b == 0xc5) return take(big_endian<2>());
    if (b == 0xc6) return take(big_endian<4>());
    fail_with("bytes were expected");
    return {};
  }
  uint32_t read_array() {
    const uint8_t b = lead();
    if (b >= 0x90 && b <= 0x9f) return b & 0x0f;
    if (b == 0xdc) return static_cast<uint32_t>(big_endian<2>());
    if (b == 0xdd) return static_cast<uint32_t>(big_endian<4>());
    fail_with("a list was expected");
    return 0;
  }
  uint32_t read_map() {
    const uint8_t b = lead();
    if (b >= 0x80 && b <= 0x8f) return b & 0x0f;
    if (b == 0xde) return static_cast<uint32_t>(big_endian<2>());
    if (b == 0xdf) return static_cast<uint32_t>(big_endian<4>());
    fail_with("a map was expected");
    return 0;
  }

  // Passes over one value of any type. Counts what is still to come instead of recursing, so
  // that nesting costs no stack.
  void skip() {
    uint64_t pending = 1;
    while (pending > 0 && ok()) {
      --pending;
      const uint8_t b = lead();
      if (b < 0x80 || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3) continue;
      if (b <= 0x8f) {
        pending += 2ull * (b & 0x0f);
      } else if (b <= 0x9f) {
        pending += b & 0x0f;
      } else if (b <= 0xbf) {
        take(b & 0x1f);
      } else {
        pending += skip_long(b);
      }
      if (pending > static_cast<uint64_t>(end - at)) fail_with("a list is longer than the header");
    }
  }
  uint64_t skip_long(uint8_t b) {
    switch (b) {
      case 0xc4:
      case 0xd9: take(big_endian<1>()); return 0;
      case 0xc5:
      case 0xda: take(big_endian<2>()); return 0;
      case 0xc6:
      case 0xdb: take(big_endian<4>()); return 0;
      case 0xcc:
      case 0xd0: take(1); return 0;
      case 0xcd:
      case 0xd1: take(2); return 0;
      case 0xca:
      case 0xce:
      case 0xd2: take(4); return 0;
      case 0xcb:
      case 0xcf:
      case 0xd3: take(8); return 0;
      case 0xdc: return big_endian<2>();
      case 0xdd: return big_endian<4>();
      case 0xde: return 2 * big_endian<2>();
      case 0xdf: return 2 * big_endian<4>();
      default: fail_with("a type that the protocol does not use"); return 0;
    }
  }

  // ---- fields -------------------------------------------------------------------------

  // True when the next field of the struct has this key; passes over unknown ones before it.
  bool at_key(int key) {
    while (next_key >= 0 && next_key < key) {
      skip();
      advance();
    }
    return next_key == key;
  }
  void advance() {
    if (left == 0 || !ok()) {
      next_key = -1;
      return;
    }
    --left;
    const uint64_t key = read_uint();
    if (key > kKeyMax) return fail_with("a key is too large");
    if (static_cast<int64_t>(key) <= last_key) return fail_with("keys are not in ascending order");
    last_key = static_cast<int64_t>(key);
    next_key = ok() ? last_key : -1;
  }
  int64_t last_key = -1;

  template <class T>
  void field(int key, T& value) {
    if (!at_key(key)) return;
    read(value);
    advance();
  }
  template <class T>
  void field(int key, T& value, const T& preset) {
    // Not what the struct begins with: that may differ in another release.
    value = preset;
    field(key, value);
  }
  void text(int key, std::string& value, size_t max, std::string_view preset = {}) {
    value = preset;
    if (!at_key(key)) return;
    const std::string_view view = read_str();
    if (view.size() > max) return too_large("a text is over its limit");
    value.assign(view);
    advance();
  }
  template <class T>
  void list(int key, std::vector<T>& into, size_t max) {
    if (!at_key(key)) return;
    const uint32_t size = read_array();
    if (size > max) return too_large("a list is over its limit");
    // Every element takes a byte at least.
    if (size > static_cast<size_t>(end - at)) return fail_with("a list is longer than the header");
    into.reserve(std::min<size_t>(size, 1024));
    for (uint32_t i = 0; i < size && ok(); ++i) read(into.emplace_back());
    advance();
  }

  // ---- values -------------------------------------------------------------------------

  template <class Int>
  requires std::is_unsigned_v<Int>
  void read(Int& value) {
    const uint64_t wide = read_uint();
    if (wide > std::numeric_limits<Int>::max()) return fail_with("an integer is too large");
    value = static_cast<Int>(wide);
  }
  void read(bool& value) {
    const uint8_t b = lead();
    if (b != 0xc2 && b != 0xc3) return fail_with("true or false was expected");
    value = b == 0xc3;
  }
  void read(int32_t& value) {
    const int64_t wide = read_int();
    if (wide < INT32_MIN || wide > INT32_MAX) return fail_with("an integer is too large");
    value = static_cast<int32_t>(wide);
  }
  void read(double& value) {
    if (at < end && *at == 0xcb) {
      ++at;
      value = std::bit_cast<double>(big_endian<8>());
    } else if (at < end && *at == 0xca) {
      ++at;
      value = std::bit_cast<float>(static_cast<uint32_t>(big_endian<4>()));
    } else {
      value = static_cast<double>(read_int());  // some libraries write 1.0 as 1
    }
    if (!std::isfinite(value)) fail_with("a number is not finite");
  }
  void read(Millis& value) {
    const int64_t count = read_int();
    if (count < 0 || count > kMillisMax.count()) return fail_with("a duration is out of range");
    value = Millis{count};
  }
  void read(Micros& value) {
    const int64_t count = read_int();
    if (count < 0 || count > kMicrosMax.count()) return fail_with("a duration is out of range");
    value = Micros{count};
  }
  void read(WallTime& value) {
    const int64_t us = read_int();
    if (us < -kMicrosMax.count() || us > kMicrosMax.count()) {
      return fail_with("a time is out of range");
    }
    value.us = us;
  }
  void read(std::string& value) {
    const std::string_view view = read_str();
    if (view.size() > limits::kTextBytesMax) return too_large("a text is over its limit");
    value.assign(view);
  }
  template <class Tag>
  void read(Id<Tag>& id) {
    const std::string_view view = read_bin();
    if (view.size() != id.bytes.size()) return fail_with("an id is not 16 bytes");
    std::memcpy(id.bytes.data(), view.data(), view.size());
  }
  template <class E>
  requires std::is_enum_v<E>
  void read(E& value) {
    const uint64_t number = read_uint();
    if (number < enum_min(E{}) || number > enum_max(E{})) return fail_with("an unknown enumerator");
    value = static_cast<E>(number);
  }
  template <class T>
  void read(std::optional<T>& value) {
    read(value.emplace());
  }
  template <class T>
  void read(Rare<T>& value) {
    read(value.emplace());
  }
  void read(std::pair<std::string, std::string>& value) {
    if (read_array() != 2) return fail_with("a pair was expected");
    read(value.first);
    read(value.second);
  }
  void read(SpecRef& spec) {
    const uint8_t* start = at;
    Spec decoded;
    read(decoded.job);
    if (!ok()) return;
    if (static_cast<size_t>(at - start) > limits::kSpecBytesMax) {
      return too_large("a spec is over its limit");
    }
    const auto* base = reinterpret_cast<const uint8_t*>(header.data());
    // Specs live as long as their jobs: they must not keep a whole frame.
    decoded.raw =
        header.slice(static_cast<size_t>(start - base), static_cast<size_t>(at - start)).detach();
    spec = std::make_shared<const Spec>(std::move(decoded));
  }
  void read(WorkerFactsRef& facts) {
    WorkerFacts decoded;
    read(decoded);
    facts = std::make_shared<const WorkerFacts>(std::move(decoded));
  }
  void read(Payload& payload) {
    const uint32_t parts = read_array();
    read(payload.tag);
    if (parts == 2) return read_inline(payload);
    if (parts == 3) return read_frames(payload);
    fail_with("a payload was expected");
  }
  void read_inline(Payload& payload) {
    const std::string_view view = read_bin();
    if (ok() && !view.empty()) {
      payload.data = header.slice(static_cast<size_t>(view.data() - header.data()), view.size());
    }
  }
  void read_frames(Payload& payload) {
    const uint64_t first = read_uint();
    const uint64_t count = read_uint();
    if (!ok()) return;
    if (first >= frames.size() || count == 0 || count > frames.size() - first) {
      return fail_with("a payload names frames that are not there");
    }
    // Each frame belongs to one payload: a thousand entries that name the same 64 MiB would make
    // 64 GB of them.
    if (first < next_frame) return fail_with("payloads share frames or name them out of order");
    next_frame = first + count;
    if (count == 1) {
      payload.data = frames[first];
      return;
    }
    std::string joined;
    for (uint64_t i = 0; i < count; ++i) {
      if (joined.size() + frames[first + i].size() > limits::kPayloadBytesMax) {
        return too_large("a payload is over 64 MiB");
      }
      joined += frames[first + i].view();
    }
    payload.data = Bytes::own(std::move(joined));
  }
  template <Described T>
  void read(T& value) {
    const uint32_t outer_left = left;
    const int64_t outer_next = next_key;
    const int64_t outer_last = last_key;
    left = read_map();
    last_key = -1;
    next_key = -1;
    advance();
    describe(*this, value);
    while (next_key >= 0) {  // fields of a newer version
      skip();
      advance();
    }
    if (!ok()) return;
    left = outer_left;
    next_key = outer_next;
    last_key = outer_last;
  }

  Failure failure() const {
    return fail(over_limit ? Errc::too_large : Errc::malformed,
                std::string("not a valid message: ") + error);
  }
};

template <class T>
Result<T> unpack_struct(const Bytes& raw) {
  const Bytes frames[1] = {raw};
  Reader reader(raw, frames);
  T value;
  reader.read(value);
  if (reader.ok() && reader.at != reader.end) reader.fail_with("bytes after its end");
  if (!reader.ok()) return reader.failure();
  return value;
}

template <class Entry, class List>
bool specs_exist(const std::vector<Entry>& entries, const List& table) {
  for (const Entry& entry : entries) {
    if (entry.spec >= table.size()) return false;
  }
  return true;
}

// Indexes must point somewhere.
const char* check(const Submit& m) {
  return specs_exist(m.jobs, m.specs) ? nullptr : "a job names a spec that is not there";
}
const char* check(const Request& m) {
  return specs_exist(m.items, m.specs) ? nullptr : "an assignment names a spec that is not there";
}
const char* check(const Results& m) {
  for (const ResultEntry& item : m.items) {
    const bool has_worker = item.worker == kNoWorker || item.worker < m.workers.size();
    if (!has_worker || item.head >= m.heads.size()) return "a result names what is not there";
  }
  return nullptr;
}
template <class T>
const char* check(const T&) {
  return nullptr;
}

template <class T>
Result<Message> finish(Reader& reader, uint32_t elements) {
  T body;
  reader.read(body);
  for (uint32_t i = 3; i < elements && reader.ok(); ++i) reader.skip();
  if (reader.ok() && reader.at != reader.end) reader.fail_with("bytes after its end");
  if (reader.ok()) {
    if (const char* problem = check(body)) reader.fail_with(problem);
  }
  if (!reader.ok()) return reader.failure();
  return Message(std::move(body));
}

Result<Message> read_body(Reader& reader, uint64_t kind, uint32_t elements) {
  switch (static_cast<Kind>(kind)) {
    case Kind::hello: return finish<Hello>(reader, elements);
    case Kind::ready: return finish<Ready>(reader, elements);
    case Kind::welcome: return finish<Welcome>(reader, elements);
    case Kind::refused: return finish<Refused>(reader, elements);
    case Kind::heartbeat: return finish<Heartbeat>(reader, elements);
    case Kind::disconnect: return finish<Disconnect>(reader, elements);
    case Kind::submit: return finish<Submit>(reader, elements);
    case Kind::submit_ack: return finish<SubmitAck>(reader, elements);
    case Kind::watch: return finish<Watch>(reader, elements);
    case Kind::watch_ack: return finish<WatchAck>(reader, elements);
    case Kind::results: return finish<Results>(reader, elements);
    case Kind::events: return finish<Events>(reader, elements);
    case Kind::cancel: return finish<Cancel>(reader, elements);
    case Kind::cancel_ack: return finish<CancelAck>(reader, elements);
    case Kind::query: return finish<Query>(reader, elements);
    case Kind::answer: return finish<Answer>(reader, elements);
    case Kind::control: return finish<Control>(reader, elements);
    case Kind::retry: return finish<Retry>(reader, elements);
    case Kind::retry_ack: return finish<RetryAck>(reader, elements);
    case Kind::purge: return finish<Purge>(reader, elements);
    case Kind::request: return finish<Request>(reader, elements);
    case Kind::final_: return finish<Final>(reader, elements);
    case Kind::final_ack: return finish<FinalAck>(reader, elements);
    case Kind::partial: return finish<Partial>(reader, elements);
    case Kind::abort: return finish<Abort>(reader, elements);
    case Kind::recall: return finish<Recall>(reader, elements);
    case Kind::released: return finish<Released>(reader, elements);
    case Kind::started: return finish<Started>(reader, elements);
  }
  reader.fail_with("an unknown kind of message");
  return reader.failure();
}

}  // namespace

Result<Message> decode(std::span<const Bytes> frames) {
  if (frames.empty() || frames.size() > 1 + limits::kPayloadFramesMax) {
    return fail(Errc::malformed, "not a valid message: it has no header or too many frames");
  }
  for (const Bytes& frame : frames) {
    if (frame.size() > limits::kFrameBytesMax) {
      return fail(Errc::too_large, "not a valid message: a frame is over 16 MiB");
    }
  }
  Reader reader(frames[0], frames);
  const uint32_t elements = reader.read_array();
  const uint64_t version = reader.read_uint();
  if (!reader.ok()) return reader.failure();
  if (version < kVersionMin || version > kVersion) {
    return fail(Errc::envelope_version,
                "a message of protocol version " + std::to_string(version) +
                    ", but this zgrid speaks version " + std::to_string(kVersion),
                "use programs of the same release on both sides");
  }
  const uint64_t kind = reader.read_uint();
  if (reader.ok() && elements < 3) reader.fail_with("the header is too short");
  if (reader.ok() && kind > 0xff) reader.fail_with("an unknown kind of message");
  if (!reader.ok()) return reader.failure();
  return read_body(reader, kind, elements);
}

Result<SpecRef> decode_spec(const Bytes& raw) {
  auto job = unpack_struct<JobSpec>(raw);
  if (!job) return fail(std::move(job.error()));
  return std::make_shared<const Spec>(Spec{std::move(*job), raw});
}
Result<Outcome> decode_outcome(const Bytes& raw) { return unpack_struct<Outcome>(raw); }
Result<WorkerFacts> decode_facts(const Bytes& raw) { return unpack_struct<WorkerFacts>(raw); }

}  // namespace zgrid::protocol
