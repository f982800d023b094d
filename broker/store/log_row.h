// A row of the log: what a commit, or a part of one, says of some jobs.
//
// It is: version u8, entries, how many rows the log had with this one u64 (so that recovery notices
// if some are missing), check u64. An entry is a head (seq, status, what it has, the lengths of its
// parts) and the parts (rows.h), which have seals of their own. The check covers the heads and the
// count and the run that its jobs have, and is keyed with the row's number: so damage to a part is
// damage to one job. A row of 4 KiB has a page for itself. Threads: pure functions; a writer is of
// one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/rows.h"

namespace zgrid::broker {

// What one commit says of one job. Later entries replace earlier ones: one that was accepted all of
// them, another one the last that had no `accepted`.
struct LogEntry {
  uint64_t seq = 0;
  JobStatus status = JobStatus::queued;  // as its parts say
  bool is_broadcast = false;             // with `accepted` only
  bool is_eventful = false;  // the state is still worth something when the job has ended
  bool has_outside = false;  // a payload of it lies beside the log
  std::optional<std::string_view> accepted, state, ended;
};

class LogRowWriter {
 public:
  LogRowWriter() { clear(); }
  // Rows with more than one entry are at most so long: a page of 4 KiB less what SQLite needs.
  static constexpr size_t kBytesMax = 4040;

  // How long the row would be with one entry more.
  [[nodiscard]] size_t size_with(const LogEntry& entry) const;
  void add(const LogEntry& entry);
  [[nodiscard]] size_t entries() const { return entries_; }
  // Its bytes, valid until clear(). `run`: that of the jobs that were accepted, which the table has
  // in a column of its own.
  std::string_view seal(uint64_t number, uint64_t rows, std::string_view run);
  void clear();

 private:
  std::string bytes_, heads_;
  size_t entries_ = 0;
};

// The parts of the entries are views of `row`, not looked into yet. Errc::corrupt; then
// `into` has nothing.
struct LogRow {
  uint64_t rows = 0;
  std::vector<LogEntry> entries;
  std::string heads;
};
Result<void> read_log_row(std::string_view row, uint64_t number, std::string_view run,
                          LogRow& into);

}  // namespace zgrid::broker
