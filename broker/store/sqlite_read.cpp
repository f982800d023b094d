// The half of SqliteStore that reads: recovery, single jobs, lists.
#include <algorithm>

#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"

namespace zgrid::broker {
namespace {

constexpr RowReader::Wanted kWithoutPayloads{0, false};

bool wants(const JobFilter& filter, int64_t status) {
  return filter.states.empty() || std::find(filter.states.begin(), filter.states.end(),
                                            static_cast<JobStatus>(status)) != filter.states.end();
}

}  // namespace

Error SqliteStore::in_store(Error error) const {
  error.message = "store " + path_ + ": " + error.message;
  return error;
}

// ---- recovery -------------------------------------------------------------------------

Result<void> SqliteStore::recover(const Recovered& into) {
  unfinished_.clear();
  Result<void> done = recover_clock(into);
  if (done) done = recover_purges(into);
  if (done) done = recover_jobs(into);
  if (done) unfinished_known_ = true;
  if (done) done = recover_drains(into);
  if (!done) return fail(in_store(std::move(done.error())));
  return done;
}

Result<void> SqliteStore::recover_clock(const Recovered& into) {
  Result<std::optional<PutClock>> clock = read_clock(*db_);
  if (!clock) return fail(std::move(clock.error()));
  if (*clock) into.clock(**clock);
  return {};
}

Result<void> SqliteStore::recover_purges(const Recovered& into) {
  Result<Statement> all = db_->prepare("SELECT number, data FROM purged ORDER BY number");
  if (!all) return fail(std::move(all.error()));
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    Result<Purge> purge = decode_purge(all->blob(1), static_cast<uint64_t>(all->integer(0)));
    if (!purge) return fail(std::move(purge.error()));
    into.purged(std::move(*purge));
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read what was purged");
  return {};
}

Result<void> SqliteStore::recover_jobs(const Recovered& into) {
  Result<Statement> all = db_->prepare((std::string(kSelectRows) + " ORDER BY j.seq").c_str());
  if (!all) return fail(std::move(all.error()));
  IdSum ids;
  uint64_t changed = 0;
  RowReader::Wanted wanted{into.input_bytes_max, false};
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const Row row = columns(*all);
    ids.add(all->integer(1), all->integer(2), all->integer(0));
    if (row.changed) ++changed;
    if (row.ended) {
      Result<EndedJob> ended = RowReader::ended(row);
      if (!ended) return fail(RowReader::about(row, std::move(ended.error())));
      into.ended(std::move(*ended));
      continue;
    }
    Result<StoredJob> job = reader_.job(row, wanted);
    if (!job) return fail(RowReader::about(row, std::move(job.error())));
    wanted.input_bytes_max -=
        job->input_left_out != 0 ? wanted.input_bytes_max : job->accepted.input.data.size();
    unfinished_.set(row.seq, static_cast<uint64_t>(job->state.status));
    into.unfinished(std::move(*job));
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read the jobs");
  if (Result<void> checked = check_ids(*db_, ids); !checked) return checked;
  return check_changes(*db_, changed);
}

Result<void> SqliteStore::recover_drains(const Recovered& into) {
  Result<Statement> all = db_->prepare("SELECT worker, data FROM drain");
  if (!all) return fail(std::move(all.error()));
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    Result<PutDrain> drain = decode_drain(all->blob(1), all->blob(0));
    if (!drain) return fail(std::move(drain.error()));
    into.drain(*drain);
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read the draining workers");
  return {};
}

// ---- one job --------------------------------------------------------------------------

Result<std::optional<StoredJob>> SqliteStore::read(const JobId& id) {
  const Result<std::optional<uint64_t>> seq = find_seq(id);
  if (!seq) return fail(seq.error());
  if (!*seq) return std::nullopt;
  sql_.row.bind(1, static_cast<int64_t>(**seq));
  const ResetAtEnd reset(sql_.row);
  const Step step = sql_.row.step();
  if (step == Step::failed) {
    return fail(db_->fault(), "cannot read job " + id.str() + " from store " + path_);
  }
  if (step == Step::done) {
    return fail(Errc::corrupt, "job " + id.str() + " is missing from store " + path_,
                "restore the store from a backup");
  }
  const Row row = columns(sql_.row);
  Result<StoredJob> job = reader_.job(row, RowReader::Wanted{});
  if (!job) return fail(in_store(RowReader::about(row, std::move(job.error()))));
  if (row.id != id) {
    return fail(in_store(RowReader::about(row, Error{Errc::corrupt, "the index is wrong"})));
  }
  return std::move(*job);
}

// ---- lists ----------------------------------------------------------------------------

Result<std::vector<StoredJob>> SqliteStore::list(const JobFilter& filter) {
  const bool many =
      filter.states.empty() || wants(filter, static_cast<int64_t>(JobStatus::succeeded));
  if (many || !filter.run.empty() || !unfinished_known_) return list_scanning(filter);
  return list_few(filter);
}

// Newest first through the table or the index of runs. Quick where most rows fit the filter.
Result<std::vector<StoredJob>> SqliteStore::list_scanning(const JobFilter& filter) {
  const std::string sql = std::string(kSelectRows) +
                          (filter.run.empty() ? "" : " WHERE j.run = ?1") + " ORDER BY j.seq DESC";
  Result<Statement> all = db_->prepare(sql.c_str());
  if (!all) return fail(std::move(all.error()));
  if (!filter.run.empty()) all->bind_text(1, filter.run);
  std::vector<StoredJob> found;
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const Row row = columns(*all);
    if (row.kind == JobKind::broadcast || !wants(filter, row.status)) continue;
    Result<StoredJob> job = reader_.job(row, kWithoutPayloads);
    if (!job) return fail(in_store(RowReader::about(row, std::move(job.error()))));
    job->input_left_out = 0;
    job->accepted.input.data = {};
    found.push_back(std::move(*job));
    if (found.size() == filter.limit) return found;
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot list the jobs of store " + path_);
  return found;
}

// For states that few of many jobs have: unfinished ones are known, the others have an index.
Result<std::vector<StoredJob>> SqliteStore::list_few(const JobFilter& filter) {
  Result<std::vector<uint64_t>> seqs = seqs_of_bad(filter);
  if (!seqs) return fail(std::move(seqs.error()));
  unfinished_.for_each([&](uint64_t seq, uint64_t status) {
    if (wants(filter, static_cast<int64_t>(status))) seqs->push_back(seq);
  });
  // A heap, since of a million candidates only the newest few may be wanted.
  std::make_heap(seqs->begin(), seqs->end());
  std::vector<StoredJob> found;
  while (!seqs->empty()) {
    std::pop_heap(seqs->begin(), seqs->end());
    sql_.row.bind(1, static_cast<int64_t>(seqs->back()));
    seqs->pop_back();
    const ResetAtEnd reset(sql_.row);
    const Step step = sql_.row.step();
    if (step == Step::failed) return fail(db_->fault(), "cannot list the jobs of store " + path_);
    if (step == Step::done) continue;
    const Row row = columns(sql_.row);
    if (row.kind == JobKind::broadcast) continue;
    Result<StoredJob> job = reader_.job(row, kWithoutPayloads);
    if (!job) return fail(in_store(RowReader::about(row, std::move(job.error()))));
    job->input_left_out = 0;
    job->accepted.input.data = {};
    found.push_back(std::move(*job));
    if (found.size() == filter.limit) break;
  }
  return found;
}

// Of the jobs that ended without success, the newest of each table and state.
Result<std::vector<uint64_t>> SqliteStore::seqs_of_bad(const JobFilter& filter) {
  std::vector<uint64_t> seqs;
  for (const char* sql :
       {"SELECT j.seq FROM job j WHERE j.status >= 5 AND j.status = ?1 AND j.kind <> 3"
        " ORDER BY j.seq DESC LIMIT ?2",
        "SELECT l.seq FROM later l JOIN job j ON j.seq = l.seq"
        " WHERE l.status >= 5 AND l.status = ?1 AND j.kind <> 3 ORDER BY l.seq DESC LIMIT ?2"}) {
    Result<Statement> bad = db_->prepare(sql);
    if (!bad) return fail(std::move(bad.error()));
    bad->bind(2, filter.limit == 0 ? -1 : static_cast<int64_t>(filter.limit));
    for (const JobStatus status : filter.states) {
      if (status <= JobStatus::succeeded) continue;
      bad->bind(1, static_cast<int64_t>(status));
      Step step = bad->step();
      for (; step == Step::row; step = bad->step()) {
        seqs.push_back(static_cast<uint64_t>(bad->integer(0)));
      }
      bad->reset();
      if (step == Step::failed) return fail(db_->fault(), "cannot list the jobs of store " + path_);
    }
  }
  // A state may be named twice.
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  return seqs;
}

}  // namespace zgrid::broker
