// How jobs end before their time, share the slots, and leave nothing behind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "runner_fixture.h"

namespace zgrid::worker {
namespace {

using ::testing::HasSubstr;

TEST_F(RunnerTest, a_time_limit_ends_the_whole_group) {
  const std::string script = "sleep infinity & echo $! > child; wait";
  open("[workflow.slow]\ntime_limit = \"300ms\"\n" + shell_workflow("slow", script) +
       shell_workflow("free", script));
  const Ended slow = run("slow");
  EXPECT_EQ(slow.outcome.status, JobStatus::timed_out);
  EXPECT_EQ(slow.error().kind, JobErrorKind::timeout);
  EXPECT_EQ(slow.error().message, "it did not end within its time limit of 300ms");
  EXPECT_TRUE(slow.error().took_effect);
  EXPECT_GE(slow.outcome.run, Millis{300});
  EXPECT_FALSE(is_alive(pid_in("child")));

  JobSpec spec = job("free");
  spec.time_limit = Millis{100};
  EXPECT_EQ(run(spec).outcome.status, JobStatus::timed_out);
  spec = job("slow");
  spec.time_limit = Millis{60'000};
  EXPECT_THAT(run(spec).error().message, HasSubstr("300ms"));
  EXPECT_EQ(runner_->deadline(), MonoTime::never());
}

TEST_F(RunnerTest, abort_asks_and_then_kills) {
  open(shell_workflow("deaf", "trap '' TERM; echo $$ > pid; while :; do sleep inf & wait; done"));
  const Token token = start(job("deaf"));
  const pid_t pid = pid_in("pid");
  const Now before = now_for_tests();
  runner_->abort(token, JobStatus::cancelled, before);
  EXPECT_EQ(ended_.count(token), 0u);
  const Ended ended = wait(token);
  EXPECT_EQ(ended.outcome.status, JobStatus::cancelled);
  EXPECT_EQ(ended.error().kind, JobErrorKind::cancelled);
  EXPECT_GE(now_for_tests().mono - before.mono, options_.kill_grace);
  EXPECT_FALSE(is_alive(pid));
}

TEST_F(RunnerTest, abort_for_a_deadline_is_a_timeout_and_unknown_tokens_are_ignored) {
  open(shell_workflow("slow", "exec sleep infinity"));
  const Token token = start(job("slow"));
  runner_->abort(Token{}, JobStatus::cancelled, now_for_tests());
  runner_->abort(token, JobStatus::timed_out, now_for_tests());
  runner_->abort(token, JobStatus::cancelled, now_for_tests());  // the first one counts
  const Ended ended = wait(token);
  EXPECT_EQ(ended.outcome.status, JobStatus::timed_out);
  EXPECT_EQ(ended.error().message, "its deadline passed");
}

TEST_F(RunnerTest, the_first_stop_event_ends_what_still_runs) {
  options_.slots = 4;
  open(R"(
[[workflow.race.step]]
id = "slow"
accepts = ["StartEvent"]
emits = ["StopEvent"]
run = ["sh", "-c", "echo $$ > pid; exec sleep infinity"]
[[workflow.race.step]]
id = "quick"
accepts = ["StartEvent"]
run = ["sh", "-c", "while [ ! -s pid ]; do :; done; echo quick"]
)");
  const Ended ended = run("race");
  EXPECT_EQ(ended.text(), R"({"text":"quick\n"})");
  EXPECT_FALSE(is_alive(pid_in("pid")));
}

TEST_F(RunnerTest, a_stop_event_that_is_streamed_ends_its_own_step) {
  open(shell_workflow(
      "stream", "echo $$ > pid; echo '{\"type\":\"StopEvent\",\"data\":1}'; exec sleep infinity",
      "output = \"events\""));
  EXPECT_EQ(run("stream").text(), "1");
  EXPECT_FALSE(is_alive(pid_in("pid")));
}

TEST_F(RunnerTest, a_failing_step_ends_its_siblings) {
  options_.slots = 4;
  open(R"(
[[workflow.pair.step]]
id = "slow"
accepts = ["StartEvent"]
emits = ["StopEvent"]
run = ["sh", "-c", "echo $$ > pid; exec sleep infinity"]
[[workflow.pair.step]]
id = "bad"
accepts = ["StartEvent"]
run = ["sh", "-c", "while [ ! -s pid ]; do :; done; exit 9"]
)");
  const Ended ended = run("pair");
  EXPECT_EQ(ended.error().step, "bad");
  EXPECT_EQ(ended.error().exit_code, 9);
  EXPECT_FALSE(is_alive(pid_in("pid")));
}

// Eight parallel steps that each note how many ran with them.
const char* const kParallel = R"(
[[workflow.par.step]]
id = "split"
emits = ["N"]
output = "events"
run = ["sh", "-c", "for i in $(seq 8); do echo '{\"type\":\"N\"}'; done"]
[[workflow.par.step]]
id = "each"
accepts = ["N"]
emits = ["M"]
run = ["sh", "-c", """mkdir -p on; : > on/$$
for i in $(seq 60); do ls on | wc -l; done | sort -n | tail -n 1; rm on/$$"""]
[[workflow.par.step]]
id = "most"
accepts = ["M"]
collect = "all"
run = ["sh", "-c", "grep -o 'text\":\"[0-9]*' | cut -d '\"' -f 3 | sort -n | tail -n 1"]
)";

TEST_F(RunnerTest, steps_of_a_job_run_in_parallel_up_to_the_slots) {
  options_.slots = 3;
  open(kParallel);
  EXPECT_EQ(run("par").text(), R"({"text":"3\n"})");
}

TEST_F(RunnerTest, with_one_slot_steps_run_one_after_another) {
  options_.slots = 1;
  open(kParallel);
  EXPECT_EQ(run("par").text(), R"({"text":"1\n"})");
}

TEST_F(RunnerTest, other_jobs_take_their_slots_and_each_job_goes_on) {
  options_.slots = 2;
  open(std::string(kParallel) + shell_workflow("hold", "exec sleep infinity"));
  const Token one = start(job("hold"));
  const Token two = start(job("hold"));
  EXPECT_EQ(run("par").text(), R"({"text":"1\n"})");
  runner_->abort(one, JobStatus::cancelled, now_for_tests());
  runner_->abort(two, JobStatus::cancelled, now_for_tests());
  wait(one);
  wait(two);
}

TEST_F(RunnerTest, many_jobs_at_once_all_end) {
  options_.slots = 8;
  open(shell_workflow("id", "echo $ZGRID_JOB"));
  std::vector<Token> tokens;
  for (int i = 0; i < 60; ++i) tokens.push_back(start(job("id")));
  for (const Token& token : tokens) {
    EXPECT_EQ(wait(token).text(), "{\"text\":\"" + token.job.str() + "\\n\"}");
  }
}

TEST_F(RunnerTest, activity_tells_busy_from_idle) {
  open(shell_workflow("busy", "echo hello; while :; do :; done") +
       shell_workflow("idle", "echo > started; exec sleep infinity"));
  const Token busy = start(job("busy"));
  const Token idle = start(job("idle"));
  ASSERT_TRUE(until([&] { return folder_.has("started"); }));
  const auto find = [&](const Token& token) {
    for (const Activity& activity : runner_->activity(now_for_tests())) {
      if (activity.token == token) return activity;
    }
    return Activity{};
  };
  ASSERT_TRUE(until([&] { return find(busy).cpu_ms >= 30 && find(busy).bytes_out == 6; }));
  const MonoTime then = now_for_tests().mono;
  ASSERT_TRUE(until([&] { return find(busy).last > then; }));
  EXPECT_LT(find(idle).last, then);
  for (const Token& token : {busy, idle}) {
    runner_->abort(token, JobStatus::cancelled, now_for_tests());
    wait(token);
  }
  EXPECT_TRUE(runner_->activity(now_for_tests()).empty());
}

TEST_F(RunnerTest, an_attempt_whose_processes_are_all_stopped_says_so) {
  open(shell_workflow("pause", "echo $$ > pid; exec sleep infinity"));
  const Token token = start(job("pause"));
  const pid_t pid = pid_in("pid");
  const auto is_stopped = [&] {
    const auto all = runner_->activity(now_for_tests());
    return all.size() == 1 && all.front().stopped;
  };
  EXPECT_FALSE(is_stopped());
  ::kill(-pid, SIGSTOP);
  EXPECT_TRUE(until(is_stopped));
  ::kill(-pid, SIGCONT);
  EXPECT_TRUE(until([&] { return !is_stopped(); }));
  runner_->abort(token, JobStatus::cancelled, now_for_tests());
  wait(token);
}

TEST_F(RunnerTest, escaped_grandchildren_die_with_their_job) {
  open(shell_workflow("escape",
                      "setsid sh -c 'echo $$ > pid; exec sleep infinity' & "
                      "while [ ! -s pid ]; do :; done"));
  const Ended ended = run("escape");
  EXPECT_EQ(ended.outcome.status, JobStatus::succeeded);
  EXPECT_FALSE(is_alive(pid_in("pid")));
}

TEST_F(RunnerTest, the_destructor_leaves_no_process_behind) {
  const std::vector<pid_t> before = Children().list();
  open(shell_workflow("stay",
                      "trap '' TERM; sleep infinity & echo $! > child; "
                      "setsid sh -c 'echo $$ > escaped; exec sleep infinity' & wait"));
  start(job("stay"));
  const pid_t child = pid_in("child");
  const pid_t escaped = pid_in("escaped");
  runner_.reset();
  EXPECT_FALSE(is_alive(child));
  EXPECT_FALSE(is_alive(escaped));
  EXPECT_TRUE(ended_.empty());
  EXPECT_EQ(Children().list(), before);  // no zombie either
}

TEST_F(RunnerTest, a_callback_may_start_the_next_job) {
  open(shell_workflow("step", "true"));
  int left = 500;
  Runner::Callbacks callbacks;
  callbacks.on_event = [](const Token&, JobEvent) {};
  callbacks.on_end = [&](const Token&, Outcome, Payload) {
    if (--left <= 0) return;
    start(job(left % 50 == 0 ? "step" : "unknown"));
  };
  runner_ = std::move(*Runner::open(options_, callbacks));
  start(job("unknown"));
  EXPECT_TRUE(until([&] { return left == 0; }));
}

// ---- prompts ---------------------------------------------------------------------------------

class PromptTest : public RunnerTest {
 protected:
  void provide(std::vector<std::string> argv, std::vector<std::string> models = {}) {
    conf::ProviderSettings provider;
    provider.name = "p" + std::to_string(options_.providers.size());
    provider.kind = "command";
    provider.argv = std::move(argv);
    provider.models = std::move(models);
    provider.concurrency = 4;
    options_.providers.push_back(std::move(provider));
  }
  static JobSpec prompt(const std::string& service = "zgrid.prompt") {
    JobSpec spec = job(service);
    spec.kind = JobKind::prompt;
    return spec;
  }
};

TEST_F(PromptTest, a_prompt_goes_to_stdin_and_the_answer_comes_from_stdout) {
  provide({"tr", "a-z", "A-Z"});
  options_.providers[0].price_input = 1.0;
  options_.providers[0].price_output = 2.0;
  open();
  JobSpec spec = prompt();
  spec.system = "be brief";
  const Token token = start(spec, R"({"text":"hello {{data.text}}"})");
  const Ended ended = wait(token);
  EXPECT_EQ(ended.text(), R"({"text":"BE BRIEF\n\nHELLO {{DATA.TEXT}}"})");
  EXPECT_EQ(ended.outcome.event_type, "StopEvent");
  EXPECT_EQ(ended.outcome.usage.input_tokens, 8u);
  EXPECT_EQ(ended.outcome.usage.output_tokens, 8u);
  EXPECT_TRUE(ended.outcome.usage.estimated);
  EXPECT_DOUBLE_EQ(ended.outcome.usage.cost_usd.value_or(0), 24e-6);
  std::string tokens;
  for (const JobEvent& event : events_[token]) {
    EXPECT_EQ(event.kind, EventKind::token);
    tokens += event.data.data.str();
  }
  EXPECT_EQ(tokens, "BE BRIEF\n\nHELLO {{DATA.TEXT}}");
  EXPECT_EQ(run(prompt(), R"({"txt":"x"})").error().kind, JobErrorKind::validation);
}

TEST_F(PromptTest, models_and_providers_are_chosen_by_service) {
  provide({"echo", "-n", "first", "{{model}}"}, {"a", "b"});
  provide({"echo", "-n", "second"}, {"c"});
  open();
  EXPECT_THAT(runner_->services(), ::testing::Contains("zgrid.prompt@p0/b"));
  const std::string input = R"({"text":"x"})";
  EXPECT_EQ(run(prompt(), input).text(), R"({"text":"first a"})");
  EXPECT_EQ(run(prompt("zgrid.prompt/b"), input).text(), R"({"text":"first b"})");
  EXPECT_EQ(run(prompt("zgrid.prompt@p1"), input).text(), R"({"text":"second"})");
  EXPECT_EQ(run(prompt("zgrid.prompt/z"), input).error().kind, JobErrorKind::unsupported);
}

TEST_F(PromptTest, a_failing_provider_is_a_provider_error) {
  provide({"sh", "-c", "echo 'no key' >&2; exit 2"});
  open();
  const Ended ended = run(prompt(), R"({"text":"x"})");
  EXPECT_EQ(ended.error().kind, JobErrorKind::provider);
  EXPECT_EQ(ended.error().exit_code, 2);
  EXPECT_EQ(ended.error().stderr_tail, "no key\n");
  EXPECT_TRUE(ended.error().retryable);
}

TEST_F(PromptTest, a_provider_that_does_not_answer_in_time_is_given_up) {
  provide({"sleep", "infinity"});
  options_.providers[0].time_limit = Millis{100};
  open();
  const Ended ended = run(prompt(), R"({"text":"x"})");
  EXPECT_EQ(ended.outcome.status, JobStatus::failed);
  EXPECT_EQ(ended.error().kind, JobErrorKind::provider);
  EXPECT_EQ(ended.error().message, "provider 'p0' gave no answer within 100ms");
}

TEST_F(PromptTest, a_provider_never_gets_more_than_it_can_do_at_once) {
  options_.slots = 6;
  provide({"sh", "-c",
           "cd " + folder_.path() +
               "; : > on-$$; for i in $(seq 100); do ls | grep -c on-; done | sort -n | tail -n 1;"
               " rm on-$$"});
  options_.providers[0].concurrency = 2;
  open();
  std::vector<Token> tokens;
  for (int i = 0; i < 6; ++i) tokens.push_back(start(prompt(), R"({"text":"x"})"));
  size_t both = 0;
  for (const Token& token : tokens) {
    const std::string text = wait(token).text();
    EXPECT_THAT(text, ::testing::AnyOf(R"({"text":"1\n"})", R"({"text":"2\n"})"));
    both += text == R"({"text":"2\n"})";
  }
  EXPECT_GT(both, 0u);
}

TEST_F(PromptTest, a_prompt_step_uses_the_default_provider_and_usage_is_summed) {
  const std::string workflow = R"(
[[workflow.two.step]]
id = "one"
emits = ["A"]
prompt = "say {{data.word}}"
[[workflow.two.step]]
id = "two"
accepts = ["A"]
prompt = "{{data.text}}!"
)";
  open(workflow);
  EXPECT_THAT(runner_->services(), ::testing::ElementsAre("zgrid.echo"));
  EXPECT_EQ(run("two", R"({"word":"hi"})").error().kind, JobErrorKind::unsupported);
  provide({"cat"});
  open(workflow);
  const Ended ended = run("two", R"({"word":"hi"})");
  EXPECT_EQ(ended.text(), R"({"text":"say hi!"})");
  EXPECT_EQ(ended.outcome.usage, (Usage{4, 4, std::nullopt, true}));
}

TEST_F(PromptTest, a_provider_sees_its_own_key_and_a_clean_environment) {
  options_.environment["KEY"] = "k";
  provide({"sh", "-c", "echo -n \"$KEY,$OTHER\""});
  options_.providers[0].api_key_env = "KEY";
  open();
  EXPECT_EQ(run(prompt(), R"({"text":"x"})").text(), R"({"text":"k,"})");
}

// While it lives this process gets no further descriptor, so that no pipe to a child can be made.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const int lowest_free = fcntl(0, F_DUPFD_CLOEXEC, 0);
    close(lowest_free);
    const rlimit none{static_cast<rlim_t>(lowest_free), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(RunnerTest, an_attempt_that_the_system_cannot_start_is_given_back_after_a_rest) {
  open(shell_workflow("quick", "printf ok"));
  Token token;
  {
    const NoDescriptors none;
    token = start(job("quick"));
  }
  EXPECT_EQ(ended_.count(token), 0u) << "it was given back at once";
  EXPECT_LT(runner_->deadline(), MonoTime::never());
  const Ended ended = wait(token);
  EXPECT_EQ(ended.outcome.status, JobStatus::cancelled);
  EXPECT_EQ(ended.error().kind, JobErrorKind::spawn);
  EXPECT_THAT(ended.error().message, HasSubstr("cannot run 'sh'"));
  EXPECT_FALSE(ended.error().took_effect);
  EXPECT_EQ(run("quick").text(), R"({"text":"ok"})");
}

TEST_F(RunnerTest, idle_kept_processes_make_room_when_the_system_can_start_nothing) {
  open(shell_workflow("kept", "echo $$ > pid; while read -r line; do echo ok; done",
                      "mode = \"serve\"") +
       shell_workflow("quick", "printf ok"));
  EXPECT_EQ(run("kept").text(), R"({"text":"ok"})");
  const pid_t idle = pid_in("pid");
  EXPECT_TRUE(is_alive(idle));
  Token token;
  {
    const NoDescriptors none;
    token = start(job("quick"));
  }
  EXPECT_TRUE(until([&] { return !is_alive(idle); })) << "it kept what others need";
  EXPECT_EQ(wait(token).outcome.status, JobStatus::cancelled);
}

TEST_F(RunnerTest, an_attempt_that_rests_before_it_is_given_back_can_be_cancelled) {
  open(shell_workflow("quick", "printf ok"));
  Token token;
  {
    const NoDescriptors none;
    token = start(job("quick"));
  }
  runner_->abort(token, JobStatus::timed_out, now_for_tests());
  EXPECT_EQ(ended_.count(token), 1u);
  EXPECT_EQ(ended_[token].outcome.status, JobStatus::timed_out);
  EXPECT_EQ(runner_->deadline(), MonoTime::never());
}

}  // namespace
}  // namespace zgrid::worker
