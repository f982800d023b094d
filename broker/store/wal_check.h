// Finds commits that SQLite would silently leave out.
//
// After an unclean stop SQLite reads its write-ahead log up to the first frame that fails its
// checksum and takes that for the end. It is the end if the power went while the last commit was
// being written. But each commit is synced before the next one begins: if a later commit was begun
// behind the bad frame, the frame was on disk once, and what follows was acknowledged.
//
// Not found: damage to the last commit, which looks like one that was never finished; a log that
// was cut off or removed.
// Source: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
// Threads: any. Reads the log once, some 10 ms for its 16 MiB.
#pragma once

#include <cstddef>
#include <string>

#include "protocol/base/result.h"

namespace zgrid::broker {

// Before SQLite opens the store. Errc::corrupt, Errc::io.
Result<void> check_log(const std::string& path, size_t page_bytes);

}  // namespace zgrid::broker
