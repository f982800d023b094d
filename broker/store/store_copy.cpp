#include "broker/store/store_copy.h"

#include <cstdio>

#include "broker/store/sqlite_schema.h"
#include "broker/store/store_files.h"

namespace zgrid::broker {
namespace {

// Whoever makes a copy waits for all of it to be on disk once, at the end.
constexpr const char* kNoSyncs = R"(
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA synchronous = OFF;
  PRAGMA journal_mode = OFF;
)";
// Without a log a copy is one file.
constexpr const char* kOneFile = R"(
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA synchronous = OFF;
  PRAGMA journal_mode = DELETE;
)";

Result<void> fill(Database& from, const std::string& path) {
  Result<std::unique_ptr<Database>> copy = Database::open(path);
  if (!copy) return fail(std::move(copy.error()));
  if (Result<void> set = (*copy)->execute(kNoSyncs); !set) return set;
  const Fault fault = from.copy_to(**copy);
  if (fault.trouble != Trouble::none) return fail(fault, "cannot write " + path);
  return {};
}

Result<void> mark(const std::string& path, const MetaPart& meta) {
  Result<std::unique_ptr<Database>> copy = Database::open(path);
  if (!copy) return fail(std::move(copy.error()));
  if (Result<void> set = (*copy)->execute(kOneFile); !set) return set;
  return write_meta(**copy, meta);
}

}  // namespace

Result<void> copy_database(Database& from, const std::string& to, const MetaPart& meta) {
  if (file_size(to)) {
    return fail(Errc::cannot_create, to + " exists", "choose another name, or move it away");
  }
  const std::string part = to + ".part";
  Result<void> done = make_private_file(part);
  if (!done) return done;
  done = fill(from, part);
  if (done) done = mark(part, meta);
  if (done) done = sync_file(part);
  if (done) done = move_file(part, to);
  if (done) return done;
  for (const char* suffix : {"", "-wal", "-journal"}) std::remove((part + suffix).c_str());
  Error error = std::move(done.error());
  if (error.code != Errc::cannot_create) error.code = Errc::io;
  return fail(std::move(error));
}

}  // namespace zgrid::broker
