#include "broker/store/sqlite_schema.h"

#include <fcntl.h>
#include <sodium.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "broker/store/log_table.h"
#include "broker/store/old_tables.h"
#include "broker/store/page_check.h"
#include "broker/store/store_files.h"

namespace zgrid::broker {
namespace {

// What all layouts have, and then what the second and the third brought.
constexpr const char* kTables = R"(
  CREATE TABLE meta(n INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE payload(key INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE facts(n INTEGER PRIMARY KEY, data BLOB NOT NULL);
  CREATE TABLE drain(worker BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
)";
constexpr const char* kTables2 = R"(
  CREATE TABLE purged(number INTEGER PRIMARY KEY, data BLOB NOT NULL);
)";
constexpr const char* kTables3 = R"(
  CREATE TABLE log(n INTEGER PRIMARY KEY, run TEXT, data BLOB NOT NULL);
  CREATE INDEX log_run ON log(run) WHERE run IS NOT NULL;
)";

// In this order: the exclusive lock first, so that the WAL's index needs no shared memory.
// 16 MiB of pages hold the part of the database that is being written.
constexpr const char* kSettings = R"(
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA synchronous = FULL;
  PRAGMA secure_delete = OFF;
  PRAGMA temp_store = MEMORY;
  PRAGMA cache_size = -16384;
)";

Result<void> fill_new_file(const std::string& path) {
  Result<std::unique_ptr<Database>> opened = Database::open(path);
  if (!opened) return fail(std::move(opened.error()));
  Database& db = **opened;
  const std::string marks = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                            "; PRAGMA user_version = " + std::to_string(kSchemaVersion) + ";";
  const std::string page_size = "PRAGMA page_size = " + std::to_string(kPageBytes);
  for (const char* sql : {kSettings, page_size.c_str(), "PRAGMA journal_mode = WAL", "BEGIN",
                          marks.c_str(), kTables, kTables2, kTables3}) {
    if (Result<void> done = db.execute(sql); !done) return done;
  }
  MetaPart meta;
  randombytes_buf(meta.id.bytes.data(), meta.id.bytes.size());
  Result<void> done = write_meta(db, meta);
  if (done) done = db.execute("COMMIT");
  if (!done) return done;
  // The file is moved without its log. Closing would move the log's pages, too, but could not say
  // if it failed.
  const Fault fault = db.checkpoint();
  if (fault.trouble != Trouble::none) return fail(fault, "it cannot be written");
  return {};
}

Result<void> check_marks(Database& db, const std::string& path) {
  const Result<std::string> application = db.value("PRAGMA application_id");
  if (!application) return fail(application.error());
  if (*application != std::to_string(kApplicationId)) {
    return fail(Errc::cannot_create, path + " is an SQLite file of another program",
                "choose another store with --store");
  }
  return {};
}

// Compares the layout with that of a new store, as bits of it may have flipped too.
Result<void> check_layout(Database& db, const std::string& path, int32_t version) {
  constexpr const char* kLayout =
      "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)";
  Result<std::unique_ptr<Database>> model = Database::open(":memory:");
  if (!model) return fail(std::move(model.error()));
  for (const char* tables :
       {kTables, version >= 2 ? kTables2 : "", version >= 3 ? kTables3 : kOldTables}) {
    if (Result<void> made = (*model)->execute(tables); !made) return made;
  }
  const Result<std::string> right = (*model)->value(kLayout);
  if (!right) return fail(right.error());
  const Result<std::string> ours = db.value(kLayout);
  if (!ours) return fail(ours.error());
  if (*ours == *right) return {};
  return fail(Errc::corrupt, "the description of the tables in store " + path + " is damaged",
              "restore it from a backup");
}

Result<std::unique_ptr<Database>> open_checked(const std::string& path, bool may_change) {
  Result<std::unique_ptr<Database>> opened = Database::open(path);
  if (!opened) return opened;
  Database& db = **opened;
  if (!may_change) db.abandon();
  Result<void> done = db.execute(kSettings);
#if ZGRID_TEST_HOOKS
  // Planted by the fault tests, which must notice it.
  if (done && std::getenv("PLANT_STORE_WITHOUT_SYNC")) {
    done = db.execute("PRAGMA synchronous = OFF");
  }
#endif
  if (done && !may_change) done = db.execute("PRAGMA query_only = ON");
  if (done) done = check_marks(db, path);
  if (done) {
    const Result<int32_t> version = layout_version(db, path);
    done = version ? check_layout(db, path, *version) : fail(version.error());
  }
  if (done && may_change) {
    const Result<std::string> mode = db.value("PRAGMA journal_mode = WAL");
    if (!mode) {
      done = fail(mode.error());
    } else if (*mode != "wal") {
      done = fail(Errc::io, "the store cannot use a write-ahead log, only " + *mode);
    }
  }
  if (done) return opened;
  db.abandon();
  Error error = std::move(done.error());
  if (error.message.find(path) == std::string::npos) {
    error.message = "cannot open store " + path + ": " + error.message;
  }
  return fail(std::move(error));
}

Result<void> quick_check(Database& db) {
  const Result<std::string> verdict = db.value("PRAGMA quick_check(1)");
  if (!verdict) return fail(verdict.error());
  if (*verdict == "ok") return {};
  return fail(Errc::corrupt, *verdict);
}

Result<void> check_file(Database& db, const std::string& path) {
  // The first page is the root of the list of the others.
  PageLayout layout{0, 0, {1}};
  Result<Statement> all = db.prepare(
      "SELECT rootpage, (SELECT page_count FROM pragma_page_count),"
      " (SELECT freelist_count FROM pragma_freelist_count) FROM sqlite_schema WHERE rootpage > 0");
  if (!all) return fail(std::move(all.error()));
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    layout.roots.push_back(static_cast<uint32_t>(all->integer(0)));
    layout.pages = static_cast<uint32_t>(all->integer(1));
    layout.free_pages = static_cast<uint32_t>(all->integer(2));
  }
  if (step == Step::failed) return fail(db.fault(), "cannot read the list of tables");
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return fail(Errc::io, "cannot open " + path + ": " + std::strerror(errno));
  Result<void> checked = check_pages(file.get(), layout);
  // Closing it now would end SQLite's locks on the file.
  db.keep_until_closed(std::move(file));
  return checked;
}

