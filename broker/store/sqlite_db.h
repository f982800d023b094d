// SQLite, thinly: a connection, prepared statements, and what went wrong. The only file of the
// project that knows sqlite3.h is the .cpp of this one.
// Threads: one at a time. Lifetime: a statement must not outlive its database.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/store_files.h"
#include "protocol/base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace zgrid::broker {

// What an error means for somebody who wants to commit.
enum class Trouble : uint8_t {
  none,
  full,     // no space, no quota: nothing was written, later it may work
  busy,     // somebody else holds the file
  corrupt,  // the bytes of the file make no sense, or it is no database at all
  io,       // a read, write or sync failed: nothing more may be believed
  other,    // out of memory, a mistake of ours
};

struct Fault {
  Trouble trouble = Trouble::none;
  std::string text;  // "database or disk is full (SQLite 13)"
};

// As an Error that begins with `doing`: "cannot read job …".
Failure fail(const Fault& fault, std::string doing);

enum class Step : uint8_t { row, done, failed };

class Statement {
 public:
  Statement() = default;

  // Parameters count from 1. The memory of a blob or text must stay until reset().
  void bind(int at, int64_t value);
  void bind_blob(int at, std::string_view bytes);
  void bind_text(int at, std::string_view text);
  void bind_null(int at);

  Step step();
  // Makes ready for the next run; parameters keep their values.
  void reset();
  // step() and reset() of a statement that gives no rows. False if it failed.
  bool run();

  // Columns count from 0. Views last until the next step or reset.
  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] int64_t integer(int column) const;
  [[nodiscard]] std::string_view blob(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Resets a statement when its rows are no longer needed.
class ResetAtEnd {
 public:
  explicit ResetAtEnd(Statement& statement) : statement_(statement) {}
  ResetAtEnd(const ResetAtEnd&) = delete;
  ResetAtEnd& operator=(const ResetAtEnd&) = delete;
  ~ResetAtEnd() { statement_.reset(); }

 private:
  Statement& statement_;
};

class Database {
 public:
  // Opens a file that exists. Nothing is read yet, so little can fail.
  static Result<std::unique_ptr<Database>> open(const std::string& path);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  // Checkpoints and removes the WAL, unless abandoned.
  ~Database();

  Result<void> execute(const char* sql);
  Result<Statement> prepare(const char* sql);
  // The first column of the first row, as text; empty if there is no row.
  Result<std::string> value(const std::string& sql);

  // Of the call that failed last. Ask at once: part of it may be what errno says.
  [[nodiscard]] Fault fault() const;
  [[nodiscard]] bool in_transaction() const;
  // Moves what it can from the WAL to the database, with syncs.
  Fault checkpoint();
  // Pages in the WAL after the last commit.
  [[nodiscard]] uint32_t wal_pages() const { return wal_pages_; }
  // From now on the files are left as they are, also at the end.
  void abandon();
  // For descriptors of the database's file: closing one ends all locks of this process on it.
  void keep_until_closed(Fd file) { kept_.push_back(std::move(file)); }
  // Makes another database, which nobody else uses, the same as this one, page by page.
  Fault copy_to(Database& other);

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  static int on_wal(void* self, sqlite3* db, const char* name, int pages);

  sqlite3* db_;
  std::vector<Fd> kept_;  // closed after db_
  uint32_t wal_pages_ = 0;
};

}  // namespace zgrid::broker
