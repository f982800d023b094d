#include "broker/store/wal_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include "broker/store/store_files.h"

namespace zgrid::broker {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagic = 0x377f0682;  // the last bit: words of checksums are big-endian

uint32_t big_endian(std::string_view at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(at[i]);
  return value;
}

// The running checksum of the log: each frame's goes on from the one before.
struct Checksum {
  uint32_t first = 0, second = 0;

  void add(std::string_view bytes, bool big) {
    for (size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      first += word(bytes.substr(at), big) + second;
      second += word(bytes.substr(at + 4), big) + first;
    }
  }
  friend bool operator==(const Checksum&, const Checksum&) = default;

 private:
  static uint32_t word(std::string_view at, bool big) {
    const uint32_t value = big_endian(at);
    return big ? value : __builtin_bswap32(value);
  }
};

class Log {
 public:
  // Nothing if there is no frame in it.
  static std::optional<Log> of(std::string_view bytes, size_t page_bytes) {
    if (bytes.size() < kHeaderBytes + kFrameHeaderBytes + page_bytes) return std::nullopt;
    return Log(bytes, page_bytes);
  }

  // Where the log is damaged; 0: its header is.
  struct Damage {
    size_t frame = 0;
    bool is_marked = false;  // nothing but the mark tells of it
  };
  // Reads the log as SQLite does, up to the first bad frame. That is damage if a later commit was
  // begun behind it, or if the mark says that commits from there on were synced.
  [[nodiscard]] std::optional<Damage> read(const std::optional<LogMark>& mark, LogEnd& end) const {
    Checksum sum;
    sum.add(header_.substr(0, 24), big_);
    const bool known = big_endian(header_) >> 1 == kMagic >> 1 && sum == stored(header_.substr(24));
    if (!known) return is_header_damaged(sum) ? std::optional(Damage{}) : std::nullopt;
    const bool is_of_mark = mark && std::memcmp(header_.data() + 16, &mark->salts, 8) == 0;
    size_t n = 0;
    for (; n < count_; ++n) {
      add(n, sum);
      if (!is_current(n) || sum != stored(frame(n).substr(16))) break;
      if (ends_commit(n)) end.whole = n + 1;
    }
    if (n < count_ && commit_begun_after(n)) return Damage{n + 1, false};
    if (is_of_mark && end.whole < mark->frames) return Damage{n + 1, true};
    end.marked = is_of_mark;
    for (size_t at = end.whole; at < count_; ++at) end.torn += is_current(at) ? 1 : 0;
    return std::nullopt;
  }

 private:
  Log(std::string_view bytes, size_t page_bytes)
      : header_(bytes.substr(0, kHeaderBytes)),
        frames_(bytes.substr(kHeaderBytes)),
        frame_bytes_(kFrameHeaderBytes + page_bytes),
        count_(frames_.size() / frame_bytes_),
        big_((big_endian(bytes) & 1) != 0) {}

  [[nodiscard]] std::string_view frame(size_t n) const {
    return frames_.substr(n * frame_bytes_, frame_bytes_);
  }
  // Written since the log was begun anew: its two salts are the header's.
  [[nodiscard]] bool is_current(size_t n) const {
    return frame(n).substr(8, 8) == header_.substr(16, 8);
  }
  [[nodiscard]] bool ends_commit(size_t n) const { return big_endian(frame(n).substr(4)) != 0; }
  void add(size_t n, Checksum& sum) const {
    sum.add(frame(n).substr(0, 8), big_);
    sum.add(frame(n).substr(kFrameHeaderBytes), big_);
  }
  [[nodiscard]] Checksum stored(std::string_view at) const {
    return {big_endian(at), big_endian(at.substr(4))};
  }
  // A commit ends at or behind frame n, and another one goes on from it. The frames of a commit
  // that was rolled back or cut off may lie here too, but nothing ever went on from them.
  [[nodiscard]] bool commit_begun_after(size_t n) const {
    for (; n + 1 < count_; ++n) {
      if (!is_current(n) || !ends_commit(n) || !is_current(n + 1)) continue;
      Checksum sum = stored(frame(n).substr(16));
      add(n + 1, sum);
      if (sum == stored(frame(n + 1).substr(16))) return true;
    }
    return false;
  }
  // SQLite ignores all of a log with a bad header. A header that was being written when the power
  // went has only older frames behind it; to a damaged one the first frame still fits, either to
  // its checksum or to the one that it should have.
  [[nodiscard]] bool is_header_damaged(Checksum computed) const {
    if (big_endian(frame(0)) == 0) return false;  // no page has this number
    for (Checksum sum : {stored(header_.substr(24)), computed}) {
      add(0, sum);
      if (sum == stored(frame(0).substr(16))) return true;
    }
    return false;
  }

  std::string_view header_, frames_;
  size_t frame_bytes_, count_;
  bool big_;
};

Result<std::string> read_all(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(file_size(path).value_or(0), '\0');
  size_t at = 0;
  while (fd.is_open() && at < bytes.size()) {
    const ssize_t got =
        ::pread(fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    at += static_cast<size_t>(got);
  }
  if (!fd.is_open() || at < bytes.size()) {
    return fail(Errc::io, "cannot read " + path + ": " + std::strerror(errno));
  }
  return bytes;
}

}  // namespace

Result<LogEnd> check_log(const std::string& path, size_t page_bytes,
                         const std::optional<LogMark>& mark) {
  LogEnd end;
  if (!file_size(path)) return end;
  const Result<std::string> bytes = read_all(path);
  if (!bytes) return fail(bytes.error());
  const std::optional<Log> log = Log::of(*bytes, page_bytes);
  if (!log) return end;
  const std::optional<Log::Damage> damage = log->read(mark, end);
  if (!damage) return end;
  if (damage->is_marked) {
    return fail(Errc::corrupt,
                "log " + path + " is damaged in frame " + std::to_string(damage->frame) + ", but " +
                    std::to_string(mark->frames) + " were synced: the commits behind frame " +
                    std::to_string(end.whole) + " are lost",
                "restore the store from a backup, or remove " + path.substr(0, path.rfind('-')) +
                    kLogMarkSuffix + " to go on without them");
  }
  return fail(Errc::corrupt,
              "log " + path + " is damaged in " +
                  (damage->frame == 0 ? "its header" : "frame " + std::to_string(damage->frame)) +
                  ", commits behind that would be lost",
              "restore the store from a backup");
}

std::string torn_text(const std::string& path, const LogEnd& end) {
  return std::to_string(end.torn) + " frames at the end of log " + path +
         " are not whole and were left out: a commit that was cut off, which nobody was told of, "
         "or damage to the last commits" +
         (end.marked ? "; all that is known to be synced is there" : "");
}

}  // namespace zgrid::broker
