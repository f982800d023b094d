// Writing; opening and closing is in sqlite_open.cpp, reading in sqlite_read.cpp.
#include "broker/store/sqlite_store.h"

#include <algorithm>
#include <cstdlib>

#include "broker/store/sqlite_schema.h"
#include "broker/store/store_copy.h"
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

}  // namespace

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
  marker_.put(db_->wal_pages());
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
  if (low_space_ || !reserve_.held()) low_space_ = !reserve_.fill();
  if (db_->wal_pages() >= kWalPagesDue && may_checkpoint()) {
    const Fault fault = db_->checkpoint();
    if (fault.trouble == Trouble::full) {
      low_space_ = true;
    } else if (fault.trouble != Trouble::none && fault.trouble != Trouble::busy) {
      return die("store " + path_ + ": the checkpoint failed: " + fault.text);
    }
  }
  CommitResult result;
  result.low_space = low_space_;
  if (low_space_) result.reason = kLowSpace + path_;
  return result;
}

// A checkpoint that makes the database larger than the disk allows takes what is left of it, which
// may be the space that was given back for the results of running jobs, and then fails.
bool SqliteStore::may_checkpoint() {
  if (reserve_.held()) return true;
  const Result<std::string> pages = db_->value("PRAGMA page_count");
  if (!pages) return true;  // whoever tries it says why
  const uint64_t wanted = std::strtoull(pages->c_str(), nullptr, 10) * kPageBytes;
  const uint64_t has = file_size(path_).value_or(0);
  return wanted <= has || wanted - has <= free_bytes(path_);
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
