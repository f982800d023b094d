// Steps with mode = "serve": their process stays and serves one request after another.
//
// For as long as a request lasts its process belongs to the attempt as any other does: the time
// limit, a cancellation or a failure ends it. Only a proper answer parts the two.
#include <utility>

#include "worker/workflow/runner_impl.h"

namespace zgrid::worker {
namespace {

constexpr int kKilled = 137;  // the exit code that SIGKILL makes

}  // namespace

// Shares the ownership of the workflow, so that the step stays where it is.
KeptProcesses::Program RunnerImpl::program_of(const JobRun& run, const StepDefinition& step) {
  return KeptProcesses::Program(run.workflow, &step);
}

bool RunnerImpl::must_pause(const JobRun& run, const StepDefinition& step) const {
  const KeptProcesses::Program program = program_of(run, step);
  return kept_->may_start_at(program) > now_.mono && !kept_->has_idle(program);
}

tl::expected<void, RunnerImpl::NotStarted> RunnerImpl::start_kept(JobRun& run,
                                                                  const Engine::Start& start) {
  const Result<std::string> line = request_line(run, start);
  if (!line) {
    return tl::unexpected<NotStarted>(NotStarted{JobErrorKind::validation, line.error()});
  }
  const KeptProcesses::Program program = program_of(run, *start.step);
  while (const std::optional<ProcessId> id = kept_->take(program, now_)) {
    const bool is_watched = kept_->turns(*id) <= KeptProcesses::kWatchedTurns;
    const auto pace = is_watched ? Processes::Pace::in_two : Processes::Pace::at_once;
    if (processes_->write(*id, *line, pace, now_)) {
      attach(run, *id, StepProcess(start.run, *start.step));
      return {};
    }
    kept_->release(*id, false,
                   now_);  // it ended since its last answer, and has seen nothing of this
  }
  const tl::expected<ProcessId, NotStarted> id = new_kept(run, *start.step);
  if (!id) return tl::unexpected<NotStarted>(id.error());
  attach(run, *id, StepProcess(start.run, *start.step));
  // One that would not even read ends soon, and that tells of it.
  static_cast<void>(processes_->write(*id, *line, Processes::Pace::in_two, now_));
  say_if_distrusted(run, *start.step);
  return {};
}

tl::expected<ProcessId, RunnerImpl::NotStarted> RunnerImpl::new_kept(const JobRun& run,
                                                                     const StepDefinition& step) {
  const auto not_started = [](Error error) {
    return tl::unexpected<NotStarted>(NotStarted{JobErrorKind::spawn, std::move(error)});
  };
  SpawnRequest request;
  request.argv = step.run;
  request.directory = run.workflow->folder;
  request.keep_input = true;
  Result<std::string> program = programs_.find(step.run[0], request.directory, now_.mono);
  if (!program) return not_started(program.error());
  request.program = std::move(*program);
  Result<std::string> scratch = scratch_.take(now_.wall);
  if (!scratch) return not_started(scratch.error());
  request.environment = lines_of(base_environment(step, *scratch));
  const Result<ProcessId> id =
      processes_->start(std::move(request), "ZGRID_SCRATCH=" + *scratch, now_);
  if (!id) {
    scratch_.give_back(std::move(*scratch));
    return not_started(id.error());
  }
  kept_->add(*id, program_of(run, step), std::move(*scratch), step.idle_time);
  return *id;
}

// A process cannot get a new environment for each request, so the event says whose it is.
Result<std::string> RunnerImpl::request_line(const JobRun& run, const Engine::Start& start) const {
  if (start.step->input) {
    Result<std::string> text = render_input(run, start);
    if (!text) return text;
    if (text->find('\n') != std::string::npos) {
      return fail(Errc::bad_input, "step '" + start.step->id +
                                       "': what its stdin would get has a line break, and a kept "
                                       "process gets one line; leave stdin out to send JSON");
    }
    *text += '\n';
    return text;
  }
  Json facts = Json::object();
  facts.set("job", run.token().job.str());
  facts.set("attempt", run.token().attempt);
  facts.set("index", run.attempt.index);
  facts.set("run", run.spec().run);
  if (!run.attempt.trace.empty()) facts.set("trace", run.attempt.trace);
  return event_line(start.event, start.types, facts);
}

void RunnerImpl::on_kept_stdout(ProcessId id, std::string_view piece) {
  std::optional<KeptProcesses::Answer> answer = kept_->on_stdout(id, piece, now_);
  const auto owner = owners_.find(id);
  if (owner == owners_.end()) return;
  JobRun& run = *owner->second;
  run.processes.at(id).output_bytes += piece.size();
  if (answer && !run.ending) on_answer(run, id, std::move(*answer));
}

void RunnerImpl::on_answer(JobRun& run, ProcessId id, KeptProcesses::Answer answer) {
  processes_->read_errors(id, now_);  // what it said before it answered is of this attempt
  StepProcess& busy = run.processes.at(id);
  const std::string doubt = doubt_about(run, id, answer.more);
  if (!doubt.empty()) return on_doubt(run, busy, doubt);
  Result<std::vector<Event>> events = busy.parser.on_answer(std::move(answer.line), run.token());
  if (!events && events.error().code == Errc::conflict) {
    return on_doubt(run, busy, events.error().message);
  }
  // Then the job fails, and the process is ended with it.
  if (!events) return on_step_output(run, busy, std::move(events));
  StepProcess process = detach(run, id);
  run.bytes_out += process.output_bytes;
  run.cpu_ms_ended += process.cpu_ms;
  const auto current = workflows_.find(run.workflow->name);
  const bool is_current = current != workflows_.end() && current->second == run.workflow;
  kept_->release(id, is_current, now_);
  on_step_output(run, process, std::move(events));
  if (run.ending) return;
  run.engine->on_step_ended(process.run);
  look_at_engine(run);
}

// Why the line may be the answer to another request; empty: there is no reason to think so.
std::string RunnerImpl::doubt_about(const JobRun& run, ProcessId id, bool more) const {
  if (processes_->has_unread(id)) return "it wrote a line before it had read its request";
  if (!kept_->is_distrusted(program_of(run, *run.processes.at(id).step))) {
    return more ? "it answered with more than one line" : "";
  }
  // The first line is the answer to the only request that this process ever got.
  if (kept_->turns(id) == 1) return "";
  return "another process of it wrote a line that was no answer";
}

// The process is ended with the attempt; trying again is safe, as that has a process of its own.
void RunnerImpl::on_doubt(JobRun& run, const StepProcess& process, const std::string& reason) {
  kept_->distrust(program_of(run, *process.step), now_);
  say_if_distrusted(run, *process.step);
  JobError error;
  error.kind = JobErrorKind::workflow;
  error.message = "step '" + process.step->id + "': " + reason +
                  ", so its answer is in doubt; a kept process writes one line for each that it "
                  "has read, and nothing else";
  error.retryable = true;
  fail_step(run, process, std::move(error));
}

void RunnerImpl::say_if_distrusted(JobRun& run, const StepDefinition& step) {
  if (!kept_->take_news(program_of(run, step))) return;
  const std::string text =
      "zgrid: step '" + step.id +
      "' writes lines that are no answers: until the workflows are read again each of its requests "
      "gets a process of its own";
  emit(run, EventKind::log, step.id, step.id, {PayloadTag::utf8, Bytes::copy_of(text)});
}

// It ended by itself before it answered.
void RunnerImpl::on_kept_exit(JobRun& run, const StepProcess& process, const ProcessEnd& end,
                              JobError error) {
  const bool closed = end.pipe_closed && end.exit_code == kKilled;
  error.kind = JobErrorKind::workflow;
  error.message = "step '" + process.step->id + "' " +
                  (closed ? "closed its stdin or stdout" : describe_exit(end.exit_code)) +
                  " before it answered";
  error.exit_code = end.exit_code;
  error.retryable = true;
  fail_step(run, process, std::move(error));
}

}  // namespace zgrid::worker
