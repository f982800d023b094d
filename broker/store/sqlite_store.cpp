// Opening, closing and writing; reading is in sqlite_read.cpp.
#include "broker/store/sqlite_store.h"

#include <sodium.h>

#include <algorithm>
#include <filesystem>

#include "broker/store/sqlite_schema.h"
#include "broker/store/store_copy.h"
#include "broker/store/wal_check.h"
#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

constexpr const char* kLowSpace = "the disk is full, or nearly so, under store ";

// Whether nothing in the state is worth a part of the row once the job has ended: the end has the
// attempt and the worker.
bool is_uneventful(const PutState& state) {
  return state.failures == 0 && state.losses == 0 && !state.cancel_requested &&
         state.lost.empty() && !state.spent;
}

bool has_state_part(const Folded& folded) {
  return folded.state && !(folded.end && is_uneventful(*folded.state));
}

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
  if (has_log) {
    drop_page_cache(path);
    drop_page_cache(wal);
    if (Result<void> whole = check_log(wal, kPageBytes); !whole) {
      return fail(std::move(whole.error()));
    }
  }
  Result<std::unique_ptr<Database>> db = open_database(path);
  if (!db) return fail(std::move(db.error()));
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, std::move(*lock), std::move(*db)));
  store->dead_ = true;  // until it is known to be whole, leave it as it was found
  const Result<MetaPart> meta = read_meta(*store->db_);
  Result<void> done = meta ? Result<void>() : fail(meta.error());
  if (done) done = check_log_length(*meta, wal, log_bytes);
  if (done && (has_log || !meta->clean)) {
    const Fault fault = store->db_->checkpoint();
    if (fault.trouble == Trouble::corrupt || fault.trouble == Trouble::io) {
      done = fail(fault, "cannot checkpoint store " + path);
    }
    const bool log_is_empty = fault.trouble == Trouble::none;
    if (done) done = check_database(*store->db_, path, log_is_empty);
  }
  if (done) done = migrate(*store->db_, path);
  if (done) done = store->begin_epoch();
  if (done) done = grow_file(wal, kWalBytes);
  if (done) done = store->guard_log(wal);
  if (done) done = store->facts_.load(*store->db_);
  if (done) done = store->prepare();
  if (!done) {
    store->db_->abandon();
    Error why = std::move(done.error());
    if (why.message.find(path) == std::string::npos) why.message += ", in store " + path;
    return fail(std::move(why));
  }
  store->low_space_ = !store->reserve_.fill();
  store->dead_ = false;
  return std::unique_ptr<JobStore>(std::move(store));
}

Result<void> SqliteStore::begin_epoch() {
  Result<MetaPart> meta = read_meta(*db_);
  if (!meta) return fail(std::move(meta.error()));
  ++meta->epoch;
  meta->clean = false;
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
  const Fault fault = db_->checkpoint();
  if (fault.trouble == Trouble::corrupt || fault.trouble == Trouble::io) {
    return fail(fault, "cannot checkpoint store " + path_);
  }
  // SQLite does not say if it could not sync the folder that got a new log.
  return sync_folder_of(path_);
}

