#include "broker/store/old_tables.h"

namespace zgrid::broker {
namespace {

std::optional<std::string_view> either(const Statement& statement, int later, int earlier) {
  if (!statement.is_null(later)) return statement.blob(later);
  if (!statement.is_null(earlier)) return statement.blob(earlier);
  return std::nullopt;
}

int64_t half_of(const JobId& id, size_t from) {
  uint64_t half = 0;
  for (size_t i = from; i < from + 8; ++i) half = half << 8 | id.bytes[i];
  return static_cast<int64_t>(half);
}

JobParts parts_of(const Statement& row) {
  JobParts parts;
  parts.seq = static_cast<uint64_t>(row.integer(0));
  parts.is_broadcast = static_cast<JobKind>(row.integer(3)) == JobKind::broadcast;
  parts.status = static_cast<JobStatus>(row.integer(row.is_null(8) ? 4 : 8));
  parts.accepted = row.blob(5);
  parts.state = either(row, 9, 6);
  parts.ended = either(row, 10, 7);
  parts.run = row.blob(11);
  return parts;
}

}  // namespace

Result<void> read_old_tables(Database& db, RowReader& reader, const RowReader::Wanted& wanted,
                             const OnOldJob& visit) {
  Result<Statement> all = db.prepare(
      "SELECT j.seq, j.id_high, j.id_low, j.kind, j.status, j.accepted, j.state, j.ended,"
      " l.status, l.state, l.ended, j.run FROM job j LEFT JOIN later l ON l.seq = j.seq"
      " ORDER BY j.seq");
  if (!all) return fail(std::move(all.error()));
  uint64_t changed = 0;
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const JobParts parts = parts_of(*all);
    if (!all->is_null(8)) ++changed;
    Result<StoredJob> job = reader.job(parts, wanted);
    if (job && (half_of(job->accepted.id, 0) != all->integer(1) ||
                half_of(job->accepted.id, 8) != all->integer(2))) {
      job = fail(Errc::corrupt, "its id is another one");
    }
    if (!job) job = fail(RowReader::about(parts, std::move(job.error())));
    if (Result<void> done = visit(parts, std::move(job)); !done) return done;
  }
  if (step == Step::failed) return fail(db.fault(), "cannot read the jobs");
  const Result<std::string> count = db.value("SELECT count(*) FROM later");
  if (!count) return fail(count.error());
  if (*count == std::to_string(changed)) return {};
  return fail(Errc::corrupt, "there are states or results of no job");
}

}  // namespace zgrid::broker
