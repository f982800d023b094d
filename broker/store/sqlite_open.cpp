// Opening and closing.
#include <sodium.h>

#include <algorithm>
#include <filesystem>

#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"
#include "broker/store/store_copy.h"
#include "broker/store/wal_check.h"

namespace zgrid::broker {
namespace {

// Whatever is there of a store must be whole: an empty file, or a log without its file, is what is
// left of one, and to begin anew would hide the loss.
Result<void> create_if_missing(const std::string& path) {
  if (file_size(path + kRestoringSuffix)) {
    return fail(Errc::corrupt, "the restore of store " + path + " was interrupted",
                "run zgrid store restore again");
  }
  const auto size = file_size(path);
  if (size && *size >= kPageBytes) return {};
  if (size) {
    return fail(
        Errc::corrupt,
        "store " + path + " was cut to " + std::to_string(*size) + " bytes, its contents are lost",
        "restore it from a backup, or remove it to begin anew");
  }
  if (file_size(path + "-wal").value_or(0) > 0) {
    return fail(Errc::corrupt,
                "store " + path + " is missing, but its log " + path + "-wal is there",
                "restore both, or remove the log to begin anew");
  }
  return create_database(path);
}

}  // namespace

SqliteStore::SqliteStore(std::string path, StoreLock lock, std::unique_ptr<Database> db)
    : path_(std::move(path)),
      lock_(std::move(lock)),
      db_(std::move(db)),
      reserve_(path_ + ".reserve") {}

Result<std::unique_ptr<JobStore>> SqliteStore::open(const std::string& where) {
  if (sodium_init() < 0) return fail(Errc::internal, "libsodium cannot be initialised");
  std::error_code error;
  const std::string path = std::filesystem::absolute(where, error).string();
  if (error) return fail(Errc::cannot_create, where + ": " + error.message());
  Result<void> ready = make_folder_of(path);
  if (ready) ready = refuse_network_folder(path);
  if (!ready) return fail(std::move(ready.error()));
  Result<StoreLock> lock = StoreLock::take(path);
  if (!lock) return fail(std::move(lock.error()));
  if (Result<void> created = create_if_missing(path); !created) {
    return fail(std::move(created.error()));
  }

  const std::string wal = path + "-wal";
  const uint64_t log_bytes = file_size(wal).value_or(0);
  const bool has_log = log_bytes > 0;  // an orderly stop removes it
  std::string notice;
  if (has_log) {
    drop_page_cache(path);
    drop_page_cache(wal);
    const Result<LogEnd> end = check_log(wal, kPageBytes, read_log_mark(path));
    if (!end) return fail(end.error());
    if (end->torn > 0) notice = torn_text(wal, *end);
  }
  Result<std::unique_ptr<Database>> db = open_database(path);
  if (!db) return fail(std::move(db.error()));
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, std::move(*lock), std::move(*db)));
  store->dead_ = true;  // until it is known to be whole, leave it as it was found
  const Result<MetaPart> meta = read_meta(*store->db_);
  Result<void> done = meta ? Result<void>() : fail(meta.error());
  bool drops_log = false;
  if (done) done = check_log_length(*meta, wal, log_bytes);
  if (done && (has_log || !meta->clean)) {
    Fault fault{Trouble::full, ""};
    if (store->may_checkpoint()) fault = store->db_->checkpoint();
    if (fault.trouble == Trouble::corrupt || fault.trouble == Trouble::io) {
      done = fail(fault, "cannot checkpoint store " + path);
    }
    const bool log_is_empty = fault.trouble == Trouble::none;
    if (done) done = check_database(*store->db_, path, log_is_empty);
  }
  if (done) {
    done = store->with_reserve([&] { return migrate(*store->db_, path); });
    drops_log = !done && !has_log;
  }
  if (done) done = store->prepare();
  if (done) done = store->log_.load(*meta);
  if (done) done = store->with_reserve([&] { return store->begin_epoch(); });
  if (done) done = grow_file(wal, store->log_bytes_wanted(wal));
  if (done) done = store->with_reserve([&] { return store->guard_log(wal); });
  if (done) done = store->facts_.load(*store->db_);
  if (!done) {
    store->db_->abandon();
    store.reset();
    // Nothing in it was committed, and on a full disk its space is needed.
    if (drops_log) std::filesystem::remove(wal, error);
    Error why = std::move(done.error());
    if (why.message.find(path) == std::string::npos) why.message += ", in store " + path;
    return fail(std::move(why));
  }
  store->low_space_ = !store->reserve_.fill();
  store->marker_ = LogMarker(path);
  store->info_.notice = std::move(notice);
  store->info_.notice_hint = kTornHint;
  store->dead_ = false;
  return std::unique_ptr<JobStore>(std::move(store));
}

