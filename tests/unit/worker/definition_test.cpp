#include "worker/workflow/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_folder.h"

namespace zgrid::worker {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::string& text) {
  const auto workflows = parse_workflows(text, "jobs.toml", "/jobs");
  return workflows ? "none" : workflows.error().message;
}

TEST(Definition, reads_every_key) {
  const auto workflows = parse_workflows(R"(
[workflow.analyze-pipeline]
description = "Analyse a document"
time_limit = "60s"

[[workflow.analyze-pipeline.step]]
id = "analyze"
emits = ["blazen::Analyzed", "Noted"]
run = ["python3", "analyze.py"]
stdin = "{{data.text}}"
output = "events"
env = { MODE = "fast" }
pass_env = ["TOKEN"]

[[workflow.analyze-pipeline.step]]
id = "join"
accepts = ["Analyzed", "Noted"]
emits = ["Joined"]
collect = "all"
run = ["cat"]
output = "json"

[[workflow.analyze-pipeline.step]]
id = "summarize"
accepts = ["Joined"]
collect = 2
prompt = "Summarise: {{data.0.text}} of {{job.id}}"
)",
                                         "jobs.toml", "/jobs");
  ASSERT_TRUE(workflows.has_value()) << workflows.error().message;
  ASSERT_EQ(workflows->size(), 1u);
  const WorkflowDefinition& workflow = *workflows->front();
  EXPECT_EQ(workflow.name, "analyze-pipeline");
  EXPECT_EQ(workflow.description, "Analyse a document");
  EXPECT_EQ(workflow.time_limit, Millis{60'000});
  EXPECT_EQ(workflow.folder, "/jobs");
  EXPECT_TRUE(workflow.has_prompts());
  ASSERT_EQ(workflow.steps.size(), 3u);
  const StepDefinition& analyze = *workflow.find("analyze");
  EXPECT_EQ(analyze.accepts, std::vector<std::string>{"StartEvent"});
  EXPECT_EQ(analyze.emits, (std::vector<std::string>{"Analyzed", "Noted"}));
  EXPECT_EQ(analyze.run, (std::vector<std::string>{"python3", "analyze.py"}));
  EXPECT_TRUE(analyze.input.has_value());
  EXPECT_EQ(analyze.output, StepOutput::events);
  EXPECT_EQ(analyze.env.at("MODE"), "fast");
  EXPECT_EQ(analyze.pass_env, std::vector<std::string>{"TOKEN"});
  const StepDefinition& join = *workflow.find("join");
  EXPECT_EQ(join.collect, kCollectAll);
  EXPECT_FALSE(join.input.has_value());
  EXPECT_EQ(join.output, StepOutput::json);
  const StepDefinition& summarize = *workflow.find("summarize");
  EXPECT_EQ(summarize.collect, 2u);
  EXPECT_EQ(summarize.emits, std::vector<std::string>{"StopEvent"});
  EXPECT_TRUE(summarize.prompt.has_value());
  EXPECT_EQ(workflow.find("none"), nullptr);
}

TEST(Definition, an_error_says_where_and_what) {
  struct Row {
    const char* text;
    const char* expected;
  };
  // Each `step` is the first and last of its workflow unless a second one follows.
  const std::string head = "[workflow.w]\n[[workflow.w.step]]\nid = \"a\"\n";
  const std::vector<Row> rows{
      {"run = []", "jobs.toml:4: workflow 'w', step 'a': run names no program"},
      {"run = \"wc -w\"", "run is no list"},
      {"", "jobs.toml:2: workflow 'w', step 'a': has neither run nor prompt"},
      {"run = [\"wc\"]\nprompt = \"p\"", "has both run and prompt"},
      {"workflow = \"other\"",
       "jobs.toml:4: workflow 'w', step 'a': sub-workflows are not offered"},
      {"run = [\"wc\"]\nmode = \"x\"", "mode is 'x', neither once nor serve"},
      {"run = [\"wc\"]\nidle = \"5s\"", "idle is for steps with mode = \"serve\""},
      {"run = [\"wc\"]\nmode = \"serve\"\nidle = \"soon\"", "jobs.toml:6: "},
      {"prompt = \"p\"\nmode = \"serve\"", "mode is for steps with run"},
      {"run = [\"wc\"]\noutput = \"xml\"", "output is 'xml', not text, json or events"},
      {"run = [\"wc\"]\ncollect = 0", "jobs.toml:5: workflow 'w', step 'a': collect is neither"},
      {"run = [\"wc\"]\ncollect = \"some\"", "collect is neither"},
      {"run = [\"wc\"]\nstdin = \"{{data\"",
       "jobs.toml:5: workflow 'w', step 'a': stdin: a {{ has"},
      {"run = [\"wc\"]\nstdin = \"{{date.x}}\"", "{{date.x}} is unknown"},
      {"run = [\"wc\"]\nstdin = \"{{job.secret}}\"", "{{job.secret}} is unknown"},
      {"prompt = \"{{}}\"", "prompt: {{}} is not a path"},
      {"prompt = \"p\"\nstdin = \"x\"", "stdin is for steps with run"},
      {"prompt = \"p\"\nenv = { A = \"b\" }", "env is for steps with run"},
      {"run = [\"wc\"]\nenv = { ZGRID_SECRET = \"b\" }",
       "names that begin with ZGRID_ are reserved"},
      {"run = [\"wc\"]\npass_env = [\"ZGRID_SECRET\"]",
       "names that begin with ZGRID_ are reserved"},
      {"run = [\"wc\"]\nenv = { \"A=B\" = \"b\" }", "is no name of a variable"},
      {"run = [\"wc\"]\naccepts = [\"No space\"]", "'No space' is no event type"},
      {"run = [\"wc\"]\naccepts = []", "accepts is empty"},
      {"run = [\"wc\"]\nemits = [\"A\", \"B\"]", "which needs output = \"events\""},
      {"run = [\"wc\"]\nemits = [\"StartEvent\"]", "emits StartEvent"},
      {"run = [\"wc\"]\naccepts = [\"StopEvent\", \"StartEvent\"]", "accepts StopEvent"},
      {"run = [\"wc\"]\naccepts = [\"X\"]",
       "jobs.toml:1: workflow 'w': no step accepts StartEvent"},
      {"run = [\"wc\"]\naccepts = [\"StartEvent\", \"X\"]", "accepts 'X', which no step emits"},
      {"run = [\"wc\"]\nstdim = \"x\"", "jobs.toml:5: workflow 'w', step 'a': unknown key 'stdim'"},
      {"run = [\"wc\"]\n[[workflow.w.step]]\nid = \"b\"\naccepts = [\"X\"]\nrun = [\"wc\"]",
       "step 'a': emits is missing; only the last step has a default"},
      {"run = [\"wc\"]\nemits = [\"X\"]\n[[workflow.w.step]]\nid = \"b\"\nrun = [\"wc\"]",
       "step 'b': accepts is missing; only the first step has a default"},
      {"run = [\"wc\"]\nemits = [\"X\"]\n[[workflow.w.step]]\nid = \"a\"\nrun = [\"wc\"]",
       "another step has the same id"},
      {"run = [\"wc\"]\nemits = [\"X\"]\n[[workflow.w.step]]\nrun = [\"wc\"]",
       "jobs.toml:6: workflow 'w', a step: id is missing"},
  };
  for (const Row& row : rows) {
    EXPECT_THAT(error_of(head + row.text + "\n"), HasSubstr(row.expected)) << row.text;
  }
}

TEST(Definition, every_mistake_is_told_with_its_line) {
  std::vector<std::string> problems;
  parse_workflows(R"([workflow.one]
time_limit = "soon"
[[workflow.one.step]]
id = "a"
emit = ["Made"]
run = "make"

[workflow.two]
[[workflow.two.step]]
id = "b"
accepts = ["Lost"]
run = ["cat"]
)",
                  "jobs.toml", "/jobs", problems);
  ASSERT_EQ(problems.size(), 5u);
  EXPECT_THAT(problems[0], HasSubstr("jobs.toml:2: workflow 'one': time_limit"));
  EXPECT_THAT(problems[1], HasSubstr("jobs.toml:6: workflow 'one', step 'a': run is no list"));
  EXPECT_THAT(problems[2], HasSubstr("jobs.toml:5: workflow 'one', step 'a': unknown key 'emit'"));
  EXPECT_THAT(problems[3], HasSubstr("workflow 'two': no step accepts StartEvent"));
  EXPECT_THAT(problems[4], HasSubstr("accepts 'Lost', which no step emits"));
}

