// Steps whose process stays: mode = "serve".
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <sstream>

#include "runner_fixture.h"
#include "worker/executors/kept.h"

namespace zgrid::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Notes each start, then answers each event with the text of its data, or does what that names.
const char* const kServant = R"(echo $$ >> starts
while read -r line; do
  text=${line#*'"text":"'}; text=${text%%'"'*}
  case $text in
    crash) echo 'it hurts' >&2; exit 3;;
    hang) sleep infinity & echo $! > child; wait;;
    shut) exec 1>&-; sleep infinity;;
    deaf) exec 0<&-; echo deaf; sleep infinity;;
    flood) head -c 5000 /dev/zero | tr '\0' x; sleep infinity;;
    log) echo 'to the log' >&2; printf 'cut' >&2; echo logged;;
    end) echo ended; exit 0;;
    *) echo "$text";;
  esac
done)";

class KeptTest : public RunnerTest {
 protected:
  void open_servant(const std::string& more = {}) {
    open("[workflow.s]\n" + shell_workflow("s", kServant, "mode = \"serve\"\n" + more));
  }
  Ended ask(const std::string& text) { return run("s", R"({"text":")" + text + "\"}"); }
  Token start_asking(const std::string& text) {
    return start(job("s"), R"({"text":")" + text + "\"}");
  }
  std::vector<pid_t> starts() const {
    std::vector<pid_t> pids;
    std::istringstream lines(folder_.read("starts"));
    for (pid_t pid = 0; lines >> pid;) pids.push_back(pid);
    return pids;
  }
  Activity activity_of(const Token& token) {
    for (const Activity& activity : runner_->activity(now_for_tests())) {
      if (activity.token == token) return activity;
    }
    return {};
  }
};

TEST_F(KeptTest, one_process_serves_many_jobs) {
  open_servant();
  for (int i = 0; i < 200; ++i) {
    const std::string text = "n" + std::to_string(i);
    EXPECT_EQ(ask(text).text(), R"({"text":")" + text + "\"}");
  }
  ASSERT_EQ(starts().size(), 1u);
  EXPECT_TRUE(is_alive(starts()[0]));
  EXPECT_TRUE(runner_->activity(now_for_tests()).empty());
  runner_.reset();
  EXPECT_FALSE(is_alive(starts()[0]));
}

TEST_F(KeptTest, there_are_as_many_copies_as_requests_at_once) {
  options_.slots = 3;
  open_servant();
  std::vector<Token> tokens;
  for (int i = 0; i < 3; ++i) tokens.push_back(start_asking("n" + std::to_string(i)));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(wait(tokens[static_cast<size_t>(i)]).text(),
              "{\"text\":\"n" + std::to_string(i) + "\"}");
  }
  for (int i = 0; i < 20; ++i) ask("x");
  EXPECT_EQ(starts().size(), 3u);
}

TEST_F(KeptTest, an_event_names_its_job_and_the_environment_does_not) {
  trace_ = "00-1-2-01";
  open(shell_workflow(
      "who", "while read -r line; do echo \"[$line,\\\"$ZGRID_JOB$ZGRID_WORKER\\\"]\"; done",
      "mode = \"serve\"\noutput = \"json\""));
  JobSpec spec = job("who");
  spec.run = "nightly";
  const Token token = start(spec, R"({"a":1})");
  EXPECT_EQ(wait(token).text(),
            R"([{"type":"StartEvent","data":{"a":1},"job":")" + token.job.str() +
                R"(","attempt":3,"index":7,"run":"nightly",)" + R"("trace":"00-1-2-01"},"desk"])");
}

TEST_F(KeptTest, a_template_is_one_line) {
  open(shell_workflow("t", "while read -r line; do echo \"<$line>\"; done",
                      "mode = \"serve\"\nstdin = \"{{data.text}}/{{job.index}}\""));
  EXPECT_EQ(run("t", R"({"text":"a b"})").text(), R"({"text":"<a b/7>"})");
  const Ended two = run("t", R"({"text":"a\nb"})");
  EXPECT_EQ(two.error().kind, JobErrorKind::validation);
  EXPECT_THAT(two.error().message,
              HasSubstr("step 's': what its stdin would get has a line break"));
}