// Each job as one entry. Whatever was kept of its state stays.
Result<void> move_to_log(Database& db) {
  FactsTable facts;
  RowReader reader(db, facts);
  LogTable log(db);
  Result<void> done = facts.load(db);
  if (done) done = reader.prepare();
  if (done) done = log.load(MetaPart{});
  if (!done) return done;
  done = read_old_tables(db, reader, RowReader::Wanted{0, false},
                         [&](const JobParts& parts, Result<StoredJob>&& job) -> Result<void> {
                           if (!job) return fail(std::move(job.error()));
                           LogEntry entry;
                           entry.seq = parts.seq;
                           entry.status = parts.status;
                           entry.is_broadcast = parts.is_broadcast;
                           entry.is_eventful = parts.state.has_value();
                           entry.has_outside = true;  // it may have
                           entry.accepted = parts.accepted;
                           entry.state = parts.state;
                           entry.ended = parts.ended;
                           if (log.add(entry, parts.run)) return {};
                           return fail(db.fault(), "cannot move the jobs to the log");
                         });
  if (!done) return done;
  if (!log.finish()) return fail(db.fault(), "cannot move the jobs to the log");
  return {};
}

}  // namespace

Result<void> create_database(const std::string& path) {
  const std::string fresh = path + ".new";
  const auto remove = [&](std::initializer_list<const char*> suffixes) {
    for (const char* suffix : suffixes) std::remove((fresh + suffix).c_str());
  };
  remove({"-wal", "-journal"});
  Result<void> done = make_private_file(fresh);
  if (done) done = fill_new_file(fresh);
  if (done) done = sync_file(fresh);
  if (!done) {
    remove({"", "-wal", "-journal"});
    done.error().message = "cannot create store " + path + ": " + done.error().message;
    return done;
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) {
    return fail(Errc::cannot_create, "cannot create " + path + ": " + std::strerror(errno));
  }
  return sync_folder_of(path);
}

Result<std::unique_ptr<Database>> open_database(const std::string& path) {
  return open_checked(path, true);
}

Result<std::unique_ptr<Database>> open_unchanged(const std::string& path) {
  return open_checked(path, false);
}

Result<int32_t> layout_version(Database& db, const std::string& path) {
  const Result<std::string> version = db.value("PRAGMA user_version");
  if (!version) return fail(version.error());
  for (int32_t known = 1; known <= kSchemaVersion; ++known) {
    if (*version == std::to_string(known)) return known;
  }
  return fail(Errc::unsupported,
              "store " + path + " has layout " + *version + ", this program knows those up to " +
                  std::to_string(kSchemaVersion),
              "use the version of zgrid that wrote it, or a newer one");
}

Result<void> migrate(Database& db, const std::string& path) {
  const Result<int32_t> version = layout_version(db, path);
  if (!version) return fail(version.error());
  if (*version == kSchemaVersion) return {};
  Result<void> done = db.execute("BEGIN IMMEDIATE");
  if (done && *version < 2) done = db.execute(kTables2);
  if (done) done = db.execute(kTables3);
  if (done) done = move_to_log(db);
  const std::string mark = "PRAGMA user_version = " + std::to_string(kSchemaVersion);
  for (const char* sql : {kDropOldTables, mark.c_str(), "COMMIT"}) {
    if (done) done = db.execute(sql);
  }
  return done;
}

Result<void> check_database(Database& db, const std::string& path, bool log_is_empty) {
  Result<void> done = log_is_empty ? check_file(db, path) : quick_check(db);
  if (done || done.error().code != Errc::corrupt) return done;
  return fail(Errc::corrupt, "store " + path + " is damaged: " + done.error().message,
              "restore it from a backup, or move it away to begin with an empty one");
}

Result<MetaPart> read_meta(Database& db) {
  Result<Statement> read = db.prepare("SELECT data FROM meta WHERE n = 1");
  if (!read) return fail(std::move(read.error()));
  switch (read->step()) {
    case Step::row: return decode_meta(read->blob(0));
    case Step::done: return fail(Errc::corrupt, "the store's own row is missing");
    case Step::failed: break;
  }
  return fail(db.fault(), "cannot read the store's own row");
}

Result<void> write_meta(Database& db, const MetaPart& meta) {
  Result<Statement> write = db.prepare("INSERT OR REPLACE INTO meta(n, data) VALUES(1, ?1)");
  if (!write) return fail(std::move(write.error()));
  const std::string data = encode_meta(meta);
  write->bind_blob(1, data);
  if (!write->run()) return fail(db.fault(), "cannot write the store's own row");
  return {};
}

Result<std::optional<PutClock>> read_clock(Database& db) {
  Result<Statement> read = db.prepare("SELECT data FROM meta WHERE n = 2");
  if (!read) return fail(std::move(read.error()));
  switch (read->step()) {
    case Step::row: {
      Result<PutClock> clock = decode_clock(read->blob(0));
      if (!clock) return fail(std::move(clock.error()));
      return *clock;
    }
    case Step::done: return std::nullopt;
    case Step::failed: break;
  }
  return fail(db.fault(), "cannot read the grid's clock");
}

}  // namespace zgrid::broker
