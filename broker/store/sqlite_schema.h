// The tables of the embedded store, and how a file of them is made and opened.
//
//   log      what commits said of jobs, a row for some jobs of a commit (log_row.h)
//   payload  inputs (2 * seq) and outputs (2 * seq + 1) that are too large for a row
//   facts    who a worker is, once; rows name it by its number
//   drain    the workers that are to get no jobs
//   purged   what must be remembered of ended jobs whose rows are gone, some hundred in a row
//   meta     row 1: the store's id and epoch, how far its logs go, whether it was closed in an
//            orderly way; row 2: the grid's clock
//
// Jobs are named by their numbers; whoever has an id knows the number. Parts are explained in
// rows.h.
#pragma once

#include <memory>
#include <string>

#include "broker/store/other_rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

inline constexpr int32_t kApplicationId = 0x7a677264;  // "zgrd"
// 1: the first release, without purged and clock. Up to 2: a table of jobs (old_tables.h) instead
// of the log. Programs refuse a layout newer than theirs.
inline constexpr int32_t kSchemaVersion = 3;
// A commit of one job writes few pages, so they are small. A file is never smaller than one.
inline constexpr size_t kPageBytes = 4096;

// Makes the file under another name and moves it into place once all of it is on disk, so that a
// file of that name is never half made, and needs no log. Errc::cannot_create, Errc::io,
// Errc::store_unavailable for a full disk.
Result<void> create_database(const std::string& path);
// Opens and configures it, and takes SQLite's own lock. Errc::corrupt, Errc::io, Errc::unsupported
// for a newer one, Errc::cannot_create for another program's file or one that is held.
Result<std::unique_ptr<Database>> open_database(const std::string& path);
// The same, but what is on disk stays as it is, also an older layout.
Result<std::unique_ptr<Database>> open_unchanged(const std::string& path);
// 1 to kSchemaVersion.
Result<int32_t> layout_version(Database& db, const std::string& path);
// Brings an older layout up to kSchemaVersion in one transaction, about a second for 200,000 jobs.
// Parts stay as they are: what they lack is known to those who read them. Errc::corrupt, Errc::io,
// Errc::store_unavailable; then a transaction may be open still.
Result<void> migrate(Database& db, const std::string& path);
// Whether its pages fit together, from which what recovery reads is still to be checked. If
// something is left in the log, all is left to SQLite. Errc::corrupt says what is wrong.
Result<void> check_database(Database& db, const std::string& path, bool log_is_empty);

Result<MetaPart> read_meta(Database& db);
// Durable when it returns.
Result<void> write_meta(Database& db, const MetaPart& meta);
Result<std::optional<PutClock>> read_clock(Database& db);

}  // namespace zgrid::broker
