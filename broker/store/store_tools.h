// What can be done with a store that no broker holds: `zgrid store check|backup|restore`.
// Each takes the store's lock first: Errc::cannot_create names the broker that has it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/store/other_rows.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace zgrid::broker {

struct StoreReport {
  StoreId id;
  uint64_t epoch = 0;
  uint64_t unfinished = 0, ended = 0, purged = 0;
  uint64_t bytes = 0;            // of the files
  bool clean = true;             // closed in an orderly way
  std::optional<LogExtent> log;  // how far its log of jobs goes; nothing: it has an older layout
  // One line for each damage that was found, the job or the table first; at most kDamagesMax.
  std::vector<std::string> damages;
  bool more_damages = false;
  // What is no damage, or cannot be told from what a kill leaves.
  std::vector<std::string> notices;
};
inline constexpr size_t kDamagesMax = 100;

// Reads every page, every row and every payload, and checks what belongs together; changes nothing.
// Damage is no error but in the report. Errc::not_found, Errc::io, Errc::unsupported.
Result<StoreReport> check_store(const std::string& path);

// A copy of a store that is not running. Errc::cannot_create if `to` exists, Errc::corrupt if the
// store is damaged: a broken copy is no backup.
Result<StoreReport> backup_store(const std::string& path, const std::string& to);

// Puts a backup in the place of a store. What was there is moved aside, its new name is in
// `moved_to` (empty: nothing was there). The store gets a new id, since what came after the backup
// is another history: workers and clients that saw the old one must not believe it is the same.
// Errc::corrupt if the backup is damaged; then nothing was changed.
struct Restored {
  StoreReport report;
  std::string moved_to;
};
Result<Restored> restore_store(const std::string& backup, const std::string& path);

}  // namespace zgrid::broker
