// Writing; opening and closing is in sqlite_open.cpp, reading in sqlite_read.cpp.
#include "broker/store/sqlite_store.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

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
  errno = 0;
  if (!write_all()) return failed();
  marker_.put(db_->wal_pages());
  facts_.committed();
  log_.committed();
  return {};
}

bool SqliteStore::write_all() {
  if (!sql_.begin.run()) return false;
  // Rows go before others come: the newest row of the log says how many there are.
  if (!purge_jobs()) return false;
  for (const Folded& folded : fold_.jobs()) {
    if (!folded.purged && !write_job(folded)) return false;
  }
  if (!log_.finish()) return false;
  for (const Purge* each : fold_.purges()) {
    if (!write_purge(*each)) return false;
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

CommitResult SqliteStore::failed() {
  const Fault fault = db_->fault();
  facts_.rolled_back();
  log_.rolled_back();
  const std::optional<Error> error = log_.error() ? log_.error() : std::exchange(damage_, {});
  if (error && error->code == Errc::corrupt) return die("store " + path_ + ": " + error->message);
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

bool SqliteStore::write_job(const Folded& folded) {
  LogEntry entry;
  entry.seq = folded.seq;
  entry.status = folded.end     ? folded.end->outcome.status
                 : folded.state ? folded.state->status
                                : PutState{}.status;
  std::string_view run;
  if (const PutJob* job = folded.job) {
    if (!write_payload(input_key(job->seq), job->input)) return false;
    encode_accepted(*job, accepted_part_);
    entry.accepted = accepted_part_;
    entry.is_broadcast = job->spec->job.kind == JobKind::broadcast;
    entry.has_outside = is_outside(job->input);
    run = job->spec->job.run;
  }
  return write_state(folded, entry) && write_end(folded, entry) && log_.add(entry, run);
}

// The state of a job that ends is kept where it tells more than the end: it may be that of an
// earlier commit, whose entry this one replaces.
bool SqliteStore::write_state(const Folded& folded, LogEntry& entry) {
  if (folded.state) {
    entry.is_eventful = !is_uneventful(*folded.state);
    if (folded.end && !entry.is_eventful) return true;
    const auto worker = facts_.number_of(folded.state->worker);
    if (!worker) return false;
    encode_state(*folded.state, folded.seq, *worker, state_part_);
    entry.state = state_part_;
    return true;
  }
  const JobPlace* place = folded.job ? nullptr : log_.find(folded.seq);
  if (place == nullptr || !place->is_eventful) return true;
  const Result<JobParts> parts = log_.parts(folded.seq, *place);
  if (!parts) {
    damage_ = parts.error();
    return false;
  }
  if (!parts->state) return true;
  state_part_ = *parts->state;
  entry.state = state_part_;
  entry.is_eventful = true;
  return true;
}

bool SqliteStore::write_end(const Folded& folded, LogEntry& entry) {
  if (!folded.end) return true;
  const auto worker = facts_.number_of(folded.end->worker);
  if (!worker) return false;
  encode_ended(*folded.end, folded.seq, *worker, ended_part_);
  entry.ended = ended_part_;
  entry.has_outside = entry.has_outside || is_outside(folded.end->output);
  return write_payload(output_key(folded.seq), folded.end->output);
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

bool SqliteStore::purge_jobs() {
  std::vector<uint64_t>& seqs = purged_seqs_;
  seqs.clear();
  for (const Purge* purge : fold_.purges()) {
    for (const EndedJob& job : purge->jobs) seqs.push_back(job.seq);
  }
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  for (const uint64_t seq : seqs) {
    const JobPlace* place = log_.find(seq);
    if (place == nullptr || !place->has_outside) continue;
    sql_.drop_payload.bind(1, input_key(seq));
    sql_.drop_payload.bind(2, output_key(seq));
    if (!sql_.drop_payload.run()) return false;
  }
  return log_.purge(seqs);
}

bool SqliteStore::write_purge(const Purge& purge) {
  const std::string part = encode_purge(purge);
  sql_.put_purge.bind(1, static_cast<int64_t>(purge.number));
  sql_.put_purge.bind_blob(2, part);
  return sql_.put_purge.run();
}

bool SqliteStore::forget(uint64_t number) {
  sql_.drop_purge.bind(1, static_cast<int64_t>(number));
  return sql_.drop_purge.run();
}

// ---- housekeeping ---------------------------------------------------------------------

CommitResult SqliteStore::tend() {
  ZGRID_CHECK(!dead_);
  if (low_space_ || !reserve_.held()) low_space_ = !reserve_.fill();
  if (db_->wal_pages() >= kWalPagesDue && may_checkpoint()) {
    const Fault fault = db_->checkpoint();
    marker_.restart();
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
  return copy_database(*db_, path, MetaPart{info_.id, info_.epoch, true, 0, log_.extent()});
}

}  // namespace zgrid::broker
