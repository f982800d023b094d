// The tables of the embedded store, and how a file of them is made and opened.
//
//   job    one row per accepted job, by seq, written once: what was accepted, and with it the state
//          and the result if they came in the same commit.
//   later  the latest state and the result where they came in a later commit. A row of its own,
//          so that an update neither rewrites nor reads what was accepted.
//   payload  inputs (2 * seq) and outputs (2 * seq + 1) that are too large for a row.
//   facts  who a worker is, once; rows name it by its number.
//   drain  the workers that are to get no jobs.
//   meta   one row: the store's id, its epoch, and whether it was closed in an orderly way.
//
// Ids are found through an index on their two halves as integers: it is the smallest one, and ids
// made at about the same time lie side by side in it. Parts are explained in rows.h. The status
// columns serve queries and are checked against the parts.
#pragma once

#include <memory>
#include <string>

#include "broker/store/rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

inline constexpr int32_t kApplicationId = 0x7a677264;  // "zgrd"
inline constexpr int32_t kSchemaVersion = 1;
// A commit of one job writes few pages, so they are small. A file is never smaller than one.
inline constexpr size_t kPageBytes = 4096;

// The columns of a whole row, for SqliteStore::columns().
inline constexpr const char* kSelectRows =
    "SELECT j.seq, j.id_high, j.id_low, j.kind, j.status, j.accepted, j.state, j.ended,"
    " l.status, l.state, l.ended FROM job j LEFT JOIN later l ON l.seq = j.seq";

// Makes the file under another name and moves it into place, so that a file of that name is never
// half made. Errc::cannot_create, Errc::io.
Result<void> create_database(const std::string& path);
// Opens and configures it, and takes SQLite's own lock. Errc::corrupt, Errc::io, Errc::unsupported
// for a newer one, Errc::cannot_create for another program's file or one that is held.
Result<std::unique_ptr<Database>> open_database(const std::string& path);
// Reads every page and what is in it. Errc::corrupt says what is wrong.
Result<void> check_database(Database& db, const std::string& path);

Result<MetaPart> read_meta(Database& db);
// Durable when it returns.
Result<void> write_meta(Database& db, const MetaPart& meta);

}  // namespace zgrid::broker
