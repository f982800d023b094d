// What a job gives: results, events, environment, errors.
#include "worker/runner.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "protocol/json.h"

#include "runner_fixture.h"

namespace zgrid::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(RunnerTest, echo_gives_its_input_back_at_once) {
  open();
  const Token token = start(job("zgrid.echo"), "not json \xff", PayloadTag::bytes);
  ASSERT_EQ(ended_.count(token), 1u);
  const Ended& ended = ended_[token];
  EXPECT_EQ(ended.outcome, Outcome{});
  EXPECT_EQ(ended.outcome.event_type, "StopEvent");
  EXPECT_EQ(ended.output, (Payload{PayloadTag::bytes, Bytes::copy_of("not json \xff")}));
  JobSpec with_step = job("zgrid.echo");
  with_step.steps = {"x"};
  EXPECT_EQ(run(with_step).error().kind, JobErrorKind::unknown_step);
}

TEST_F(RunnerTest, a_plain_tool_gets_text_and_gives_text) {
  open("[[workflow.sort.step]]\nid = \"s\"\nrun = [\"sort\"]\nstdin = \"{{data.text}}\"\n");
  const Ended ended = run("sort", R"({"text":"b\na\n"})");
  EXPECT_EQ(ended.outcome.status, JobStatus::succeeded);
  EXPECT_EQ(ended.outcome.event_type, "StopEvent");
  EXPECT_EQ(ended.output.tag, PayloadTag::json);
  EXPECT_EQ(ended.text(), R"({"text":"a\nb\n"})");
  EXPECT_GT(ended.outcome.run.count(), 0);
  EXPECT_EQ(run(job("sort"), "b\na\n", PayloadTag::utf8).text(), R"({"text":"a\nb\n"})");
}

TEST_F(RunnerTest, bytes_that_are_no_text_pass_unchanged) {
  open(shell_workflow("cat", "cat", "stdin = \"{{data.text}}\"") +
       shell_workflow("count", "wc -c", "stdin = \"{{data.text}}\""));
  const std::string bytes("\xff\0\x80", 3);
  EXPECT_EQ(run(job("cat"), bytes, PayloadTag::bytes).text(), R"({"text":{"$base64":"/wCA"}})");
  EXPECT_EQ(run(job("count"), bytes, PayloadTag::bytes).text(), R"({"text":"3\n"})");
}

TEST_F(RunnerTest, a_step_gets_its_event_as_a_json_line) {
  open(shell_workflow("show", "cat"));
  EXPECT_EQ(run("show", R"({"a":[1,"x"]})").text(),
            R"({"text":"{\"type\":\"StartEvent\",\"data\":{\"a\":[1,\"x\"]}}\n"})");
  EXPECT_EQ(run("show", "").text(), R"({"text":"{\"type\":\"StartEvent\",\"data\":{}}\n"})");
}

TEST_F(RunnerTest, an_input_that_is_no_object_is_refused_before_anything_runs) {
  open(shell_workflow("show", "cat"));
  for (const char* input : {"[1]", "3", "{", "\"text\""}) {
    const Ended ended = run("show", input);
    EXPECT_EQ(ended.outcome.status, JobStatus::failed);
    EXPECT_EQ(ended.error().kind, JobErrorKind::validation) << input;
    EXPECT_FALSE(ended.error().took_effect);
    EXPECT_FALSE(ended.error().retryable);
  }
}

const char* const kPipeline = R"(
[[workflow.pipeline.step]]
id = "split"
emits = ["Word", "Done"]
output = "events"
run = ["sh", "-c", '''
echo '{"type":"Word","data":{"w":"one"}}'
echo splitting >&2
echo '{"type":"Word","data":{"w":"two"}}'
''']
[[workflow.pipeline.step]]
id = "upper"
accepts = ["Word"]
emits = ["Upper"]
run = ["tr", "a-z", "A-Z"]
stdin = "{{data.w}} {{type}} {{job.index}}"
[[workflow.pipeline.step]]
id = "join"
accepts = ["Upper"]
collect = "all"
output = "json"
run = ["sh", "-c", "read line; echo \"{\\\"got\\\": $line}\""]
)";

