// The tables of the embedded store, and how a file of them is made and opened.
//
//   job    one row per accepted job, by seq, written once: what was accepted, and with it the state
//          and the result if they came in the same commit.
//   later  the latest state and the result where they came in a later commit. A row of its own,
//          so that an update neither rewrites nor reads what was accepted.
//   payload  inputs (2 * seq) and outputs (2 * seq + 1) that are too large for a row.
//   facts  who a worker is, once; rows name it by its number.
//   drain  the workers that are to get no jobs.
//   purged   what must be remembered of ended jobs whose rows are gone, some hundred in a row.
//   meta   row 1: the store's id, its epoch, and whether it was closed in an orderly way; row 2:
//   the
//          grid's clock.
//
// Ids are found through an index on their two halves as integers: it is the smallest one, and ids
// made at about the same time lie side by side in it. Parts are explained in rows.h. The status
// columns serve queries and are checked against the parts.
#pragma once

#include <memory>
#include <string>

#include "broker/store/other_rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

inline constexpr int32_t kApplicationId = 0x7a677264;  // "zgrd"
// 1: the first release, without purged and clock. Programs refuse a layout newer than theirs.
inline constexpr int32_t kSchemaVersion = 2;
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
// Brings an older layout up to kSchemaVersion in one transaction. Rows stay as they are: what they
// lack is known to those who read them.
Result<void> migrate(Database& db, const std::string& path);
// Whether its pages fit together, from which what recovery reads is still to be checked. If
// something is left in the log, all is left to SQLite. Errc::corrupt says what is wrong.
Result<void> check_database(Database& db, const std::string& path, bool log_is_empty);

Result<MetaPart> read_meta(Database& db);
// Durable when it returns.
Result<void> write_meta(Database& db, const MetaPart& meta);
Result<std::optional<PutClock>> read_clock(Database& db);

}  // namespace zgrid::broker