// Without its own row a store cannot be opened, and a broker that ended on a full disk would not
// come back to the jobs that run. So this, too, may use what is kept in reserve.
Result<void> SqliteStore::with_reserve(const std::function<Result<void>()>& write) {
  Result<void> done = write();
  if (done || done.error().code != Errc::store_unavailable) return done;
  if (db_->in_transaction()) {
    if (Result<void> undone = db_->execute("ROLLBACK"); !undone) return undone;
  }
  if (!reserve_.release()) return done;
  low_space_ = true;
  return write();
}

// On a full disk what was kept in reserve goes to the log, before another program takes it.
uint64_t SqliteStore::log_bytes_wanted(const std::string& log) const {
  const uint64_t more = low_space_ ? file_size(log).value_or(0) + Reserve::kBytes : 0;
  return std::max(kWalBytes, more);
}

Result<void> SqliteStore::begin_epoch() {
  Result<MetaPart> meta = read_meta(*db_);
  if (!meta) return fail(std::move(meta.error()));
  ++meta->epoch;
  meta->clean = false;
  meta->log = log_.extent();
  if (Result<void> written = write_meta(*db_, *meta); !written) return written;
  info_.id = meta->id;
  info_.epoch = meta->epoch;
  info_.durable = true;
  info_.description = path_;
  return {};
}

// From now on a log that is shorter, or gone, was damaged: the database itself says so.
Result<void> SqliteStore::guard_log(const std::string& wal) {
  Result<MetaPart> meta = read_meta(*db_);
  if (!meta) return fail(std::move(meta.error()));
  meta->log_bytes = file_size(wal).value_or(0);
  if (Result<void> written = write_meta(*db_, *meta); !written) return written;
  if (may_checkpoint()) {
    const Fault fault = db_->checkpoint();
    if (fault.trouble == Trouble::corrupt || fault.trouble == Trouble::io) {
      return fail(fault, "cannot checkpoint store " + path_);
    }
  }
  // SQLite does not say if it could not sync the folder that got a new log.
  return sync_folder_of(path_);
}

Result<void> SqliteStore::prepare() {
  struct {
    Statement& statement;
    const char* text;
  } const all[] = {
      {sql_.begin, "BEGIN IMMEDIATE"},
      {sql_.commit, "COMMIT"},
      {sql_.rollback, "ROLLBACK"},
      {sql_.put_payload, "INSERT OR REPLACE INTO payload(key, data) VALUES(?1, ?2)"},
      {sql_.put_drain, "INSERT OR REPLACE INTO drain(worker, data) VALUES(?1, ?2)"},
      {sql_.drop_drain, "DELETE FROM drain WHERE worker = ?1"},
      {sql_.put_clock, "INSERT OR REPLACE INTO meta(n, data) VALUES(2, ?1)"},
      {sql_.put_purge, "INSERT OR REPLACE INTO purged(number, data) VALUES(?1, ?2)"},
      {sql_.drop_purge, "DELETE FROM purged WHERE number = ?1"},
      {sql_.drop_payload, "DELETE FROM payload WHERE key BETWEEN ?1 AND ?2"},
  };
  for (const auto& one : all) {
    Result<Statement> prepared = db_->prepare(one.text);
    if (!prepared) return fail(std::move(prepared.error()));
    one.statement = std::move(*prepared);
  }
  return reader_.prepare();
}

SqliteStore::~SqliteStore() {
  if (dead_) return;
  // If this fails the next start checks the file, nothing more.
  const bool marked =
      write_meta(*db_, MetaPart{info_.id, info_.epoch, true, 0, log_.extent()}).has_value();
  if (!marked) db_->abandon();
}

}  // namespace zgrid::broker
