// Finds commits that SQLite would silently leave out.
//
// After an unclean stop SQLite reads its write-ahead log up to the first frame that fails its
// checksum and takes that for the end. It is the end if the power went while the last commit was
// being written. But each commit is synced before the next one begins: if a later commit was begun
// behind the bad frame, the frame was on disk once, and what follows was acknowledged.
//
// Whether the last commit of a log is damaged cannot be seen in the log: it looks like one that was
// never finished. The mark (log_mark.h) tells if it was synced. Without one, what is left of a
// commit behind the end is counted.
//
// Not found: damage to the last commits if the power went as well within the seconds that the
// system takes to write the mark, but for the count; a log that was removed (see other_rows.h).
// Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
// Threads: any. Reads the log once, some 10 ms for its 16 MiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "broker/store/log_mark.h"
#include "protocol/base/result.h"

namespace zgrid::broker {

struct LogEnd {
  uint64_t whole = 0;   // frames up to the end of the last commit, which SQLite reads
  uint64_t torn = 0;    // frames behind that, of this log and no older one, that it leaves out
  bool marked = false;  // all that is known to be synced is whole
};
// Before SQLite opens the store. Errc::corrupt, Errc::io.
Result<LogEnd> check_log(const std::string& path, size_t page_bytes,
                         const std::optional<LogMark>& mark);
// What to tell of a log with torn frames, and what to do.
std::string torn_text(const std::string& path, const LogEnd& end);
inline constexpr const char* kTornHint =
    "this is normal after a kill, a full disk or a power cut; if there was none, check the disk";

}  // namespace zgrid::broker
