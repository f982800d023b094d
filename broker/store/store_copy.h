// Copies of whole stores.
// Threads: one at a time.
#pragma once

#include <string>

#include "broker/store/other_rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

// While a store is being replaced by another one, that one has this name, and the store must not be
// opened.
inline constexpr const char* kRestoringSuffix = ".restoring";

// Writes all that is committed into a new file of mode 0600, which then is a store that says of
// itself what `meta` says. Nothing of that name is there until all of it is on disk.
// Errc::cannot_create if the file exists or cannot be made, Errc::io otherwise.
Result<void> copy_database(Database& from, const std::string& to, const MetaPart& meta);

}  // namespace zgrid::broker
