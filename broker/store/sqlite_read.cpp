// The half of SqliteStore that reads: recovery, single jobs, lists.
#include <algorithm>

#include "broker/store/sqlite_schema.h"
#include "broker/store/sqlite_store.h"

namespace zgrid::broker {
namespace {

constexpr RowReader::Wanted kWithoutPayloads{0, false};

bool wants(const JobFilter& filter, const JobPlace& place) {
  if (place.is_broadcast) return false;
  return filter.states.empty() || std::find(filter.states.begin(), filter.states.end(),
                                            place.state()) != filter.states.end();
}

}  // namespace

Error SqliteStore::in_store(Error error) const {
  error.message = "store " + path_ + ": " + error.message;
  return error;
}

// ---- recovery -------------------------------------------------------------------------

Result<void> SqliteStore::recover(const Recovered& into) {
  Result<void> done = recover_clock(into);
  if (done) done = recover_purges(into);
  if (done) done = recover_jobs(into);
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
    for (const EndedJob& job : purge->jobs) {
      if (log_.find(job.seq) == nullptr) continue;
      return fail(Errc::corrupt, "job " + job.id.str() + " was purged and is still in the log",
                  "restore the store from a backup");
    }
    into.purged(std::move(*purge));
  }
  if (step == Step::failed) return fail(db_->fault(), "cannot read what was purged");
  return {};
}

Result<void> SqliteStore::recover_jobs(const Recovered& into) {
  RowReader::Wanted wanted{into.input_bytes_max, false};
  const auto recover = [&](uint64_t seq, const JobPlace& place) -> Result<void> {
    const Result<JobParts> parts = log_.parts(seq, place);
    if (!parts) return fail(parts.error());
    if (parts->ended) {
      Result<EndedJob> ended = RowReader::ended(*parts);
      if (!ended) return fail(RowReader::about(*parts, std::move(ended.error())));
      into.ended(std::move(*ended));
      return {};
    }
    Result<StoredJob> job = reader_.job(*parts, wanted);
    if (!job) return fail(RowReader::about(*parts, std::move(job.error())));
    wanted.input_bytes_max -=
        job->input_left_out != 0 ? wanted.input_bytes_max : job->accepted.input.data.size();
    into.unfinished(std::move(*job));
    return {};
  };
  Result<void> done;
  log_.jobs().rising([&](uint64_t seq, const JobPlace& place) {
    done = recover(seq, place);
    return done.has_value();
  });
  return done;
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

Result<std::optional<StoredJob>> SqliteStore::read(const JobId& id, uint64_t seq) {
  const JobPlace* place = log_.find(seq);
  if (place == nullptr) return std::nullopt;
  Result<StoredJob> job = read_at(seq, *place, RowReader::Wanted{});
  if (!job) return fail(std::move(job.error()));
  if (job->accepted.id != id) return std::nullopt;
  return std::move(*job);
}

Result<StoredJob> SqliteStore::read_at(uint64_t seq, const JobPlace& place,
                                       const RowReader::Wanted& wanted) {
  const Result<JobParts> parts = log_.parts(seq, place);
  if (!parts) return fail(in_store(parts.error()));
  Result<StoredJob> job = reader_.job(*parts, wanted);
  if (!job) return fail(in_store(RowReader::about(*parts, std::move(job.error()))));
  return job;
}

// ---- lists ----------------------------------------------------------------------------

Result<std::vector<StoredJob>> SqliteStore::list(const JobFilter& filter) {
  std::vector<StoredJob> found;
  Result<void> done;
  const auto take = [&](uint64_t seq, const JobPlace& place) {
    if (!wants(filter, place)) return true;
    Result<StoredJob> job = read_at(seq, place, kWithoutPayloads);
    if (!job) {
      done = fail(std::move(job.error()));
      return false;
    }
    job->input_left_out = 0;
    job->accepted.input.data = {};
    found.push_back(std::move(*job));
    return found.size() != filter.limit;
  };
  if (filter.run.empty()) {
    log_.jobs().falling(take);
  } else {
    Result<void> walked = log_.of_run(filter.run, filter.states, take);
    if (!walked) return fail(in_store(std::move(walked.error())));
  }
  if (!done) return fail(std::move(done.error()));
  return found;
}

}  // namespace zgrid::broker