TEST(Definition, an_error_of_the_file_itself) {
  EXPECT_THAT(error_of(""), HasSubstr("defines no workflow"));
  EXPECT_THAT(error_of("[workflow.w]\n"), HasSubstr("has no [[workflow.w.step]]"));
  EXPECT_THAT(error_of("[workflow.w]\nstep = 3\n"), HasSubstr("has no [[workflow.w.step]]"));
  EXPECT_THAT(error_of("[[\n"), HasSubstr("jobs.toml"));
  EXPECT_THAT(error_of("[worker]\n"), HasSubstr("jobs.toml"));
  const std::string step = "[[workflow.\"NAME\".step]]\nid = \"a\"\nrun = [\"true\"]\n";
  for (const char* name : {"all", "a b", "zgrid.mine"}) {
    std::string text = step;
    text.replace(text.find("NAME"), 4, name);
    EXPECT_NE(error_of(text), "none") << name;
  }
  EXPECT_THAT(error_of("[workflow.w]\ntime_limit = \"soon\"\n"), HasSubstr("not a duration"));
}

std::string simple(const std::string& name) {
  return "[[workflow." + name + ".step]]\nid = \"a\"\nrun = [\"true\"]\n";
}

TEST(Registry, reads_files_and_folders) {
  TempFolder folder;
  std::filesystem::create_directory(folder.file("more"));
  folder.write("one.toml", simple("one"));
  folder.write("more/two.toml", simple("two"));
  folder.write("more/notes.txt", "not a workflow");
  folder.write("more/.hidden.toml", "not a workflow");
  const auto all = read_workflows({folder.file("one.toml"), folder.file("more")});
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_EQ(all->size(), 2u);
  EXPECT_EQ(all->at("one")->folder, folder.path());
  EXPECT_EQ(all->at("two")->folder, folder.file("more"));
}

TEST(Registry, a_name_twice_names_both_files) {
  TempFolder folder;
  const std::string a = folder.write("a.toml", simple("same"));
  const std::string b = folder.write("b.toml", "\n" + simple("same"));
  const auto all = read_workflows({folder.path()});
  ASSERT_FALSE(all.has_value());
  EXPECT_EQ(all.error().code, Errc::config);
  EXPECT_THAT(all.error().message, HasSubstr(a + ":1"));
  EXPECT_THAT(all.error().message, HasSubstr(b + ":2"));
}

TEST(Registry, a_missing_path_is_an_error) {
  TempFolder folder;
  const auto all = read_workflows({folder.file("none")});
  ASSERT_FALSE(all.has_value());
  EXPECT_EQ(all.error().code, Errc::config);
  EXPECT_THAT(all.error().message, HasSubstr("No such file"));
  EXPECT_EQ(read_workflow_file(folder.file("none")).error().code, Errc::not_found);
}

}  // namespace
}  // namespace zgrid::worker
