#include "broker/store/sqlite_rows.h"

namespace zgrid::broker {

Result<void> RowReader::prepare() {
  Result<Statement> payload = db_.prepare("SELECT data FROM payload WHERE key = ?1");
  if (!payload) return fail(std::move(payload.error()));
  payload_ = std::move(*payload);
  return {};
}

std::string RowReader::name_of(const JobParts& parts) {
  std::optional<JobId> id = id_in_accepted(parts.accepted, parts.seq);
  if (!id && parts.state) {
    if (const auto state = decode_state(*parts.state, parts.seq)) id = state->state.id;
  }
  if (!id && parts.ended) {
    if (const auto ended = decode_ended(*parts.ended, parts.seq)) id = ended->end.id;
  }
  return "job " + (id ? id->str() : "number " + std::to_string(parts.seq));
}

Error RowReader::about(const JobParts& parts, Error error) {
  error.message = name_of(parts) + ": " + error.message;
  if (error.hint.empty()) error.hint = "restore the store from a backup";
  return error;
}

Result<StoredJob> RowReader::job(const JobParts& parts, const Wanted& wanted) {
  Result<AcceptedPart> accepted =
      decode_accepted(parts.accepted, parts.seq, specs_, wanted.input_bytes_max);
  if (!accepted) return fail(std::move(accepted.error()));
  StoredJob job;
  job.accepted = std::move(accepted->job);
  job.state.id = job.accepted.id;
  job.state.seq = parts.seq;
  if (parts.state) {
    Result<StatePart> state = decode_state(*parts.state, parts.seq);
    if (!state) return fail(std::move(state.error()));
    Result<WorkerFactsRef> worker = facts_.get(state->worker);
    if (!worker) return fail(std::move(worker.error()));
    job.state = std::move(state->state);
    job.state.worker = std::move(*worker);
  }
  if (parts.ended) {
    if (Result<void> ended = add_end(parts, wanted.output, job); !ended) {
      return fail(std::move(ended.error()));
    }
  }
  const JobSpec& spec = job.accepted.spec->job;
  if (job.state.id != job.accepted.id || job.status() != parts.status ||
      is_terminal(job.state.status) || spec.run != parts.run ||
      (spec.kind == JobKind::broadcast) != parts.is_broadcast) {
    return fail(Errc::corrupt, "its parts contradict each other");
  }
  if (accepted->input_read) return job;
  if (accepted->input_size > wanted.input_bytes_max) {
    job.input_left_out = accepted->input_size;
    return job;
  }
  Result<Bytes> input = payload(input_key(parts.seq), accepted->input, parts.seq);
  if (!input) return fail(std::move(input.error()));
  job.accepted.input.data = std::move(*input);
  return job;
}

Result<void> RowReader::add_end(const JobParts& parts, bool with_output, StoredJob& job) {
  Result<EndedPart> ended = decode_ended(*parts.ended, parts.seq);
  if (!ended) return fail(std::move(ended.error()));
  Result<WorkerFactsRef> worker = facts_.get(ended->worker);
  if (!worker) return fail(std::move(worker.error()));
  if (ended->end.id != job.accepted.id) return fail(Errc::corrupt, "its result is another job's");
  job.ended = std::move(ended->end);
  job.ended->worker = std::move(*worker);
  if (!with_output) {
    job.ended->output.data = {};
  } else if (ended->output.present) {
    Result<Bytes> output = payload(output_key(parts.seq), ended->output, parts.seq);
    if (!output) return fail(std::move(output.error()));
    job.ended->output.data = std::move(*output);
  }
  return {};
}

Result<EndedJob> RowReader::ended(const JobParts& parts) {
  Result<EndedJob> ended = decode_ended_job(parts.accepted, *parts.ended, parts.seq);
  if (!ended) return ended;
  if (ended->status == parts.status) return ended;
  return fail(Errc::corrupt, "its parts contradict each other");
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
