// What the output and the end of a step mean for its job.
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"
#include "worker/workflow/runner_impl.h"

namespace zgrid::worker {
namespace {

Payload text_payload(std::string_view text) {
  return {is_utf8(text) ? PayloadTag::utf8 : PayloadTag::bytes, Bytes::copy_of(text)};
}

Payload json_payload(const Json& value) { return {PayloadTag::json, Bytes::own(value.dump())}; }

std::string name_of(const StepProcess& process, const Providers& providers) {
  if (process.provider) return "provider '" + providers.settings(*process.provider).name + "'";
  return "step '" + process.step->id + "'";
}

}  // namespace

void RunnerImpl::on_stdout(ProcessId id, std::string_view piece) {
  if (kept_->has(id)) return on_kept_stdout(id, piece);
  JobRun& run = *owners_.at(id);
  StepProcess& process = run.processes.at(id);
  process.output_bytes += piece.size();
  if (run.ending) return;
  if (process.provider) {
    const std::string token = process.tokens.add(piece);
    if (!token.empty()) emit(run, EventKind::token, "", process.step->id, text_payload(token));
  }
  on_step_output(run, process, process.parser.on_piece(piece));
}

void RunnerImpl::on_stderr_line(ProcessId id, std::string_view line) {
  const auto owner = owners_.find(id);
  if (owner == owners_.end()) return;  // a kept process says something for itself
  JobRun& run = *owner->second;
  if (run.ending) return;
  const std::string& step = run.processes.at(id).step->id;
  emit(run, EventKind::log, step, step, text_payload(line));
}

void RunnerImpl::on_end(ProcessId id, const ProcessEnd& end) {
  const auto owner = owners_.find(id);
  if (kept_->has(id)) {
    const bool crashed = owner != owners_.end() && !owner->second->ending && !end.not_started;
    scratch_.give_back(kept_->on_end(id, crashed, now_));
    if (owner == owners_.end()) return;
  }
  JobRun& run = *owner->second;
  StepProcess process = detach(run, id);
  if (end.not_started) --run.spawned;
  run.cpu_ms_ended += process.step->serve ? process.cpu_ms : end.cpu_ms;
  run.bytes_out += process.output_bytes;
  if (process.provider) {
    providers_.stop(*process.provider);
    if (!end.not_started) {
      run.engine->add_usage(
          providers_.estimate(*process.provider, process.input_bytes, process.output_bytes));
    }
  }
  if (!run.ending) {
    on_step_exit(run, process, end);
  } else {
    end_or_rest(run);
  }
}

void RunnerImpl::on_step_exit(JobRun& run, StepProcess& process, const ProcessEnd& end) {
  if (end.not_started) {
    return on_not_started(run, process.run, *process.step, {JobErrorKind::spawn, *end.not_started});
  }
  JobError error;
  error.stderr_tail = end.stderr_tail;
  if (end.output_too_large) {
    error.kind = JobErrorKind::output_too_large;
    error.message = name_of(process, providers_) + " wrote more than " +
                    format_size(options_.output_bytes_max) + " to stdout";
    return fail_step(run, process, std::move(error));
  }
  if (process.step->serve) return on_kept_exit(run, process, end, std::move(error));
  if (end.exit_code != 0) {
    error.kind = process.provider ? JobErrorKind::provider : JobErrorKind::workflow;
    error.message = name_of(process, providers_) + " " + describe_exit(end.exit_code);
    error.exit_code = end.exit_code;
    error.retryable = true;
    return fail_step(run, process, std::move(error));
  }
  if (process.provider) {
    const std::string rest = process.tokens.rest();
    if (!rest.empty()) emit(run, EventKind::token, "", process.step->id, text_payload(rest));
  }
  on_step_output(run, process, process.parser.on_end());
  if (run.ending) return;
  run.engine->on_step_ended(process.run);
  look_at_engine(run);
}

StepProcess RunnerImpl::detach(JobRun& run, ProcessId id) {
  StepProcess process = std::move(run.processes.at(id));
  owners_.erase(id);
  slots_used_ -= run.slots();
  run.processes.erase(id);
  slots_used_ += run.slots();
  run.last_active = now_.mono;
  return process;
}

void RunnerImpl::on_step_output(JobRun& run, StepProcess& process,
                                Result<std::vector<Event>> events) {
  if (!events) {
    JobError error;
    error.kind = JobErrorKind::validation;
    error.message = name_of(process, providers_) + ": " + events.error().message;
    return fail_step(run, process, std::move(error));
  }
  for (Event& event : *events) {
    if (run.ending) return;
    // The terminal event is the result; saying it twice would double what is sent.
    const bool stops = normal_event_type(event.type) == kStopEvent;
    Payload data = stops ? Payload{} : json_payload(event.data);
    std::string type = normal_event_type(event.type);
    run.engine->on_event(process.run, std::move(event));
    if (run.engine->state() == Engine::State::running) {
      emit(run, EventKind::step, std::move(type), process.step->id, std::move(data));
    }
    look_at_engine(run);
  }
}

void RunnerImpl::emit(JobRun& run, EventKind kind, std::string name, const std::string& step,
                      Payload data) {
  JobEvent event;
  event.kind = kind;
  event.seq = run.next_seq++;
  event.name = std::move(name);
  event.step = step;
  event.at = now_.wall;
  event.data = std::move(data);
  callbacks_.on_event(run.token(), std::move(event));
}

void RunnerImpl::fail_step(JobRun& run, const StepProcess& process, JobError error) {
  error.step = process.step->id;
  run.engine->on_step_failed(process.run, std::move(error));
  look_at_engine(run);
}

void RunnerImpl::look_at_engine(JobRun& run) {
  if (run.ending) return;
  switch (run.engine->state()) {
    case Engine::State::running: return;
    case Engine::State::failed: return fail_job(run, JobStatus::failed, run.engine->error());
    case Engine::State::done: break;
  }
  Outcome outcome;
  outcome.event_type = run.engine->result().type;
  Payload output = json_payload(run.engine->result().data);
  if (output.data.size() > limits::kPayloadBytesMax) {
    JobError error;
    error.kind = JobErrorKind::output_too_large;
    error.message = "the result has " + format_size(output.data.size()) + "; at most " +
                    format_size(limits::kPayloadBytesMax) + " can be sent";
    return fail_job(run, JobStatus::failed, std::move(error));
  }
  begin_end(run, std::move(outcome), std::move(output));
}

void RunnerImpl::fail_job(JobRun& run, JobStatus status, JobError error) {
  Outcome outcome;
  outcome.status = status;
  outcome.event_type.clear();
  error.took_effect = run.spawned > 0;
  outcome.error = std::move(error);
  begin_end(run, std::move(outcome), {});
}

// From here on the outcome stands. It is told when the last of its processes is gone.
void RunnerImpl::begin_end(JobRun& run, Outcome outcome, Payload output) {
  ZGRID_CHECK(!run.ending);
  run.ending = true;
  run.outcome = std::move(outcome);
  run.output = std::move(output);
  run.waiting.clear();
  run.paused.clear();
  for (const auto& [id, process] : run.processes) processes_->terminate(id, now_);
  end_or_rest(run);
}

void RunnerImpl::end_or_rest(JobRun& run) {
  if (!run.processes.empty() || run.rest_until > now_.mono) return;
  run.rest_until = {};
  ended_.push_back(run.token());
}

// This machine has no process, memory or descriptor to spare, which is not the job's fault: nobody
// asked for the cancellation, so the broker takes it for a give-back and spends no budget on it.
void RunnerImpl::give_back(JobRun& run, const std::string& reason) {
  Outcome outcome;
  outcome.status = JobStatus::cancelled;
  outcome.event_type.clear();
  JobError error;
  error.kind = JobErrorKind::spawn;
  error.message = reason;
  error.took_effect = run.spawned > 0;
  outcome.error = std::move(error);
  run.rest_until = now_.mono + kGiveBackRest;
  begin_end(run, std::move(outcome), {});
}

}  // namespace zgrid::worker