TEST_F(KeptTest, an_answer_of_events_chooses_types_or_is_a_list) {
  open(R"(
[[workflow.fan.step]]
id = "split"
mode = "serve"
emits = ["N"]
output = "events"
run = ["sh", "-c", "while read -r line; do echo '[{\"data\":1},{\"type\":\"N\",\"data\":2}]'; done"]
[[workflow.fan.step]]
id = "sum"
accepts = ["N"]
collect = "all"
mode = "serve"
output = "events"
run = ["sh", "-c", '''
while read -r line; do echo "{\"type\":\"StopEvent\",\"data\":$line}"; done''']
)");
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(run("fan").text(), HasSubstr(R"("data":[1,2],"types":["N","N"])"));
  }
}

TEST_F(KeptTest, a_crash_fails_the_attempt_and_the_next_one_gets_a_new_process) {
  open_servant();
  ask("x");
  const Ended ended = ask("crash");
  EXPECT_EQ(ended.outcome.status, JobStatus::failed);
  EXPECT_EQ(ended.error().kind, JobErrorKind::workflow);
  EXPECT_EQ(ended.error().message, "step 's' ended with exit code 3 before it answered");
  EXPECT_EQ(ended.error().exit_code, 3);
  EXPECT_EQ(ended.error().stderr_tail, "it hurts\n");
  EXPECT_TRUE(ended.error().retryable);
  EXPECT_EQ(ended.error().step, "s");
  EXPECT_EQ(ask("again").text(), R"({"text":"again"})");
  EXPECT_EQ(starts().size(), 2u);
}

TEST_F(KeptTest, a_killed_process_is_named_by_its_signal) {
  open_servant();
  const Token token = start_asking("hang");
  pid_in("child");
  ::kill(starts()[0], SIGKILL);
  EXPECT_EQ(wait(token).error().message,
            "step 's' was ended by SIGKILL (exit code 137) before it answered");
}

TEST_F(KeptTest, one_that_dies_while_idle_harms_nobody) {
  open_servant();
  ask("x");
  ::kill(starts()[0], SIGKILL);
  // Not even if the death has not been seen yet.
  while (is_alive(starts()[0])) {
  }
  EXPECT_EQ(ask("y").text(), R"({"text":"y"})");
  EXPECT_EQ(starts().size(), 2u);
}

TEST_F(KeptTest, who_only_crashes_is_started_ever_less_often) {
  open(shell_workflow("c", "echo $$ >> starts; read -r line; exit 1", "mode = \"serve\""));
  const MonoTime before = now_for_tests().mono;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run("c").error().exit_code, 1);
  const Token waits = start(job("c"));
  EXPECT_EQ(starts().size(), 2u) << "it did not pause";
  EXPECT_LT(runner_->deadline(), MonoTime::never());
  EXPECT_EQ(wait(waits).error().exit_code, 1);
  EXPECT_GE(now_for_tests().mono - before, KeptProcesses::kPauseMin);
  const Token cancelled = start(job("c"));
  runner_->abort(cancelled, JobStatus::cancelled, now_for_tests());
  EXPECT_EQ(ended_[cancelled].outcome.status, JobStatus::cancelled);
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());  // somebody has mended it, maybe
  start(job("c"));
  EXPECT_TRUE(until([&] { return starts().size() == 4; }));
}

TEST_F(KeptTest, a_time_limit_ends_the_whole_group_of_one_that_hangs) {
  open_servant();
  JobSpec spec = job("s");
  spec.time_limit = Millis{200};
  const Ended ended = run(spec, R"({"text":"hang"})");
  EXPECT_EQ(ended.outcome.status, JobStatus::timed_out);
  EXPECT_FALSE(is_alive(starts()[0]));
  EXPECT_FALSE(is_alive(pid_in("child")));
  EXPECT_EQ(ask("x").text(), R"({"text":"x"})");
}

