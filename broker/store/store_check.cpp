#include "broker/store/store_check.h"

#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include "broker/store/log_table.h"
#include "broker/store/old_tables.h"
#include "broker/store/sqlite_schema.h"
#include "broker/store/store_files.h"
#include "broker/store/wal_check.h"

namespace zgrid::broker {
namespace {

class Check {
 public:
  Check(Database& db, StoreReport& report) : db_(db), report_(report), reader_(db, facts_) {}

  // Errc::io only.
  Result<void> run(const std::string& path) {
    const Result<int32_t> version = layout_version(db_, path);
    if (!version) return fail(version.error());
    Result<void> done = pages();
    if (done) done = meta();
    if (done) done = note("worker facts", facts_.load(db_));
    if (done) done = reader_.prepare();
    if (done) done = *version >= 3 ? log() : old_jobs();
    note_twice();
    if (done && *version >= 2) done = purges();
    if (done) done = drains();
    if (done) done = payloads();
    return done;
  }

 private:
  void damage(const std::string& what, const std::string& how) {
    report_.more_damages = report_.damages.size() >= kDamagesMax;
    if (!report_.more_damages) report_.damages.push_back(what + ": " + how);
  }
  // Notes a damage; other errors end the check.
  Result<void> note(const std::string& what, const Result<void>& result) {
    if (result) return {};
    if (result.error().code != Errc::corrupt) return result;
    damage(what, result.error().message);
    return {};
  }
  // Calls `row` for each row; a table that cannot be read to its end is a damage.
  template <class OnRow>
  Result<void> each(const char* table, const std::string& sql, OnRow&& on_row) {
    Result<Statement> all = db_.prepare(sql.c_str());
    if (!all) return note(table, fail(std::move(all.error())));
    Step step = all->step();
    for (; step == Step::row; step = all->step()) {
      if (Result<void> done = on_row(*all); !done) return done;
    }
    if (step == Step::done) return {};
    return note(table, fail(db_.fault(), "cannot read the rest of it"));
  }
  Result<void> pages() {
    const std::string sql = "PRAGMA integrity_check(" + std::to_string(kDamagesMax) + ")";
    return each("pages", sql, [&](const Statement& row) -> Result<void> {
      const std::string_view line = row.blob(0);
      if (line != "ok") damage("pages", std::string(line));
      return {};
    });
  }

  Result<void> meta() {
    const Result<MetaPart> meta = read_meta(db_);
    if (!meta) return note("the store's own row", fail(meta.error()));
    report_.id = meta->id;
    report_.epoch = meta->epoch;
    report_.clean = report_.clean && meta->clean;
    meta_ = *meta;
    const auto clock = read_clock(db_);
    return note("the grid's clock", clock ? Result<void>() : fail(clock.error()));
  }

  Result<void> purges() {
    return each("table purged", "SELECT number, data FROM purged ORDER BY number",
                [&](const Statement& row) -> Result<void> {
                  const auto number = static_cast<uint64_t>(row.integer(0));
                  const std::string name = "purge " + std::to_string(number);
                  const Result<Purge> purge = decode_purge(row.blob(1), number);
                  if (!purge) return note(name, fail(purge.error()));
                  report_.purged += purge->jobs.size();
                  for (const EndedJob& job : purge->jobs) {
                    if (known_.contains(job.seq)) damage(name, job.id.str() + " is still there");
                  }
                  return {};
                });
  }

  Result<void> drains() {
    return each("table drain", "SELECT worker, data FROM drain",
                [&](const Statement& row) -> Result<void> {
                  const Result<PutDrain> drain = decode_drain(row.blob(1), row.blob(0));
                  return note("table drain", drain ? Result<void>() : fail(drain.error()));
                });
  }

  Result<void> log() {
    LogTable log(db_);
    Result<void> done = note(
        "table log", log.load(meta_, [&](Error&& error) { damage("table log", error.message); }));
    if (!done) return done;
    report_.log = log.extent();
    log.jobs().rising([&](uint64_t seq, const JobPlace& place) {
      const Result<JobParts> parts = log.parts(seq, place);
      done = parts ? job(*parts, reader_.job(*parts, {})) : note("table log", fail(parts.error()));
      return done.has_value();
    });
    return done;
  }

  Result<void> old_jobs() {
    return note(
        "tables of jobs",
        read_old_tables(db_, reader_, {}, [&](const JobParts& parts, Result<StoredJob>&& read) {
          return job(parts, read);
        }));
  }

  Result<void> job(const JobParts& parts, const Result<StoredJob>& read) {
    ++(parts.ended ? report_.ended : report_.unfinished);
    known_.insert(parts.seq);
    if (!read) return note(RowReader::name_of(parts), fail(read.error()));
    ids_.push_back(read->accepted.id);
    return {};
  }
  void note_twice() {
    std::sort(ids_.begin(), ids_.end());
    for (auto at = ids_.begin(); (at = std::adjacent_find(at, ids_.end())) != ids_.end(); ++at) {
      damage("job " + at->str(), "is there twice");
    }
  }

  Result<void> payloads() {
    uint64_t orphans = 0;
    Result<void> done =
        each("table payload", "SELECT key FROM payload", [&](const Statement& row) -> Result<void> {
          const auto seq = static_cast<uint64_t>(row.integer(0)) >> 1;
          if (!known_.contains(seq)) ++orphans;
          return {};
        });
    if (orphans > 0) {
      damage("table payload", std::to_string(orphans) + " payloads belong to no job");
    }
    return done;
  }

  Database& db_;
  StoreReport& report_;
  FactsTable facts_;
  RowReader reader_;
  MetaPart meta_;
  std::unordered_set<uint64_t> known_;  // jobs by their numbers
  std::vector<JobId> ids_;
};

}  // namespace

Result<StoreReport> check_files(const std::string& path) {
  const std::string wal = path + "-wal";
  const uint64_t log_bytes = file_size(wal).value_or(0);
  const bool has_log_file = file_size(wal).has_value();
  StoreReport report;
  report.bytes = file_size(path).value_or(0) + log_bytes;
  report.clean = log_bytes == 0;
  const auto damaged = [&](const Error& error) { report.damages.push_back(error.message); };

  const Result<LogEnd> log = check_log(wal, kPageBytes, read_log_mark(path));
  if (!log) {
    if (log.error().code != Errc::corrupt) return fail(log.error());
    damaged(log.error());
  } else if (log->torn > 0) {
    report.notices.push_back(torn_text(wal, *log) + "; " + kTornHint);
  }
  Result<std::unique_ptr<Database>> db = open_unchanged(path);
  if (!db && db.error().code != Errc::corrupt) return fail(std::move(db.error()));
  Result<void> checked;
  if (db) {
    if (const Result<MetaPart> meta = read_meta(**db)) {
      if (Result<void> whole = check_log_length(*meta, wal, log_bytes); !whole) {
        damaged(whole.error());
      }
    }
    checked = Check(**db, report).run(path);
    db->reset();
  } else {
    damaged(db.error());
  }
  // SQLite makes the file of a log, even if only to find it empty.
  if (!has_log_file && file_size(wal) == 0) std::remove(wal.c_str());
  if (!checked) return fail(std::move(checked.error()));
  return report;
}

}  // namespace zgrid::broker
