#include "broker/store/sqlite_db.h"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

bool is_no_space(int system_errno) {
  return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

Trouble classify(int code, int system_errno) {
  switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return Trouble::none;
    case SQLITE_FULL: return Trouble::full;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Trouble::busy;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Trouble::corrupt;
    case SQLITE_IOERR:
      // A file that ended too early. Only a damaged one does.
      if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS) {
        return Trouble::corrupt;
      }
      // SQLite calls only ENOSPC "full"; a quota is no different.
      if (code == SQLITE_IOERR_WRITE && is_no_space(system_errno)) return Trouble::full;
      return Trouble::io;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return Trouble::io;
    default: return Trouble::other;
  }
}

}  // namespace

Failure fail(const Fault& fault, std::string doing) {
  doing += ": " + fault.text;
  switch (fault.trouble) {
    case Trouble::full:
      return fail(Errc::store_unavailable, std::move(doing), "make room on the disk");
    case Trouble::busy:
      return fail(Errc::cannot_create, std::move(doing),
                  "close the program that has the file open, such as sqlite3");
    case Trouble::corrupt:
      return fail(Errc::corrupt, std::move(doing), "restore the file from a backup");
    case Trouble::io: return fail(Errc::io, std::move(doing));
    case Trouble::none:
    case Trouble::other: return fail(Errc::internal, std::move(doing));
  }
  return fail(Errc::internal, std::move(doing));
}

// ---- statements -----------------------------------------------------------------------

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::bind(int at, int64_t value) {
  ZGRID_CHECK(sqlite3_bind_int64(statement_.get(), at, value) == SQLITE_OK);
}

void Statement::bind_blob(int at, std::string_view bytes) {
  // A null pointer would be stored as NULL, an empty text is not that.
  const char* data = bytes.data() ? bytes.data() : "";
  ZGRID_CHECK(sqlite3_bind_blob64(statement_.get(), at, data, bytes.size(), SQLITE_STATIC) ==
              SQLITE_OK);
}

void Statement::bind_text(int at, std::string_view text) {
  const char* data = text.data() ? text.data() : "";
  ZGRID_CHECK(sqlite3_bind_text64(statement_.get(), at, data, text.size(), SQLITE_STATIC,
                                  SQLITE_UTF8) == SQLITE_OK);
}

void Statement::bind_null(int at) {
  ZGRID_CHECK(sqlite3_bind_null(statement_.get(), at) == SQLITE_OK);
}

Step Statement::step() {
  switch (sqlite3_step(statement_.get())) {
    case SQLITE_ROW: return Step::row;
    case SQLITE_DONE: return Step::done;
    default: return Step::failed;
  }
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

bool Statement::run() {
  const Step step = this->step();
  // Reset repeats the code of a failed step, so that fault() still tells of it.
  reset();
  return step != Step::failed;
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (!data) return {};
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

// ---- connection -----------------------------------------------------------------------

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  // Its statistics of memory, which nobody reads, cost a lock at each allocation. It refuses once
  // it is in use, and it is no harm if it does.
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* db = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    const std::string text = db ? sqlite3_errmsg(db) : "out of memory";
    sqlite3_close(db);
    return zgrid::fail(Errc::io, "cannot open store " + path + ": " + text);
  }
  sqlite3_extended_result_codes(db, 1);
  std::unique_ptr<Database> database(new Database(db));
  sqlite3_wal_hook(db, &Database::on_wal, database.get());
  return database;
}

Database::~Database() {
  // Statements were finalized before; if not, the connection lives on as a zombie, and a second
  // broker would be refused for a reason that nobody sees.
  ZGRID_CHECK(sqlite3_close(db_) == SQLITE_OK);
}

int Database::on_wal(void* self, sqlite3*, const char*, int pages) {
  static_cast<Database*>(self)->wal_pages_ = static_cast<uint32_t>(pages);
  return SQLITE_OK;
}

Result<void> Database::execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    // Whatever it is asked first.
    if (sqlite3_errcode(db_) == SQLITE_NOTADB) return broker::fail(fault(), "it cannot be read");
    return broker::fail(fault(), "the store refuses to execute \"" + std::string(sql) + "\"");
  }
  return {};
}

Result<Statement> Database::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) !=
      SQLITE_OK) {
    return broker::fail(fault(), "the store refuses to prepare \"" + std::string(sql) + "\"");
  }
  return Statement(statement);
}

Result<std::string> Database::value(const std::string& sql) {
  Result<Statement> statement = prepare(sql.c_str());
  if (!statement) return zgrid::fail(std::move(statement.error()));
  switch (statement->step()) {
    case Step::row: return std::string(statement->blob(0));
    case Step::done: return std::string();
    case Step::failed: break;
  }
  return broker::fail(fault(), "the store cannot answer \"" + sql + "\"");
}

Fault Database::fault() const {
  const int code = sqlite3_extended_errcode(db_);
  // Of a commit that failed SQLite 3.40 does not keep it.
  const int kept = sqlite3_system_errno(db_);
  const int system_errno = kept != 0 ? kept : errno;
  Fault fault{classify(code, system_errno), sqlite3_errmsg(db_)};
  fault.text += " (SQLite " + std::to_string(code);
  if ((code & 0xff) == SQLITE_IOERR && system_errno != 0) {
    fault.text += ", " + std::string(std::strerror(system_errno));
  }
  fault.text += ")";
  return fault;
}

bool Database::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

Fault Database::checkpoint() {
  const int code =
      sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK) {
    wal_pages_ = 0;
    return {};
  }
  return fault();
}

void Database::abandon() { sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

Fault Database::copy_to(Database& other) {
  sqlite3_backup* copy = sqlite3_backup_init(other.db_, "main", db_, "main");
  if (copy == nullptr) return other.fault();
  sqlite3_backup_step(copy, -1);
  // Repeats the error of the step, and leaves it with the other database.
  if (sqlite3_backup_finish(copy) == SQLITE_OK) return {};
  return other.fault();
}

}  // namespace zgrid::broker
