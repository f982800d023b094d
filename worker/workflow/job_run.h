// One attempt while it runs here: its engine, its processes, and what it has to say in the end.
// Plain state; runner_impl.h has who changes it and when.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "worker/executors/processes.h"
#include "worker/executors/providers.h"
#include "worker/runner.h"
#include "worker/workflow/engine.h"
#include "worker/workflow/step_output.h"

namespace zgrid::worker {

// A process of a step.
struct StepProcess {
  StepProcess(StepRun the_run, const StepDefinition& definition)
      : run(the_run), step(&definition), parser(definition) {}

  StepRun run;
  const StepDefinition* step;
  StepOutputParser parser;
  // Of a prompt:
  std::optional<Providers::Choice> provider;
  MonoTime time_limit_at = MonoTime::never();
  size_t input_bytes = 0, output_bytes = 0;
  Utf8Cutter tokens;
  // Of a kept process, which had a life before this step: what was known of its CPU time first, and
  // what it has used since.
  std::optional<uint64_t> cpu_ms_before;
  uint64_t cpu_ms = 0;
};

struct JobRun {
  Attempt attempt;
  WorkflowRef workflow;
  std::unique_ptr<Engine> engine;             // none if it could not even begin
  std::optional<Providers::Choice> provider;  // of a prompt job; else the default is taken
  std::deque<Engine::Start> waiting;          // for their provider
  std::deque<Engine::Start> paused;           // until a program that crashes may start again
  std::map<ProcessId, StepProcess> processes;
  std::string scratch;  // empty: not made (yet)
  Json job_facts;       // {{job.…}}

  MonoTime started{};
  Millis time_limit{0};  // 0 = none
  uint64_t next_seq = 0;
  size_t spawned = 0;  // processes that were started; it may turn out later that one was not

  bool ending = false;  // the outcome stands, its processes are being ended
  Outcome outcome;
  Payload output;
  // It is given back, but not before; zero: it is not given back.
  MonoTime rest_until{};

  // For telling busy from wedged.
  MonoTime last_active{};
  uint64_t cpu_ms_ended = 0;  // of processes that ended
  uint64_t cpu_ms_seen = 0;
  uint64_t bytes_out = 0;

  [[nodiscard]] const JobSpec& spec() const { return attempt.spec->job; }
  [[nodiscard]] const Token& token() const { return attempt.token; }
  // It owns one slot, and one for each process beyond the first.
  [[nodiscard]] size_t slots() const { return processes.size() > 1 ? processes.size() : 1; }
  [[nodiscard]] MonoTime time_limit_at() const {
    return time_limit.count() > 0 ? started + time_limit : MonoTime::never();
  }
};

// The workflow that a prompt job is: one prompt step, from {"text": …} to {"text": …}.
WorkflowRef prompt_workflow();

// What the input of a job is to a workflow: {} for none, {"text": …} for text and bytes, the
// object for JSON. Errc::bad_input for any other JSON.
Result<Json> workflow_input(const Payload& input);

}  // namespace zgrid::worker
