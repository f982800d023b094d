#include "worker/runner.h"

#include <algorithm>
#include <utility>

#include "protocol/base/units.h"
#include "worker/workflow/runner_impl.h"

namespace zgrid::worker {
namespace {

bool is_prompt_service(std::string_view service) {
  if (service.substr(0, kServicePrompt.size()) != kServicePrompt) return false;
  const std::string_view rest = service.substr(kServicePrompt.size());
  return rest.empty() || rest[0] == '@' || rest[0] == '/';
}

JobError make_error(JobErrorKind kind, std::string message) {
  JobError error;
  error.kind = kind;
  error.message = std::move(message);
  return error;
}

Millis smaller_limit(Millis a, Millis b) {
  if (a.count() <= 0) return b;
  return b.count() <= 0 ? a : std::min(a, b);
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::open(Options options, Callbacks callbacks) {
  Result<WorkflowMap> workflows = read_workflows(options.workflows);
  if (!workflows) return fail(workflows.error());
  Result<Providers> providers = Providers::open(options.providers, options.environment);
  if (!providers) return fail(providers.error());
  auto runner = std::make_unique<RunnerImpl>(std::move(options), std::move(callbacks),
                                             std::move(*workflows), std::move(*providers));
  if (const Result<void> begun = runner->begin(); !begun) return fail(begun.error());
  return std::unique_ptr<Runner>(std::move(runner));
}

RunnerImpl::RunnerImpl(Options options, Callbacks callbacks, WorkflowMap workflows,
                       Providers providers)
    : options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      workflows_(std::move(workflows)),
      providers_(std::move(providers)),
      prompt_workflow_(prompt_workflow()),
      scratch_(options_.scratch_root),
      programs_(search_path(options_.environment)) {}

Result<void> RunnerImpl::begin() {
  Processes::Options options;
  options.output_bytes_max = options_.output_bytes_max;
  options.kill_grace = options_.kill_grace;
  options.sole_parent = options_.sole_parent;
  Result<std::unique_ptr<Processes>> processes = Processes::open(options, *this);
  if (!processes) return fail(processes.error());
  processes_ = std::move(*processes);
  const size_t idle_max = std::max<size_t>(kIdleMaxAtLeast, size_t{2} * options_.slots);
  kept_ = std::make_unique<KeptProcesses>(*processes_, idle_max);
  return {};
}

RunnerImpl::~RunnerImpl() {
  processes_.reset();
  if (kept_ != nullptr) {
    for (std::string& scratch : kept_->take_scratches()) scratch_.give_back(std::move(scratch));
  }
  for (const auto& [token, run] : runs_) {
    if (!run->scratch.empty()) scratch_.give_back(std::move(run->scratch));
  }
}

std::vector<std::string> RunnerImpl::services() const {
  std::vector<std::string> names = providers_.services();
  names.emplace_back(kServiceEcho);
  for (const auto& [name, workflow] : workflows_) {
    if (!workflow->has_prompts() || !providers_.empty()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> RunnerImpl::reload(Now now) {
  Result<WorkflowMap> workflows = read_workflows(options_.workflows);
  if (!workflows) return fail(workflows.error());
  workflows_ = std::move(*workflows);  // attempts that run keep the definition they began with
  kept_->start_anew(now);              // the busy ones end when they have answered
  return {};
}

void RunnerImpl::start(Attempt attempt, Now now) {
  const JobSpec& spec = attempt.spec->job;
  if (spec.service == kServiceEcho && spec.steps.empty()) {
    callbacks_.on_end(attempt.token, Outcome{}, std::move(attempt.input));
    return;
  }
  now_ = now;
  const bool nested = std::exchange(busy_, true);
  begin_job(std::move(attempt));
  schedule();
  if (!nested) hand_over_ended();
}

void RunnerImpl::begin_job(Attempt attempt) {
  const Token token = attempt.token;
  auto owned = std::make_unique<JobRun>();
  JobRun& run = *owned;
  run.attempt = std::move(attempt);
  run.started = now_.mono;
  run.last_active = now_.mono;
  if (!runs_.emplace(token, std::move(owned)).second) return;  // it runs already
  slots_used_ += run.slots();
  if (!prepare(run)) return;
  Result<Json> input = workflow_input(run.attempt.input);
  if (!input) {
    return fail_job(run, JobStatus::failed,
                    make_error(JobErrorKind::validation, input.error().message));
  }
  const bool is_prompt = run.workflow == prompt_workflow_;
  const Json* text = input->find("text");
  const bool has_text = text != nullptr && (text->is_string() || base64_value(*text));
  if (is_prompt && !has_text) {
    return fail_job(run, JobStatus::failed,
                    make_error(JobErrorKind::validation,
                               "the input of a prompt is {\"text\": …}, and there is no text"));
  }
  run.attempt.input = {};  // the engine has it
  run.engine = std::make_unique<Engine>(run.workflow, run.spec().steps, std::move(*input));
  look_at_engine(run);
}

// Finds what is to run. False: the job has failed.
bool RunnerImpl::prepare(JobRun& run) {
  const JobSpec& spec = run.spec();
  Json& facts = run.job_facts;
  facts = Json::object();
  facts.set("id", run.token().job.str());
  facts.set("index", run.attempt.index);
  facts.set("run", spec.run);
  if (is_prompt_service(spec.service)) {
    Result<Providers::Choice> choice = providers_.choose_for(spec);
    if (!choice) {
      fail_job(run, JobStatus::failed,
               make_error(JobErrorKind::unsupported, choice.error().message));
      return false;
    }
    run.provider = std::move(*choice);
    run.workflow = prompt_workflow_;
  } else if (const auto found = workflows_.find(spec.service); found != workflows_.end()) {
    run.workflow = found->second;
    if (run.workflow->has_prompts() && providers_.empty()) {
      fail_job(run, JobStatus::failed,
               make_error(JobErrorKind::unsupported,
                          "the workflow has prompts, and this worker has no provider"));
      return false;
    }
  } else if (spec.service == kServiceEcho) {
    fail_job(run, JobStatus::failed,
             make_error(JobErrorKind::unknown_step, "zgrid.echo has no steps"));
    return false;
  } else {
    fail_job(run, JobStatus::failed,
             make_error(JobErrorKind::unknown_workflow,
                        "this worker has no workflow '" + spec.service + "'"));
    return false;
  }
  run.time_limit = smaller_limit(run.workflow->time_limit, spec.time_limit);
  return true;
}

void RunnerImpl::abort(const Token& token, JobStatus reason, Now now) {
  now_ = now;
  const bool nested = std::exchange(busy_, true);
  const auto found = runs_.find(token);
  if (found != runs_.end() && found->second->rest_until != MonoTime{}) {
    // It has not been given back yet, so it ends as asked.
    found->second->rest_until = {};
    found->second->ending = false;
  }
  if (found != runs_.end() && !found->second->ending) {
    stop(*found->second, reason,
         reason == JobStatus::timed_out ? "its deadline passed" : "cancelled");
    schedule();
  }
  if (!nested) hand_over_ended();
}

void RunnerImpl::stop(JobRun& run, JobStatus reason, std::string message) {
  const bool timed_out = reason == JobStatus::timed_out;
  JobError error =
      make_error(timed_out ? JobErrorKind::timeout : JobErrorKind::cancelled, std::move(message));
  error.retryable = timed_out;
  fail_job(run, timed_out ? JobStatus::timed_out : JobStatus::cancelled, std::move(error));
}

void RunnerImpl::run(Now now) {
  now_ = now;
  const bool nested = std::exchange(busy_, true);
  if (!nested) {
    processes_->run(now);
    kept_->run(now);
    end_overdue();
    schedule();
    hand_over_ended();
  }
}

void RunnerImpl::end_overdue() {
  for (const auto& [token, run] : runs_) {
    if (run->ending) {
      if (run->rest_until != MonoTime{}) end_or_rest(*run);
      continue;
    }
    if (run->time_limit_at() <= now_.mono) {
      stop(*run, JobStatus::timed_out,
           "it did not end within its time limit of " + format_duration(run->time_limit));
      continue;
    }
    for (auto& [id, process] : run->processes) {
      if (process.time_limit_at > now_.mono) continue;
      const conf::ProviderSettings& provider = providers_.settings(*process.provider);
      JobError error = make_error(JobErrorKind::provider, "provider '" + provider.name +
                                                              "' gave no answer within " +
                                                              format_duration(provider.time_limit));
      error.retryable = true;
      fail_step(*run, process, std::move(error));
      break;
    }
  }
}

// Tells of attempts that are over. A callback may start the next one, which may end at once, so
// this goes on until nothing is left instead of calling itself.
void RunnerImpl::hand_over_ended() {
  while (!ended_.empty()) {
    const auto found = runs_.find(ended_.front());
    ended_.pop_front();
    const std::unique_ptr<JobRun> run = std::move(found->second);
    runs_.erase(found);
    slots_used_ -= run->slots();
    if (!run->scratch.empty()) scratch_.give_back(std::move(run->scratch));
    run->outcome.run = now_.mono - run->started;
    if (run->engine != nullptr) run->outcome.usage = run->engine->usage();
    callbacks_.on_end(run->token(), std::move(run->outcome), std::move(run->output));
    schedule();
  }
  busy_ = false;
}

MonoTime RunnerImpl::deadline() const {
  MonoTime earliest = std::min(processes_->deadline(), kept_->deadline());
  for (const auto& [token, run] : runs_) {
    if (run->ending) {
      const bool rests = run->rest_until != MonoTime{} && run->processes.empty();
      if (rests) earliest = std::min(earliest, run->rest_until);
      continue;
    }
    earliest = std::min(earliest, run->time_limit_at());
    // Without a free slot nothing could start then; who frees one starts what is due.
    const bool may_start = run->processes.empty() || slots_used_ < options_.slots;
    for (const Engine::Start& start : run->paused) {
      if (!may_start) break;
      earliest = std::min(earliest, kept_->may_start_at(program_of(*run, *start.step)));
    }
    for (const auto& [id, process] : run->processes) {
      earliest = std::min(earliest, process.time_limit_at);
    }
  }
  return earliest;
}

std::vector<Activity> RunnerImpl::activity(Now now) {
  std::map<ProcessId, Processes::Usage> usage = processes_->usage(now);
  std::vector<Activity> all;
  all.reserve(runs_.size());
  for (const auto& [token, run] : runs_) {
    Activity activity;
    activity.token = token;
    activity.cpu_ms = run->cpu_ms_ended;
    activity.bytes_out = run->bytes_out;
    activity.stopped = !run->processes.empty();
    for (auto& [id, process] : run->processes) {
      activity.stopped = activity.stopped && usage[id].stopped;
      if (process.step->serve) {
        if (!process.cpu_ms_before) process.cpu_ms_before = usage[id].cpu_ms;
        process.cpu_ms = usage[id].cpu_ms - std::min(*process.cpu_ms_before, usage[id].cpu_ms);
      } else {
        process.cpu_ms = usage[id].cpu_ms;
      }
      activity.cpu_ms += process.cpu_ms;
      activity.bytes_out += usage[id].bytes_out;
      run->last_active = std::max(run->last_active, usage[id].last_output);
    }
    // Its turn has not come: it can do nothing, and is not to blame.
    const bool waits = !run->waiting.empty() || !run->paused.empty();
    if (run->processes.empty() && waits) run->last_active = now.mono;
    if (activity.cpu_ms > run->cpu_ms_seen) {
      run->cpu_ms_seen = activity.cpu_ms;
      run->last_active = now.mono;
    }
    activity.cpu_ms = run->cpu_ms_seen;  // a child that ended unwaited-for takes nothing back
    activity.last = run->last_active;
    all.push_back(activity);
  }
  return all;
}

}  // namespace zgrid::worker