TEST_F(KeptTest, a_cancelled_request_takes_its_process_along) {
  open_servant();
  const Token token = start_asking("hang");
  const pid_t child = pid_in("child");
  runner_->abort(token, JobStatus::cancelled, now_for_tests());
  EXPECT_EQ(wait(token).outcome.status, JobStatus::cancelled);
  EXPECT_FALSE(is_alive(child));
  EXPECT_FALSE(is_alive(starts()[0]));
}

TEST_F(KeptTest, garbage_names_the_step_and_ends_the_process) {
  open_servant("output = \"json\"");
  const Ended ended = ask("not json");
  EXPECT_EQ(ended.error().kind, JobErrorKind::validation);
  EXPECT_THAT(ended.error().message, HasSubstr("step 's': its output is not JSON"));
  EXPECT_EQ(ended.error().step, "s");
  EXPECT_FALSE(is_alive(starts().back()));
  EXPECT_EQ(ask("17").text(), "17");
  EXPECT_EQ(starts().size(), 2u);
}

TEST_F(KeptTest, what_nobody_asked_for_is_no_answer_to_the_next_request) {
  open(shell_workflow("late", R"(echo $$ >> starts
while read -r line; do
  echo answer; [ -e said ] && continue; while [ ! -e go ]; do sleep 0.01; done; echo more; : > said
done)",
                      "mode = \"serve\""));
  EXPECT_EQ(run("late").text(), R"({"text":"answer"})");
  folder_.write("go", "");
  while (!folder_.has("said")) {
  }
  EXPECT_EQ(run("late").text(), R"({"text":"answer"})");
  EXPECT_EQ(starts().size(), 2u);
}

TEST_F(KeptTest, too_much_output_is_told_and_counted_for_each_request) {
  options_.output_bytes_max = 1000;
  open_servant();
  for (int i = 0; i < 30; ++i) ask(std::string(100, 'a'));
  EXPECT_EQ(starts().size(), 1u);
  const Ended ended = ask("flood");
  EXPECT_EQ(ended.error().kind, JobErrorKind::output_too_large);
  EXPECT_THAT(ended.error().message, HasSubstr("step 's' wrote more than 1000"));
  EXPECT_EQ(ask("x").text(), R"({"text":"x"})");
}

TEST_F(KeptTest, stderr_belongs_to_the_attempt_that_runs) {
  open_servant();
  ask("x");
  const Token token = start_asking("log");
  EXPECT_EQ(wait(token).text(), R"({"text":"logged"})");
  EXPECT_THAT(told(token), ElementsAre("log s to the log", "log s cut"));
  EXPECT_EQ(ask("crash").error().stderr_tail, "it hurts\n");
}

TEST_F(KeptTest, one_that_closes_its_pipes_is_ended) {
  open_servant();
  const Ended shut = ask("shut");
  EXPECT_EQ(shut.error().message, "step 's' closed its stdin or stdout before it answered");
  EXPECT_TRUE(shut.error().retryable);
  EXPECT_EQ(ask("deaf").text(), R"({"text":"deaf"})");
  EXPECT_EQ(ask("x").text(), R"({"text":"x"})");
  EXPECT_EQ(starts().size(), 3u);
}

TEST_F(KeptTest, one_that_ends_after_its_answer_is_replaced) {
  open_servant();
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(ask("end").text(), R"({"text":"ended"})");
    EXPECT_TRUE(until([&] { return !is_alive(starts().back()); }));
  }
  EXPECT_EQ(starts().size(), 3u);
}