TEST_F(RunnerTest, events_go_from_step_to_step_and_are_told) {
  open(kPipeline);
  options_.slots = 1;
  const Token token = start(job("pipeline"));
  const Ended ended = wait(token);
  EXPECT_EQ(ended.error().message, "");
  const auto result = Json::parse(ended.text());
  ASSERT_TRUE(result.has_value());
  const Json* data = result->find("got")->find("data");
  ASSERT_EQ(data->as_array()->size(), 2u);
  EXPECT_EQ(result->find("got")->find("types")->dump(), R"(["Upper","Upper"])");
  std::vector<std::string> lines = told(token);
  EXPECT_THAT(lines,
              ::testing::UnorderedElementsAre(
                  R"(step Word {"w":"one"})", R"(step Word {"w":"two"})", "log split splitting",
                  R"(step Upper {"text":"ONE WORD 7"})", R"(step Upper {"text":"TWO WORD 7"})"));
  for (const JobEvent& event : events_[token]) EXPECT_GT(event.at.us, 0);
}

TEST_F(RunnerTest, chosen_steps_end_with_the_event_of_the_next) {
  open(kPipeline);
  JobSpec spec = job("pipeline");
  spec.steps = {"upper"};
  const Ended ended = run(spec, R"({"w":"hi"})");
  EXPECT_EQ(ended.outcome.event_type, "Upper");
  EXPECT_EQ(ended.text(), R"({"text":"HI WORD 7"})");
  spec.steps = {"upper", "nobody"};
  const Ended unknown = run(spec);
  EXPECT_EQ(unknown.error().kind, JobErrorKind::unknown_step);
  EXPECT_FALSE(unknown.error().took_effect);
  EXPECT_FALSE(unknown.error().retryable);
}

