// The tables of jobs that layouts 1 and 2 of a store had. They are read once, when such a store is
// brought up to the present layout, and by `zgrid store check`.
//
//   job    one row per accepted job: what was accepted, and with it the state and the result if
//          they came in the same commit; an index of ids, one of runs, one of bad ends.
//   later  the latest state and the result where they came in a later commit.
#pragma once

#include <functional>

#include "broker/store/sqlite_rows.h"

namespace zgrid::broker {

inline constexpr const char* kOldTables = R"(
  CREATE TABLE job(seq INTEGER PRIMARY KEY, id_high INTEGER NOT NULL, id_low INTEGER NOT NULL,
                   status INTEGER NOT NULL, kind INTEGER NOT NULL, run TEXT,
                   accepted BLOB NOT NULL, state BLOB, ended BLOB);
  CREATE INDEX job_id ON job(id_high, id_low);
  CREATE INDEX job_run ON job(run) WHERE run IS NOT NULL;
  CREATE INDEX job_bad ON job(status) WHERE status >= 5;
  CREATE TABLE later(seq INTEGER PRIMARY KEY, status INTEGER NOT NULL, state BLOB, ended BLOB);
  CREATE INDEX later_bad ON later(status) WHERE status >= 5;
)";
inline constexpr const char* kDropOldTables = "DROP TABLE later; DROP TABLE job";

// Every job by its number, with its parts as they are and as they were understood; an error of
// `visit` ends it. Errc::corrupt, Errc::io.
using OnOldJob = std::function<Result<void>(const JobParts& parts, Result<StoredJob>&& job)>;
Result<void> read_old_tables(Database& db, RowReader& reader, const RowReader::Wanted& wanted,
                             const OnOldJob& visit);

}  // namespace zgrid::broker
