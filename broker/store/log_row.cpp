#include "broker/store/log_row.h"

namespace zgrid::broker {
namespace {

enum Has : uint8_t {
  kAccepted = 1,
  kState = 2,
  kEnded = 4,
  kBroadcast = 8,
  kEventful = 16,
  kOutside = 32,
};
constexpr uint8_t kHasAll = 63;

// Of the row's own layout; parts have versions of their own.
constexpr uint8_t kVersion = 1;

constexpr size_t kHeadBytes = 8 + 1 + 1;  // seq, status, what it has; then lengths
constexpr size_t kLengthBytes = sizeof(uint32_t);
constexpr size_t kTailBytes = 8 + 8;          // rows, check
constexpr size_t kRowBytes = 1 + kTailBytes;  // with the version

size_t bytes_of(const std::optional<std::string_view>& part) {
  return part ? kLengthBytes + part->size() : 0;
}

Failure corrupt(uint64_t number, LogRow& into) {
  into = LogRow{};
  return fail(Errc::corrupt, "row " + std::to_string(number) +
                                 " of the log fails its checksum or has impossible values");
}

}  // namespace

void LogRowWriter::clear() {
  bytes_.assign(1, static_cast<char>(kVersion));
  heads_.clear();
  entries_ = 0;
}

size_t LogRowWriter::size_with(const LogEntry& entry) const {
  // The version is there already.
  return bytes_.size() - 1 + kRowBytes + kHeadBytes + bytes_of(entry.accepted) +
         bytes_of(entry.state) + bytes_of(entry.ended);
}

void LogRowWriter::add(const LogEntry& entry) {
  PartWriter w = PartWriter::go_on(bytes_);
  uint8_t has = 0;
  if (entry.accepted) has |= kAccepted;
  if (entry.state) has |= kState;
  if (entry.ended) has |= kEnded;
  if (entry.is_broadcast) has |= kBroadcast;
  if (entry.is_eventful) has |= kEventful;
  if (entry.has_outside) has |= kOutside;
  const size_t head = bytes_.size();
  w.u64(entry.seq);
  w.u8(static_cast<uint8_t>(entry.status));
  w.u8(has);
  const std::optional<std::string_view>* const parts[] = {&entry.accepted, &entry.state,
                                                          &entry.ended};
  for (const auto* part : parts) {
    if (*part) w.u32(static_cast<uint32_t>((*part)->size()));
  }
  heads_.append(bytes_, head);
  for (const auto* part : parts) {
    if (*part) bytes_.append(**part);
  }
  ++entries_;
}

std::string_view LogRowWriter::seal(uint64_t number, uint64_t rows, std::string_view run) {
  PartWriter w = PartWriter::go_on(bytes_);
  w.u64(rows);
  heads_.append(bytes_, bytes_.size() - sizeof rows);
  heads_.append(run);
  w.u64(part_check(heads_, PartKind::log_row, number));
  return bytes_;
}

Result<void> read_log_row(std::string_view row, uint64_t number, std::string_view run,
                          LogRow& into) {
  into.entries.clear();
  into.heads.clear();
  if (row.size() < kRowBytes || static_cast<uint8_t>(row[0]) != kVersion) {
    return corrupt(number, into);
  }
  PartReader r = PartReader::unchecked(row.substr(1));
  while (r.left() > kTailBytes) {
    LogEntry entry;
    const size_t head = row.size() - r.left();
    entry.seq = r.u64();
    const uint8_t status = r.u8();
    const uint8_t has = r.u8();
    size_t sizes[] = {0, 0, 0};
    std::optional<std::string_view>* const parts[] = {&entry.accepted, &entry.state, &entry.ended};
    for (size_t i = 0; i < 3; ++i) {
      if (has & 1u << i) sizes[i] = r.u32();
    }
    into.heads.append(row.substr(head, row.size() - r.left() - head));
    for (size_t i = 0; i < 3; ++i) {
      if (has & 1u << i) *parts[i] = r.take(sizes[i]);
    }
    if (status >= kJobStatusCount || (has & ~kHasAll) != 0 || entry.seq == 0) {
      return corrupt(number, into);
    }
    entry.status = static_cast<JobStatus>(status);
    entry.is_broadcast = (has & kBroadcast) != 0;
    entry.is_eventful = (has & kEventful) != 0;
    entry.has_outside = (has & kOutside) != 0;
    into.entries.push_back(entry);
  }
  into.heads.append(row.substr(row.size() - kTailBytes, sizeof into.rows));
  into.heads.append(run);
  into.rows = r.u64();
  const uint64_t check = r.u64();
  if (!r.finished() || check != part_check(into.heads, PartKind::log_row, number)) {
    return corrupt(number, into);
  }
  return {};
}

}  // namespace zgrid::broker
