// The half of SqliteStore that reads: recovery, single jobs, lists.
#include <algorithm>

#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"

namespace zgrid::broker {

// Of a set of ids and their rows, in whatever order.
struct SqliteStore::Sum {
  uint64_t count = 0;
  uint64_t sum = 0;

  void add(int64_t high, int64_t low, int64_t seq) {
    // Two rounds of multiplication and folding; it finds accidents.
    uint64_t mixed = static_cast<uint64_t>(high) * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(low);
    mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9 + static_cast<uint64_t>(seq);
    mixed = (mixed ^ mixed >> 32) * 0x94d049bb133111eb;
    sum += mixed ^ mixed >> 31;
    ++count;
  }
  friend bool operator==(const Sum&, const Sum&) = default;
};

struct SqliteStore::Row {
  uint64_t seq = 0;
  JobId id;
  JobKind kind{};
  int64_t status = 0;
  bool changed = false;  // after the commit that accepted it
  std::string_view accepted;
  std::optional<std::string_view> state, ended;
};

namespace {

std::optional<std::string_view> either(const Statement& statement, int later, int earlier) {
  if (!statement.is_null(later)) return statement.blob(later);
  if (!statement.is_null(earlier)) return statement.blob(earlier);
  return std::nullopt;
}

void put_half(JobId& id, size_t from, int64_t half) {
  const auto bits = static_cast<uint64_t>(half);
  for (size_t i = 0; i < 8; ++i) id.bytes[from + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
}

bool wants(const JobFilter& filter, int64_t status) {
  return filter.states.empty() || std::find(filter.states.begin(), filter.states.end(),
                                            static_cast<JobStatus>(status)) != filter.states.end();
}

}  // namespace

SqliteStore::Row SqliteStore::columns(const Statement& statement) {
  Row row;
  row.seq = static_cast<uint64_t>(statement.integer(0));
  put_half(row.id, 0, statement.integer(1));
  put_half(row.id, 8, statement.integer(2));
  row.kind = static_cast<JobKind>(statement.integer(3));
  row.changed = !statement.is_null(8);
  row.status = statement.integer(statement.is_null(8) ? 4 : 8);
  row.accepted = statement.blob(5);
  row.state = either(statement, 9, 6);
  row.ended = either(statement, 10, 7);
  return row;
}

Error SqliteStore::about(const Row& row, Error error) const {
  error.message = "job " + row.id.str() + " in row " + std::to_string(row.seq) + " of store " +
                  path_ + ": " + error.message;
  if (error.hint.empty()) error.hint = "restore the store from a backup";
  return error;
}

// ---- recovery -------------------------------------------------------------------------

Result<void> SqliteStore::recover(const Recovered& into) {
  unfinished_.clear();
  if (Result<void> done = recover_jobs(into); !done) return done;
  unfinished_known_ = true;
  return recover_drains(into);
}

Result<void> SqliteStore::recover_jobs(const Recovered& into) {
  Result<Statement> all = db_->prepare((std::string(kSelectRows) + " ORDER BY j.seq").c_str());
  if (!all) return fail(std::move(all.error()));
  Sum ids;
  uint64_t changed = 0;
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const Row row = columns(*all);
    ids.add(all->integer(1), all->integer(2), all->integer(0));
    if (row.changed) ++changed;
    if (row.ended) {
      Result<EndedJob> ended = decode_ended_job(row.accepted, *row.ended, row.seq);
      if (!ended) return fail(about(row, std::move(ended.error())));
      if (ended->id != row.id || static_cast<int64_t>(ended->status) != row.status) {
        return fail(about(row, Error{Errc::corrupt, "its columns contradict each other"}));
      }
      into.ended(std::move(*ended));
      continue;
    }
    Result<StoredJob> job = build(row, true);
    if (!job) return fail(about(row, std::move(job.error())));
    unfinished_.set(row.id, row.seq * 16 + static_cast<uint64_t>(job->state.status));
    into.unfinished(std::move(*job));
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read the jobs of store " + path_);
  if (Result<void> checked = check_ids(ids); !checked) return checked;
  return check_changes(changed);
}

// That each job is found by its id: the index has the same entries as the table, in its order.
Result<void> SqliteStore::check_ids(const Sum& expected) {
  Result<Statement> all = db_->prepare(
      "SELECT id_high, id_low, seq FROM job INDEXED BY job_id ORDER BY id_high, id_low");
  if (!all) return fail(std::move(all.error()));
  Sum ids;
  bool in_order = true;
  std::pair<int64_t, int64_t> last{INT64_MIN, INT64_MIN};
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const std::pair<int64_t, int64_t> id{all->integer(0), all->integer(1)};
    in_order = in_order && last <= id;
    last = id;
    ids.add(id.first, id.second, all->integer(2));
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read the ids of store " + path_);
  if (in_order && ids == expected) return {};
  return fail(Errc::corrupt, "the index of ids in store " + path_ + " is damaged",
              "restore the store from a backup");
}

// That each later state or result belongs to a job.
Result<void> SqliteStore::check_changes(uint64_t expected) {
  const Result<std::string> count = db_->value("SELECT count(*) FROM later");
  if (!count) return fail(count.error());
  if (*count == std::to_string(expected)) return {};
  return fail(Errc::corrupt, "store " + path_ + " has states or results of no job",
              "restore the store from a backup");
}

Result<void> SqliteStore::recover_drains(const Recovered& into) {
  Result<Statement> all = db_->prepare("SELECT worker, data FROM drain");
  if (!all) return fail(std::move(all.error()));
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    WorkerId worker;
    const std::string_view id = all->blob(0);
    const bool fits = id.size() == worker.bytes.size();
    if (fits) id.copy(reinterpret_cast<char*>(worker.bytes.data()), id.size());
    if (!fits || !is_drain(all->blob(1), worker)) {
      return fail(Errc::corrupt, "the list of draining workers in store " + path_ + " is damaged",
                  "restore the store from a backup");
    }
    into.drain(PutDrain{worker, true});
  }
  if (step == Step::failed) {
    return fail(db_->fault(), "cannot read the draining workers of store " + path_);
  }
  return {};
}

// ---- one job --------------------------------------------------------------------------

Result<StoredJob> SqliteStore::build(const Row& row, bool with_payloads) {
  Result<AcceptedPart> accepted = decode_accepted(row.accepted, row.seq, specs_);
  if (!accepted) return fail(std::move(accepted.error()));
  StoredJob job;
  job.accepted = std::move(accepted->job);
  job.state.id = job.accepted.id;
  if (row.state) {
    Result<StatePart> state = decode_state(*row.state, row.seq);
    if (!state) return fail(std::move(state.error()));
    Result<WorkerFactsRef> worker = facts_.get(state->worker);
    if (!worker) return fail(std::move(worker.error()));
    job.state = std::move(state->state);
    job.state.worker = std::move(*worker);
  }
  if (row.ended) {
    if (Result<void> ended = build_end(row, with_payloads, job); !ended) {
      return fail(std::move(ended.error()));
    }
  }
  if (job.accepted.id != row.id || job.state.id != row.id ||
      static_cast<int64_t>(job.status()) != row.status || is_terminal(job.state.status)) {
    return fail(Errc::corrupt, "its columns contradict each other");
  }
  if (!with_payloads) {
    job.accepted.input.data = {};
  } else if (accepted->input.present) {
    Result<Bytes> input = read_payload(static_cast<int64_t>(row.seq * 2), accepted->input, row.seq);
    if (!input) return fail(std::move(input.error()));
    job.accepted.input.data = std::move(*input);
  }
  return job;
}

Result<void> SqliteStore::build_end(const Row& row, bool with_payloads, StoredJob& job) {
  Result<EndedPart> ended = decode_ended(*row.ended, row.seq);
  if (!ended) return fail(std::move(ended.error()));
  Result<WorkerFactsRef> worker = facts_.get(ended->worker);
  if (!worker) return fail(std::move(worker.error()));
  if (ended->end.id != row.id) return fail(Errc::corrupt, "its result is another job's");
  job.ended = std::move(ended->end);
  job.ended->worker = std::move(*worker);
  if (!with_payloads) {
    job.ended->output.data = {};
  } else if (ended->output.present) {
    Result<Bytes> output =
        read_payload(static_cast<int64_t>(row.seq * 2 + 1), ended->output, row.seq);
    if (!output) return fail(std::move(output.error()));
    job.ended->output.data = std::move(*output);
  }
  return {};
}

Result<Bytes> SqliteStore::read_payload(int64_t key, const Outside& outside, uint64_t seq) {
  sql_.payload.bind(1, key);
  const ResetAtEnd reset(sql_.payload);
  switch (sql_.payload.step()) {
    case Step::row: return take_outside(outside, seq, std::string(sql_.payload.blob(0)));
    case Step::done: return fail(Errc::corrupt, "its payload is missing");
    case Step::failed: break;
  }
  return fail(db_->fault(), "cannot read its payload");
}

Result<std::optional<StoredJob>> SqliteStore::read(const JobId& id) {
  const auto known = unfinished_.find(id);
  Result<std::optional<uint64_t>> seq = known ? std::optional(*known >> 4) : find_seq(id);
  if (!seq) return fail(std::move(seq.error()));
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
  Result<StoredJob> job = build(row, true);
  if (!job) return fail(about(row, std::move(job.error())));
  if (row.id != id) return fail(about(row, Error{Errc::corrupt, "the index is wrong"}));
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
    Result<StoredJob> job = build(row, false);
    if (!job) return fail(about(row, std::move(job.error())));
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
  unfinished_.for_each([&](const JobId&, uint64_t known) {
    if (wants(filter, static_cast<int64_t>(known & 15))) seqs->push_back(known >> 4);
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
    Result<StoredJob> job = build(row, false);
    if (!job) return fail(about(row, std::move(job.error())));
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
