// How a step becomes a process.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "worker/workflow/runner_impl.h"

namespace zgrid::worker {
namespace {

constexpr const char* kInherited[] = {"PATH", "HOME", "USER", "LANG", "TZ"};
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";  // a worker without PATH

std::string current_folder() {
  std::error_code error;
  return std::filesystem::current_path(error).string();
}

}  // namespace

std::vector<std::string> lines_of(const std::map<std::string, std::string>& variables) {
  std::vector<std::string> lines;
  lines.reserve(variables.size());
  for (const auto& [name, value] : variables) lines.push_back(name + "=" + value);
  return lines;
}

std::string search_path(const std::map<std::string, std::string>& environment) {
  const auto found = environment.find("PATH");
  return found != environment.end() ? found->second : kDefaultPath;
}

// Every job that can go on goes on with one step; further ones run as long as slots are free.
void RunnerImpl::schedule() {
  bool started = true;
  while (started) {
    started = false;
    for (const auto& [token, run] : runs_) started = start_one(*run) || started;
  }
}

bool RunnerImpl::start_one(JobRun& run) {
  if (run.ending || run.engine == nullptr) return false;
  if (!run.processes.empty() && slots_used_ >= options_.slots) return false;
  std::optional<Engine::Start> start = take_startable(run);
  if (!start) return false;
  start_step(run, std::move(*start));
  return true;
}

// What is ready. A prompt whose provider has enough to do waits its turn, and so does a step whose
// kept process does nothing but crash.
std::optional<Engine::Start> RunnerImpl::take_startable(JobRun& run) {
  if (!run.waiting.empty() && providers_.may_start(provider_of(run))) {
    Engine::Start start = std::move(run.waiting.front());
    run.waiting.pop_front();
    return start;
  }
  const auto due =
      std::find_if(run.paused.begin(), run.paused.end(),
                   [&](const Engine::Start& start) { return !must_pause(run, *start.step); });
  if (due != run.paused.end()) {
    Engine::Start start = std::move(*due);
    run.paused.erase(due);
    return start;
  }
  while (std::optional<Engine::Start> start = run.engine->next()) {
    if (start->step->serve && must_pause(run, *start->step)) {
      run.paused.push_back(std::move(*start));
    } else if (start->step->prompt && !providers_.may_start(provider_of(run))) {
      run.waiting.push_back(std::move(*start));
    } else {
      return start;
    }
  }
  return std::nullopt;
}

Providers::Choice RunnerImpl::provider_of(const JobRun& run) const {
  return run.provider ? *run.provider : *providers_.choose("", "");
}

void RunnerImpl::start_step(JobRun& run, Engine::Start start) {
  const tl::expected<void, NotStarted> started =
      start.step->serve ? start_kept(run, start) : start_process(run, start);
  if (!started) on_not_started(run, start.run, *start.step, started.error());
}

void RunnerImpl::on_not_started(JobRun& run, StepRun step_run, const StepDefinition& step,
                                const NotStarted& reason) {
  if (reason.error.code == Errc::not_ready) {
    kept_->end_idle(now_);  // whoever tries again finds room
    return give_back(run, reason.error.message);
  }
  JobError error;
  error.kind = reason.kind;
  error.message = reason.error.message;
  error.retryable = error.kind == JobErrorKind::spawn;
  error.step = step.id;
  run.engine->on_step_failed(step_run, std::move(error));
  look_at_engine(run);
}

tl::expected<void, RunnerImpl::NotStarted> RunnerImpl::start_process(JobRun& run,
                                                                     const Engine::Start& start) {
  const auto not_started = [](JobErrorKind kind, Error error) {
    return tl::unexpected<NotStarted>(NotStarted{kind, std::move(error)});
  };
  const Result<std::string> input = render_input(run, start);
  if (!input) return not_started(JobErrorKind::validation, input.error());
  if (run.scratch.empty()) {
    Result<std::string> scratch = scratch_.take(now_.wall);
    if (!scratch) return not_started(JobErrorKind::spawn, scratch.error());
    run.scratch = std::move(*scratch);
  }
  StepProcess process(start.run, *start.step);
  SpawnRequest request;
  request.input = *input;
  std::string folder = run.workflow->folder;
  if (start.step->prompt) {
    process.provider = provider_of(run);
    process.input_bytes = input->size();
    const Millis limit = providers_.settings(*process.provider).time_limit;
    if (limit.count() > 0) process.time_limit_at = now_.mono + limit;
    request.argv = providers_.argv(*process.provider);
    request.directory = run.scratch;
    folder = current_folder();
  } else {
    request.argv = start.step->run;
    request.directory = folder;
  }
  request.environment = environment_of(run, process);
  Result<std::string> program = programs_.find(request.argv[0], folder, now_.mono);
  if (!program) return not_started(JobErrorKind::spawn, program.error());
  request.program = std::move(*program);
  const Result<ProcessId> id =
      processes_->start(std::move(request), "ZGRID_SCRATCH=" + run.scratch, now_);
  if (!id) return not_started(JobErrorKind::spawn, id.error());

  if (process.provider) providers_.start(*process.provider);
  attach(run, *id, std::move(process));
  return {};
}

void RunnerImpl::attach(JobRun& run, ProcessId id, StepProcess process) {
  slots_used_ -= run.slots();
  run.processes.emplace(id, std::move(process));
  slots_used_ += run.slots();
  owners_[id] = &run;
  ++run.spawned;
  run.last_active = now_.mono;
}

Result<std::string> RunnerImpl::render_input(const JobRun& run, const Engine::Start& start) const {
  const StepDefinition& step = *start.step;
  const std::optional<Template>& text = step.prompt ? step.prompt : step.input;
  if (!text) return event_line(start.event, start.types);
  const Json type(start.event.type);
  Result<std::string> rendered =
      text->render({{"data", &start.event.data}, {"type", &type}, {"job", &run.job_facts}});
  if (!rendered) {
    return fail(Errc::bad_input,
                "step '" + step.id + "': " + rendered.error().message + " in " + start.event.type);
  }
  const std::string& system = run.spec().system;
  if (step.prompt && !system.empty()) return system + "\n\n" + *rendered;
  return rendered;
}

// What a program gets whatever it is run for. Its step's own settings come last.
std::map<std::string, std::string> RunnerImpl::base_environment(const StepDefinition& step,
                                                                const std::string& scratch) const {
  std::map<std::string, std::string> variables;
  const auto pass = [&](const std::string& name) {
    const auto found = options_.environment.find(name);
    if (found != options_.environment.end()) variables[name] = found->second;
  };
  for (const char* name : kInherited) pass(name);
  variables.emplace("PATH", kDefaultPath);
  variables["TMPDIR"] = scratch;
  for (const std::string& name : step.pass_env) pass(name);
  for (const auto& [name, value] : step.env) variables[name] = value;
  variables["ZGRID_WORKER"] = options_.worker_name;
  variables["ZGRID_SCRATCH"] = scratch;
  return variables;
}

std::vector<std::string> RunnerImpl::environment_of(const JobRun& run,
                                                    const StepProcess& process) const {
  std::map<std::string, std::string> variables = base_environment(*process.step, run.scratch);
  if (process.provider) {
    const std::string& key = providers_.settings(*process.provider).api_key_env;
    const auto found = options_.environment.find(key);
    if (found != options_.environment.end()) variables[key] = found->second;
  }
  variables["ZGRID_JOB"] = run.token().job.str();
  variables["ZGRID_ATTEMPT"] = std::to_string(run.token().attempt);
  variables["ZGRID_RUN"] = run.spec().run;
  variables["ZGRID_INDEX"] = std::to_string(run.attempt.index);
  if (!run.attempt.trace.empty()) variables["TRACEPARENT"] = run.attempt.trace;
  return lines_of(variables);
}

}  // namespace zgrid::worker