Result<void> SqliteStore::prepare() {
  const std::string one_row = std::string(kSelectRows) + " WHERE j.seq = ?1";
  struct {
    Statement& statement;
    const char* text;
  } const all[] = {
      {sql_.begin, "BEGIN IMMEDIATE"},
      {sql_.commit, "COMMIT"},
      {sql_.rollback, "ROLLBACK"},
      {sql_.put_job,
       "INSERT OR REPLACE INTO job(seq, id_high, id_low, status, kind, run, accepted, state, ended)"
       " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {sql_.put_later,
       "INSERT INTO later(seq, status, state, ended) VALUES(?1, ?2, ?3, ?4)"
       " ON CONFLICT(seq) DO UPDATE SET status = excluded.status,"
       " state = coalesce(excluded.state, state), ended = coalesce(excluded.ended, ended)"},
      {sql_.put_payload, "INSERT OR REPLACE INTO payload(key, data) VALUES(?1, ?2)"},
      {sql_.put_drain, "INSERT OR REPLACE INTO drain(worker, data) VALUES(?1, ?2)"},
      {sql_.drop_drain, "DELETE FROM drain WHERE worker = ?1"},
      {sql_.put_clock, "INSERT OR REPLACE INTO meta(n, data) VALUES(2, ?1)"},
      {sql_.put_purge, "INSERT OR REPLACE INTO purged(number, data) VALUES(?1, ?2)"},
      {sql_.drop_purge, "DELETE FROM purged WHERE number = ?1"},
      {sql_.drop_job, "DELETE FROM job WHERE seq BETWEEN ?1 AND ?2"},
      {sql_.drop_later, "DELETE FROM later WHERE seq BETWEEN ?1 AND ?2"},
      {sql_.drop_payload, "DELETE FROM payload WHERE key BETWEEN ?1 AND ?2"},
      {sql_.seq_of, "SELECT seq FROM job WHERE id_high = ?1 AND id_low = ?2"},
      {sql_.row, one_row.c_str()},
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
  const bool marked = write_meta(*db_, MetaPart{info_.id, info_.epoch, true}).has_value();
  if (!marked) db_->abandon();
}

// ---- commit ---------------------------------------------------------------------------

CommitResult SqliteStore::commit(std::span<const Record> records) {
  ZGRID_CHECK(!dead_);
  if (db_->wal_pages() >= kWalPagesForced) {
    if (CommitResult tended = tend(); tended.outcome == Commit::fatal) return tended;
  }
  fold_.fold(records);
  CommitResult result;
  if (!records.empty()) result = try_commit();
  if (result.outcome == Commit::not_written && low_space_ && reserve_.release()) {
    result = try_commit();
  }
  result.low_space = low_space_;
  if (low_space_ && result.reason.empty()) result.reason = kLowSpace + path_;
  return result;
}

CommitResult SqliteStore::try_commit() {
  if (!write_all()) return failed(db_->fault());
  facts_.committed();
  for (const Folded& folded : fold_.jobs()) remember(folded);
  return {};
}

bool SqliteStore::write_all() {
  if (!sql_.begin.run()) return false;
  for (const Folded& folded : fold_.jobs()) {
    if (folded.purged) continue;
    if (!(folded.job ? write_accepted(folded) : write_later(folded))) return false;
  }
  for (const Purge* each : fold_.purges()) {
    if (!purge(*each)) return false;
  }
  for (const uint64_t number : fold_.forgotten()) {
    if (!forget(number)) return false;
  }
  for (const PutDrain* drain : fold_.drains()) {
    if (!write_drain(*drain)) return false;
  }
  if (fold_.clock() && !write_clock(*fold_.clock())) return false;
  return sql_.commit.run();
}

CommitResult SqliteStore::failed(const Fault& fault) {
  facts_.rolled_back();
  const bool harmless = fault.trouble == Trouble::full || fault.trouble == Trouble::busy;
  if (!harmless) return die("store " + path_ + ": " + fault.text);
  // Some errors have rolled back already.
  if (db_->in_transaction() && !sql_.rollback.run()) {
    return die("store " + path_ + ": cannot roll back: " + db_->fault().text);
  }
  if (fault.trouble == Trouble::full) low_space_ = true;
  return {Commit::not_written, "store " + path_ + ": " + fault.text, low_space_};
}

CommitResult SqliteStore::die(const std::string& reason) {
  dead_ = true;
  db_->abandon();
  return {Commit::fatal, reason, low_space_};
}

// Brings state_part_ and ended_part_ up to date, and stores a large output.
bool SqliteStore::encode_changes(const Folded& folded) {
  const uint64_t seq = folded.seq;
  if (has_state_part(folded)) {
    const auto worker = facts_.number_of(folded.state->worker);
    if (!worker) return false;
    encode_state(*folded.state, seq, *worker, state_part_);
  }
  if (folded.end) {
    const auto worker = facts_.number_of(folded.end->worker);
    if (!worker) return false;
    encode_ended(*folded.end, seq, *worker, ended_part_);
    return write_payload(output_key(seq), folded.end->output);
  }
  return true;
}

bool SqliteStore::write_accepted(const Folded& folded) {
  const PutJob& job = *folded.job;
  const JobSpec& spec = job.spec->job;
  const JobStatus status = folded.end     ? folded.end->outcome.status
                           : folded.state ? folded.state->status
                                          : PutState{}.status;
  if (!write_payload(input_key(job.seq), job.input)) return false;
  if (!encode_changes(folded)) return false;
  encode_accepted(job, accepted_part_);
  Statement& put = sql_.put_job;
  put.bind(1, static_cast<int64_t>(job.seq));
  put.bind(2, id_high(job.id));
  put.bind(3, id_low(job.id));
  put.bind(4, static_cast<int64_t>(status));
  put.bind(5, static_cast<int64_t>(spec.kind));
  spec.run.empty() ? put.bind_null(6) : put.bind_text(6, spec.run);
  put.bind_blob(7, accepted_part_);
  has_state_part(folded) ? put.bind_blob(8, state_part_) : put.bind_null(8);
  folded.end ? put.bind_blob(9, ended_part_) : put.bind_null(9);
  return put.run();
}

bool SqliteStore::write_later(const Folded& folded) {
  if (!encode_changes(folded)) return false;
  Statement& put = sql_.put_later;
  put.bind(1, static_cast<int64_t>(folded.seq));
  put.bind(2, static_cast<int64_t>(folded.end ? folded.end->outcome.status : folded.state->status));
  has_state_part(folded) ? put.bind_blob(3, state_part_) : put.bind_null(3);
  folded.end ? put.bind_blob(4, ended_part_) : put.bind_null(4);
  return put.run();
}

bool SqliteStore::write_payload(int64_t key, const Payload& payload) {
  if (!is_outside(payload)) return true;
  sql_.put_payload.bind(1, key);
  sql_.put_payload.bind_blob(2, payload.data.view());
  return sql_.put_payload.run();
}

bool SqliteStore::write_drain(const PutDrain& drain) {
  if (!drain.draining) {
    sql_.drop_drain.bind_blob(1, drain.worker.view());
    return sql_.drop_drain.run();
  }
  const std::string part = encode_drain(drain);
  sql_.put_drain.bind_blob(1, drain.worker.view());
  sql_.put_drain.bind_blob(2, part);
  return sql_.put_drain.run();
}

bool SqliteStore::write_clock(const PutClock& clock) {
  const std::string part = encode_clock(clock);
  sql_.put_clock.bind_blob(1, part);
  return sql_.put_clock.run();
}

// Jobs that were accepted one after another mostly end and are purged together, so rows are deleted
// in runs, which costs half as much.
bool SqliteStore::purge(const Purge& purge) {
  std::vector<uint64_t>& seqs = purged_seqs_;
  seqs.clear();
  for (const EndedJob& job : purge.jobs) seqs.push_back(job.seq);
  std::sort(seqs.begin(), seqs.end());
  for (size_t begin = 0, end = 0; begin < seqs.size(); begin = end) {
    while (end < seqs.size() && seqs[end] - seqs[begin] == end - begin) ++end;
    if (!drop_rows(seqs[begin], seqs[end - 1])) return false;
  }
  const std::string part = encode_purge(purge);
  sql_.put_purge.bind(1, static_cast<int64_t>(purge.number));
  sql_.put_purge.bind_blob(2, part);
  return sql_.put_purge.run();
}

bool SqliteStore::drop_rows(uint64_t first, uint64_t last) {
  for (Statement* drop : {&sql_.drop_later, &sql_.drop_job}) {
    drop->bind(1, static_cast<int64_t>(first));
    drop->bind(2, static_cast<int64_t>(last));
    if (!drop->run()) return false;
  }
  sql_.drop_payload.bind(1, input_key(first));
  sql_.drop_payload.bind(2, output_key(last));
  return sql_.drop_payload.run();
}

bool SqliteStore::forget(uint64_t number) {
  sql_.drop_purge.bind(1, static_cast<int64_t>(number));
  return sql_.drop_purge.run();
}

void SqliteStore::remember(const Folded& folded) {
  if (folded.end || folded.purged) {
    unfinished_.erase(folded.seq);
    return;
  }
  const JobStatus status = folded.state ? folded.state->status : PutState{}.status;
  unfinished_.set(folded.seq, static_cast<uint64_t>(status));
}

// ---- housekeeping ---------------------------------------------------------------------

CommitResult SqliteStore::tend() {
  ZGRID_CHECK(!dead_);
  bool checkpointed = true;
  if (db_->wal_pages() >= kWalPagesDue) {
    const Fault fault = db_->checkpoint();
    if (fault.trouble == Trouble::full) {
      checkpointed = false;
    } else if (fault.trouble != Trouble::none && fault.trouble != Trouble::busy) {
      return die("store " + path_ + ": the checkpoint failed: " + fault.text);
    }
  }
  if (!checkpointed || low_space_ || !reserve_.held())
    low_space_ = !reserve_.fill() || !checkpointed;
  CommitResult result;
  result.low_space = low_space_;
  if (low_space_) result.reason = kLowSpace + path_;
  return result;
}

Result<void> SqliteStore::backup(const std::string& path) {
  ZGRID_CHECK(!dead_);
  // Whoever opens the copy finds a store that was closed in an orderly way.
  return copy_database(*db_, path, MetaPart{info_.id, info_.epoch, true});
}

Result<std::optional<uint64_t>> SqliteStore::find_seq(const JobId& id) {
  sql_.seq_of.bind(1, id_high(id));
  sql_.seq_of.bind(2, id_low(id));
  const ResetAtEnd reset(sql_.seq_of);
  switch (sql_.seq_of.step()) {
    case Step::row: return static_cast<uint64_t>(sql_.seq_of.integer(0));
    case Step::done: return std::nullopt;
    case Step::failed: break;
  }
  return fail(db_->fault(), "cannot look for job " + id.str() + " in store " + path_);
}

}  // namespace zgrid::broker
