// The Runner: what stands between the worker's loop, the engines and the processes.
//
// runner.cpp       what the worker's loop calls
// runner_start.cpp how a step becomes a process
// runner_end.cpp   what its output and its end mean
// runner_kept.cpp  steps whose process stays (mode = "serve")
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/executors/kept.h"
#include "worker/executors/processes.h"
#include "worker/executors/programs.h"
#include "worker/executors/providers.h"
#include "worker/executors/scratch.h"
#include "worker/runner.h"
#include "worker/workflow/definition.h"
#include "worker/workflow/job_run.h"

namespace zgrid::worker {

// "NAME=value" of each.
std::vector<std::string> lines_of(const std::map<std::string, std::string>& variables);
// Where a worker with this environment looks for programs.
std::string search_path(const std::map<std::string, std::string>& environment);

class RunnerImpl final : public Runner, private ProcessListener {
 public:
  RunnerImpl(Options options, Callbacks callbacks, WorkflowMap workflows, Providers providers);
  ~RunnerImpl() override;
  Result<void> begin();

  [[nodiscard]] std::vector<std::string> services() const override;
  Result<void> reload(Now now) override;
  void start(Attempt attempt, Now now) override;
  void abort(const Token& token, JobStatus reason, Now now) override;
  void run(Now now) override;
  [[nodiscard]] int fd() const override { return processes_->fd(); }
  [[nodiscard]] MonoTime deadline() const override;
  [[nodiscard]] std::vector<Activity> activity(Now now) override;

 private:
  // Why a step could not begin.
  struct NotStarted {
    JobErrorKind kind;
    Error error;
  };

  // An attempt that could not start keeps its slot for so long before it is given back. Otherwise a
  // worker that can start nothing would draw in and give back job after job.
  static constexpr Millis kGiveBackRest{1000};
  // Idle kept processes: two for each slot, so that two workflows in turn need no restarts, but not
  // fewer than this.
  static constexpr size_t kIdleMaxAtLeast = 16;

  // runner.cpp
  void begin_job(Attempt attempt);
  bool prepare(JobRun& run);
  void end_overdue();
  void stop(JobRun& run, JobStatus reason, std::string message);
  void hand_over_ended();

  // runner_start.cpp
  void schedule();
  bool start_one(JobRun& run);
  [[nodiscard]] std::optional<Engine::Start> take_startable(JobRun& run);
  [[nodiscard]] Providers::Choice provider_of(const JobRun& run) const;
  void start_step(JobRun& run, Engine::Start start);
  void on_not_started(JobRun& run, StepRun step_run, const StepDefinition& step,
                      const NotStarted& reason);
  tl::expected<void, NotStarted> start_process(JobRun& run, const Engine::Start& start);
  void attach(JobRun& run, ProcessId id, StepProcess process);
  StepProcess detach(JobRun& run, ProcessId id);
  Result<std::string> render_input(const JobRun& run, const Engine::Start& start) const;
  [[nodiscard]] std::map<std::string, std::string> base_environment(
      const StepDefinition& step, const std::string& scratch) const;
  [[nodiscard]] std::vector<std::string> environment_of(const JobRun& run,
                                                        const StepProcess& process) const;

  // runner_kept.cpp
  [[nodiscard]] static KeptProcesses::Program program_of(const JobRun& run,
                                                         const StepDefinition& step);
  [[nodiscard]] bool must_pause(const JobRun& run, const StepDefinition& step) const;
  tl::expected<void, NotStarted> start_kept(JobRun& run, const Engine::Start& start);
  tl::expected<ProcessId, NotStarted> new_kept(const JobRun& run, const StepDefinition& step);
  Result<std::string> request_line(const JobRun& run, const Engine::Start& start) const;
  void on_kept_stdout(ProcessId id, std::string_view piece);
  void on_answer(JobRun& run, ProcessId id, KeptProcesses::Answer answer);
  [[nodiscard]] std::string doubt_about(const JobRun& run, ProcessId id, bool more) const;
  void on_doubt(JobRun& run, const StepProcess& process, const std::string& reason);
  void say_if_distrusted(JobRun& run, const StepDefinition& step);
  void on_kept_exit(JobRun& run, const StepProcess& process, const ProcessEnd& end, JobError error);

  // runner_end.cpp
  void on_stdout(ProcessId id, std::string_view piece) override;
  void on_stderr_line(ProcessId id, std::string_view line) override;
  void on_end(ProcessId id, const ProcessEnd& end) override;
  void on_step_output(JobRun& run, StepProcess& process, Result<std::vector<Event>> events);
  void on_step_exit(JobRun& run, StepProcess& process, const ProcessEnd& end);
  void emit(JobRun& run, EventKind kind, std::string name, const std::string& step, Payload data);
  void fail_step(JobRun& run, const StepProcess& process, JobError error);
  void look_at_engine(JobRun& run);
  void begin_end(JobRun& run, Outcome outcome, Payload output);
  void end_or_rest(JobRun& run);
  void fail_job(JobRun& run, JobStatus status, JobError error);
  void give_back(JobRun& run, const std::string& reason);

  Options options_;
  Callbacks callbacks_;
  WorkflowMap workflows_;
  Providers providers_;
  WorkflowRef prompt_workflow_;
  ScratchPool scratch_;
  Programs programs_;
  std::unique_ptr<Processes> processes_;
  std::unique_ptr<KeptProcesses> kept_;
  std::map<Token, std::unique_ptr<JobRun>> runs_;
  std::map<ProcessId, JobRun*> owners_;
  std::deque<Token> ended_;  // to be handed over when nobody is in the middle of anything
  size_t slots_used_ = 0;
  bool busy_ = false;  // inside a call of ours: a callback called us
  Now now_{};          // of the call that is being handled
};

}  // namespace zgrid::worker
