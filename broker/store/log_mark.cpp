#include "broker/store/log_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include "broker/store/row_bytes.h"

namespace zgrid::broker {
namespace {

// See https://www.sqlite.org/fileformat2.html#walformat
constexpr off_t kSaltsAt = 16;
constexpr size_t kPartBytes = 1 + sizeof(uint64_t) + sizeof(uint32_t) + sizeof(uint64_t);

}  // namespace

std::optional<LogMark> read_log_mark(const std::string& store_path) {
  const Fd fd(::open((store_path + kLogMarkSuffix).c_str(), O_RDONLY | O_CLOEXEC));
  std::string part(kPartBytes, '\0');
  if (!fd.is_open() || ::pread(fd.get(), part.data(), part.size(), 0) != ssize_t{kPartBytes}) {
    return std::nullopt;
  }
  std::optional<PartReader> r = PartReader::open(part, PartKind::log_mark, 0);
  if (!r) return std::nullopt;
  LogMark mark;
  mark.salts = r->u64();
  mark.frames = r->u32();
  return r->finished() ? std::optional(mark) : std::nullopt;
}

LogMarker::LogMarker(const std::string& store_path)
    : log_(::open((store_path + "-wal").c_str(), O_RDONLY | O_CLOEXEC)),
      mark_(::open((store_path + kLogMarkSuffix).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}

void LogMarker::put(uint32_t frames) {
  if (frames == 0 || !log_.is_open() || !mark_.is_open()) return;
  if (!salts_) {
    uint64_t salts = 0;
    if (::pread(log_.get(), &salts, sizeof salts, kSaltsAt) != ssize_t{sizeof salts}) return;
    salts_ = salts;
  }
  PartWriter w(part_);
  w.u64(*salts_);
  w.u32(frames);
  w.seal(PartKind::log_mark, 0);
  // On a full disk an old mark stays, which claims less.
  static_cast<void>(::pwrite(mark_.get(), part_.data(), part_.size(), 0) < 0);
}

}  // namespace zgrid::broker
