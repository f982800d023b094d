#include "broker/store/sqlite_rows.h"

#include <utility>

namespace zgrid::broker {
namespace {

constexpr const char* kRestore = "restore the store from a backup";

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

void put_half(JobId& id, size_t from, int64_t half) {
  const auto bits = static_cast<uint64_t>(half);
  for (size_t i = 0; i < 8; ++i) id.bytes[from + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
}

}  // namespace

int64_t id_high(const JobId& id) { return half_of(id, 0); }
int64_t id_low(const JobId& id) { return half_of(id, 8); }

Row columns(const Statement& statement) {
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
  row.run = statement.blob(11);
  return row;
}

// ---- what belongs together ------------------------------------------------------------

void IdSum::add(int64_t high, int64_t low, int64_t seq) {
  // Two rounds of multiplication and folding; it finds accidents.
  uint64_t mixed = static_cast<uint64_t>(high) * 0x9e3779b97f4a7c15 + static_cast<uint64_t>(low);
  mixed = (mixed ^ mixed >> 29) * 0xbf58476d1ce4e5b9 + static_cast<uint64_t>(seq);
  mixed = (mixed ^ mixed >> 32) * 0x94d049bb133111eb;
  sum += mixed ^ mixed >> 31;
  ++count;
}

Result<void> check_ids(Database& db, const IdSum& expected) {
  Result<Statement> all =
      db.prepare("SELECT id_high, id_low, seq FROM job INDEXED BY job_id ORDER BY id_high, id_low");
  if (!all) return fail(std::move(all.error()));
  IdSum ids;
  bool in_order = true;
  std::pair<int64_t, int64_t> last{INT64_MIN, INT64_MIN};
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const std::pair<int64_t, int64_t> id{all->integer(0), all->integer(1)};
    in_order = in_order && last <= id;
    last = id;
    ids.add(id.first, id.second, all->integer(2));
  }
  if (step == Step::failed) return fail(db.fault(), "cannot read the index of ids");
  if (in_order && ids == expected) return {};
  return fail(Errc::corrupt, "the index of ids is damaged", kRestore);
}

Result<void> check_changes(Database& db, uint64_t expected) {
  const Result<std::string> count = db.value("SELECT count(*) FROM later");
  if (!count) return fail(count.error());
  if (*count == std::to_string(expected)) return {};
  return fail(Errc::corrupt, "there are states or results of no job", kRestore);
}

// ---- one row --------------------------------------------------------------------------

Result<void> RowReader::prepare() {
  Result<Statement> payload = db_.prepare("SELECT data FROM payload WHERE key = ?1");
  if (!payload) return fail(std::move(payload.error()));
  payload_ = std::move(*payload);
  return {};
}

Error RowReader::about(const Row& row, Error error) {
  error.message =
      "job " + row.id.str() + " in row " + std::to_string(row.seq) + ": " + error.message;
  if (error.hint.empty()) error.hint = kRestore;
  return error;
}

Result<StoredJob> RowReader::job(const Row& row, const Wanted& wanted) {
  Result<AcceptedPart> accepted =
      decode_accepted(row.accepted, row.seq, specs_, wanted.input_bytes_max);
  if (!accepted) return fail(std::move(accepted.error()));
  StoredJob job;
  job.accepted = std::move(accepted->job);
  job.state.id = job.accepted.id;
  job.state.seq = row.seq;
  if (row.state) {
    Result<StatePart> state = decode_state(*row.state, row.seq);
    if (!state) return fail(std::move(state.error()));
    Result<WorkerFactsRef> worker = facts_.get(state->worker);
    if (!worker) return fail(std::move(worker.error()));
    job.state = std::move(state->state);
    job.state.worker = std::move(*worker);
  }
  if (row.ended) {
    if (Result<void> ended = add_end(row, wanted.output, job); !ended) {
      return fail(std::move(ended.error()));
    }
  }
  if (job.accepted.id != row.id || job.state.id != row.id ||
      static_cast<int64_t>(job.status()) != row.status || is_terminal(job.state.status) ||
      job.accepted.spec->job.kind != row.kind || job.accepted.spec->job.run != row.run) {
    return fail(Errc::corrupt, "its columns contradict each other");
  }
  if (accepted->input_read) return job;
  if (accepted->input_size > wanted.input_bytes_max) {
    job.input_left_out = accepted->input_size;
    return job;
  }
  Result<Bytes> input = payload(input_key(row.seq), accepted->input, row.seq);
  if (!input) return fail(std::move(input.error()));
  job.accepted.input.data = std::move(*input);
  return job;
}

Result<void> RowReader::add_end(const Row& row, bool with_output, StoredJob& job) {
  Result<EndedPart> ended = decode_ended(*row.ended, row.seq);
  if (!ended) return fail(std::move(ended.error()));
  Result<WorkerFactsRef> worker = facts_.get(ended->worker);
  if (!worker) return fail(std::move(worker.error()));
  if (ended->end.id != row.id) return fail(Errc::corrupt, "its result is another job's");
  job.ended = std::move(ended->end);
  job.ended->worker = std::move(*worker);
  if (!with_output) {
    job.ended->output.data = {};
  } else if (ended->output.present) {
    Result<Bytes> output = payload(output_key(row.seq), ended->output, row.seq);
    if (!output) return fail(std::move(output.error()));
    job.ended->output.data = std::move(*output);
  }
  return {};
}

Result<EndedJob> RowReader::ended(const Row& row) {
  Result<EndedJob> ended = decode_ended_job(row.accepted, *row.ended, row.seq);
  if (!ended) return ended;
  if (ended->id != row.id || static_cast<int64_t>(ended->status) != row.status) {
    return fail(Errc::corrupt, "its columns contradict each other");
  }
  return ended;
}

Result<Bytes> RowReader::payload(int64_t key, const Outside& outside, uint64_t seq) {
  payload_.bind(1, key);
  const ResetAtEnd reset(payload_);
  switch (payload_.step()) {
    case Step::row: return take_outside(outside, seq, std::string(payload_.blob(0)));
    case Step::done: return fail(Errc::corrupt, "its payload is missing");
    case Step::failed: break;
  }
  return fail(db_.fault(), "cannot read its payload");
}

}  // namespace zgrid::broker