TEST_F(RunnerTest, fan_out_of_twenty_is_collected_whole) {
  options_.slots = 4;
  open(R"(
[[workflow.fan.step]]
id = "split"
emits = ["N"]
output = "events"
run = ["sh", "-c", """for i in $(seq 20)
do printf '{"type":"N","data":{"n":%d}}\\n' $i; done"""]
[[workflow.fan.step]]
id = "each"
accepts = ["N"]
emits = ["M"]
run = ["cat"]
stdin = "{{data.n}}"
[[workflow.fan.step]]
id = "join"
accepts = ["M"]
collect = "all"
run = ["cat"]
stdin = "{{data}}"
)");
  const Ended ended = run("fan");
  const auto text = Json::parse(ended.text());
  ASSERT_TRUE(text.has_value()) << ended.error().message;
  const auto list = Json::parse(*text->find("text")->as_string());
  std::vector<int> numbers;
  for (const Json& each : *list->as_array()) {
    numbers.push_back(std::atoi(each.find("text")->as_string()->c_str()));
  }
  std::sort(numbers.begin(), numbers.end());
  ASSERT_EQ(numbers.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(numbers[static_cast<size_t>(i)], i + 1);
}

TEST_F(RunnerTest, the_environment_is_exactly_what_is_promised) {
  options_.environment["SECRET_TOKEN"] = "t";
  options_.environment["LANG"] = "C";
  trace_ = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  open(
      "[[workflow.env.step]]\nid = \"s\"\nrun = [\"env\"]\nenv = { MODE = \"fast\" }\n"
      "pass_env = [\"SECRET_TOKEN\", \"NOT_THERE\"]\n");
  JobSpec spec = job("env");
  spec.run = "nightly";
  const Ended ended = run(spec);
  const std::string text = *Json::parse(ended.text())->find("text")->as_string();
  std::map<std::string, std::string> env;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    env[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
  }
  const std::string scratch = env["ZGRID_SCRATCH"];
  EXPECT_EQ(scratch.substr(0, scratch_.path().size()), scratch_.path());
  const std::map<std::string, std::string> expected{
      {"PATH", "/usr/bin:/bin"},
      {"HOME", "/home/of/test"},
      {"LANG", "C"},
      {"MODE", "fast"},
      {"SECRET_TOKEN", "t"},
      {"TMPDIR", scratch},
      {"ZGRID_SCRATCH", scratch},
      {"ZGRID_JOB", "00000000-0000-0000-0000-000000000001"},
      {"ZGRID_ATTEMPT", "3"},
      {"ZGRID_RUN", "nightly"},
      {"ZGRID_INDEX", "7"},
      {"ZGRID_WORKER", "desk"},
      {"TRACEPARENT", trace_}};
  EXPECT_EQ(env, expected);
}

TEST_F(RunnerTest, programs_and_folders_are_found_from_the_workflow_file) {
  const std::string path = folder_.write("tool.sh", "#!/bin/sh\npwd\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  open("[[workflow.own.step]]\nid = \"s\"\nrun = [\"./tool.sh\"]\n");
  EXPECT_EQ(run("own").text(), "{\"text\":\"" + folder_.path() + "\\n\"}");
}

TEST_F(RunnerTest, scratch_is_there_for_the_job_and_gone_afterwards) {
  open(shell_workflow("scratch",
                      "mkdir -p $TMPDIR/a/b && echo x > $ZGRID_SCRATCH/a/b/c && chmod 0 "
                      "$ZGRID_SCRATCH/a && echo $ZGRID_SCRATCH"));
  const Ended ended = run("scratch");
  EXPECT_EQ(ended.outcome.status, JobStatus::succeeded);
  EXPECT_TRUE(std::filesystem::is_empty(scratch_.path()));
}

TEST_F(RunnerTest, a_failing_step_says_why) {
  open(shell_workflow("bad", "echo broken >&2; exit 5") + shell_workflow("dead", "kill -KILL $$"));
  const Token token = start(job("bad"));
  const Ended bad = wait(token);
  EXPECT_EQ(bad.outcome.status, JobStatus::failed);
  EXPECT_EQ(bad.error(), (JobError{JobErrorKind::workflow, "step 's' ended with exit code 5", true,
                                   true, "s", 5, "broken\n"}));
  EXPECT_THAT(told(token), ElementsAre("log s broken"));
  const Ended dead = run("dead");
  EXPECT_EQ(dead.error().exit_code, 137);
  EXPECT_EQ(dead.error().message, "step 's' was ended by SIGKILL (exit code 137)");
}

TEST_F(RunnerTest, a_program_that_cannot_be_started_took_no_effect) {
  open("[[workflow.none.step]]\nid = \"s\"\nrun = [\"no-such-wcx\"]\n");
  const Ended ended = run("none");
  EXPECT_EQ(ended.error().kind, JobErrorKind::spawn);
  EXPECT_EQ(ended.error().message, "cannot run 'no-such-wcx': not found in the worker's PATH");
  EXPECT_EQ(ended.error().step, "s");
  EXPECT_TRUE(ended.error().retryable);
  EXPECT_FALSE(ended.error().took_effect);
}

TEST_F(RunnerTest, a_missing_path_in_a_template_is_a_validation_error) {
  open("[[workflow.t.step]]\nid = \"s\"\nrun = [\"cat\"]\nstdin = \"{{data.text}}\"\n");
  const Ended ended = run("t", R"({"txt":"x"})");
  EXPECT_EQ(ended.error().kind, JobErrorKind::validation);
  EXPECT_EQ(ended.error().message, "step 's': {{data.text}} is missing in StartEvent");
  EXPECT_FALSE(ended.error().took_effect);
  EXPECT_FALSE(ended.error().retryable);
}

TEST_F(RunnerTest, output_that_is_not_as_declared_is_a_validation_error) {
  open(shell_workflow("json", "echo nope", "output = \"json\"") +
       shell_workflow("events", "echo '{\"type\":\"StopEvent\"'; sleep infinity",
                      "output = \"events\""));
  EXPECT_EQ(run("json").error().kind, JobErrorKind::validation);
  const Ended ended = run("events");  // it is not waited for
  EXPECT_EQ(ended.error().kind, JobErrorKind::validation);
  EXPECT_THAT(ended.error().message, HasSubstr("line 1 of its output"));
  EXPECT_TRUE(ended.error().took_effect);
}

TEST_F(RunnerTest, too_much_output_is_an_error_and_never_cut) {
  options_.output_bytes_max = 1000;
  open(shell_workflow("loud", "yes") +
       shell_workflow("fits", "head -c 1000 /dev/zero | tr '\\0' x"));
  const Ended ended = run("loud");
  EXPECT_EQ(ended.error().kind, JobErrorKind::output_too_large);
  EXPECT_FALSE(ended.error().retryable);
  EXPECT_EQ(run("fits").text().size(), 1000 + std::string(R"({"text":""})").size());
}

TEST_F(RunnerTest, a_step_that_reads_nothing_of_ten_megabytes_succeeds) {
  open(shell_workflow("deaf", "exit 0"));
  EXPECT_EQ(run("deaf", "{\"text\":\"" + std::string(10u << 20, 'x') + "\"}").outcome.status,
            JobStatus::succeeded);
}

TEST_F(RunnerTest, an_unknown_workflow_is_named) {
  open();
  const Ended ended = run("nobody");
  EXPECT_EQ(ended.error().kind, JobErrorKind::unknown_workflow);
  EXPECT_THAT(ended.error().message, HasSubstr("'nobody'"));
  EXPECT_FALSE(ended.error().took_effect);
}

TEST_F(RunnerTest, a_collected_remainder_is_told) {
  open(R"(
[[workflow.two.step]]
id = "a"
emits = ["A"]
run = ["true"]
[[workflow.two.step]]
id = "b"
accepts = ["A"]
collect = 2
run = ["true"]
)");
  EXPECT_EQ(run("two").error().kind, JobErrorKind::collect_incomplete);
}

TEST_F(RunnerTest, services_are_sorted_and_reload_keeps_the_old_on_error) {
  open(shell_workflow("b", "true") + shell_workflow("a", "true"));
  EXPECT_THAT(runner_->services(), ElementsAre("a", "b", "zgrid.echo"));
  folder_.write("jobs.toml", "[[broken");
  const auto failed = runner_->reload(now_for_tests());
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, Errc::config);
  EXPECT_THAT(runner_->services(), ElementsAre("a", "b", "zgrid.echo"));
  EXPECT_EQ(run("a").outcome.status, JobStatus::succeeded);
  folder_.write("jobs.toml", shell_workflow("c", "true"));
  EXPECT_TRUE(runner_->reload(now_for_tests()).has_value());
  EXPECT_THAT(runner_->services(), ElementsAre("c", "zgrid.echo"));
}

TEST_F(RunnerTest, what_runs_keeps_its_definition_over_a_reload) {
  open(shell_workflow("a", "echo go > started; while [ ! -e go ]; do :; done; echo old"));
  const Token token = start(job("a"));
  ASSERT_TRUE(until([&] { return folder_.has("started"); }));
  folder_.write("jobs.toml", shell_workflow("b", "true"));
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());
  folder_.write("go", "");
  EXPECT_EQ(wait(token).text(), R"({"text":"old\n"})");
}

TEST_F(RunnerTest, a_bad_configuration_does_not_open) {
  options_.workflows = {folder_.write("jobs.toml", "[workflow.w]\n")};
  const auto bad_file = Runner::open(options_, callbacks());
  ASSERT_FALSE(bad_file.has_value());
  EXPECT_THAT(bad_file.error().message, HasSubstr("jobs.toml:1"));
  options_.workflows.clear();
  options_.providers.emplace_back();
  options_.providers[0].name = "p";
  options_.providers[0].kind = "openai";
  const auto bad_provider = Runner::open(options_, callbacks());
  ASSERT_FALSE(bad_provider.has_value());
  EXPECT_EQ(bad_provider.error().code, Errc::config);
}

}  // namespace
}  // namespace zgrid::worker
