// How far a store's log is known to be on disk: PATH.synced.
//
// It is written after each commit was synced, and is not synced itself: that costs a microsecond,
// and whatever stands in it was true. After a kill it is exact, after a power cut it may be as old
// as the system's write-back, some 30 s, or missing. So it proves that commits are missing, never
// that none is.
// Threads: one at a time. Errors: a mark that cannot be written is left out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "broker/store/store_files.h"

namespace zgrid::broker {

inline constexpr const char* kLogMarkSuffix = ".synced";

struct LogMark {
  uint64_t salts = 0;   // of the log's header, as they stand there; each new log has others
  uint32_t frames = 0;  // so many of its frames are synced
};

// Nothing if there is none, or if it was not written to its end.
std::optional<LogMark> read_log_mark(const std::string& store_path);

class LogMarker {
 public:
  LogMarker() = default;
  // The log must exist, and stay the same file. A failure is a marker that writes nothing.
  explicit LogMarker(const std::string& store_path);
  // So many frames of the log as it is now are synced.
  void put(uint32_t frames);
  // The log begins anew with the next commit.
  void restart() { salts_.reset(); }

 private:
  Fd log_, mark_;
  std::optional<uint64_t> salts_;  // of the log as it is now, once they were read
  std::string part_;
};

}  // namespace zgrid::broker