TEST_F(KeptTest, requests_larger_than_a_pipe_arrive_whole) {
  open(
      "[[workflow.big.step]]\nid = \"s\"\nmode = \"serve\"\nrun = [\"python3\", \"-uc\", '''\n"
      "import sys\nfor line in sys.stdin: print(len(line) if line[-1] == \"\\n\" else -1)''']\n"
      "stdin = \"{{data.text}}\"\n");
  for (const size_t size : {size_t{10}, size_t{3} << 20, size_t{100'000}}) {
    EXPECT_EQ(run("big", "{\"text\":\"" + std::string(size, 'b') + "\"}").text(),
              "{\"text\":\"" + std::to_string(size + 1) + "\"}");
  }
}

TEST_F(KeptTest, after_a_reload_a_running_request_ends_with_the_old_process) {
  options_.slots = 2;
  const std::string script =
      "echo $$ >> starts; while read -r line; do while [ ! -e gate ]; do sleep 0.01; done; "
      "echo OLD; done";
  open(shell_workflow("s", script, "mode = \"serve\""));
  const Token token = start(job("s"));
  ASSERT_TRUE(until([&] { return starts().size() == 1; }));
  std::string changed = script;
  changed.replace(changed.find("OLD"), 3, "NEW");
  folder_.write("jobs.toml", shell_workflow("s", changed, "mode = \"serve\""));
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());
  folder_.write("gate", "");
  EXPECT_EQ(wait(token).text(), R"({"text":"OLD"})");
  EXPECT_TRUE(until([&] { return !is_alive(starts()[0]); }));
  EXPECT_EQ(run("s").text(), R"({"text":"NEW"})");
  EXPECT_EQ(starts().size(), 2u);
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());
  EXPECT_TRUE(until([&] { return !is_alive(starts()[1]); })) << "an idle one outlived a reload";
}

TEST_F(KeptTest, idle_processes_are_ended) {
  open_servant("idle = \"100ms\"");
  ask("x");
  EXPECT_TRUE(is_alive(starts()[0]));
  EXPECT_LT(runner_->deadline(), MonoTime::never());
  EXPECT_TRUE(until([&] { return !is_alive(starts()[0]); }));
  EXPECT_TRUE(until([&] { return runner_->deadline() == MonoTime::never(); }));
  EXPECT_EQ(ask("y").text(), R"({"text":"y"})");
}

TEST_F(KeptTest, no_more_than_a_bounded_number_stays_idle) {
  options_.slots = 1;
  std::string toml;
  for (int i = 0; i < 18; ++i) {
    toml +=
        shell_workflow("w" + std::to_string(i),
                       "echo $$ >> starts; while read -r line; do echo; done", "mode = \"serve\"");
  }
  open(toml);
  for (int i = 0; i < 18; ++i) run("w" + std::to_string(i));
  const auto living = [&] {
    const std::vector<pid_t> pids = starts();
    return std::count_if(pids.begin(), pids.end(), is_alive);
  };
  EXPECT_TRUE(until([&] { return living() == 16; })) << living();
  EXPECT_FALSE(is_alive(starts()[0]));
}

TEST_F(KeptTest, activity_counts_what_the_attempt_used) {
  open(shell_workflow("s",
                      "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; while read -r line; "
                      "do case $line in *spin*) while :; do :; done;; *nap*) echo > napping; "
                      "sleep infinity;; esac; echo ok; done",
                      "mode = \"serve\""));
  run("s");
  const Token nap = start(job("s"), R"({"text":"nap"})");
  ASSERT_TRUE(until([&] { return folder_.has("napping"); }));
  EXPECT_EQ(activity_of(nap).cpu_ms, 0u) << "it is charged for others";
  const MonoTime then = now_for_tests().mono;
  const Token spin = start(job("s"), R"({"text":"spin"})");
  ASSERT_TRUE(until([&] { return activity_of(spin).cpu_ms >= 30; }));
  EXPECT_GT(activity_of(spin).last, then);
  EXPECT_LT(activity_of(nap).last, then);
  for (const Token& token : {nap, spin}) {
    runner_->abort(token, JobStatus::cancelled, now_for_tests());
    wait(token);
  }
}

TEST_F(KeptTest, a_program_that_cannot_start_is_a_spawn_error) {
  open("[[workflow.none.step]]\nid = \"s\"\nmode = \"serve\"\nrun = [\"no-such-program\"]\n");
  const Ended ended = run("none");
  EXPECT_EQ(ended.error().kind, JobErrorKind::spawn);
  EXPECT_FALSE(ended.error().took_effect);
}

}  // namespace
}  // namespace zgrid::worker
