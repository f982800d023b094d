// What doctor and workflow check are made of: addresses, and programs looked for as a worker does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "client/cli/parse.h"
#include "client/cli/programs.h"
#include "client/cli/tcp_probe.h"

namespace zgrid::cli {
namespace {

using testing::HasSubstr;

TEST(TcpProbe, FindsHostAndPortOfAUrl) {
  const auto of = [](const std::string& url) {
    const auto address = address_of(url);
    return address ? address->host + " " + address->port : std::string("none");
  };
  EXPECT_EQ(of("tcp://127.0.0.1:5670"), "127.0.0.1 5670");
  EXPECT_EQ(of("tcp://[::1]:5670"), "::1 5670");
  EXPECT_EQ(of("http://ann:secret@desk:8080/v1"), "desk 8080");
  EXPECT_EQ(of("http://desk/v1"), "desk 80");
  EXPECT_EQ(of("https://llm.example"), "llm.example 443");
  EXPECT_EQ(of("tcp://desk"), "none");
  EXPECT_EQ(of("ipc:///tmp/x"), "none");
  EXPECT_EQ(of("desk:5670"), "none");
}

TEST(TcpProbe, KnowsWhatStaysOnThisHost) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"127.example.org", "10.0.0.1", "desk", "::2", ""}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

class ProgramsTest : public testing::Test {
 protected:
  ProgramsTest() {
    char path[] = "/tmp/zgrid-programs-XXXXXX";
    folder_ = ::mkdtemp(path);
    env_.variables["PATH"] = "/nowhere:/bin:/usr/bin";
  }
  ~ProgramsTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, mode_t mode) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n";
    ::chmod(path.c_str(), mode);
  }
  std::vector<ProgramProblem> problems(std::vector<std::string> run) {
    worker::WorkflowDefinition workflow;
    workflow.folder = folder_;
    workflow.steps.resize(1);
    workflow.steps[0].id = "a";
    workflow.steps[0].run = std::move(run);
    return missing_programs(workflow, env_);
  }
  std::string folder_;
  conf::Environment env_;
};

TEST_F(ProgramsTest, AProgramIsLookedForInPathOrInTheFolder) {
  write("tool", 0700);
  write("text", 0600);
  EXPECT_EQ(program_problem("sh", folder_, env_), "");
  EXPECT_EQ(program_problem("./tool", folder_, env_), "");
  EXPECT_EQ(program_problem("./text", folder_, env_), "'./text' is not executable");
  EXPECT_EQ(program_problem("./none", folder_, env_), "there is no program './none'");
  EXPECT_THAT(program_problem("tool", folder_, env_), HasSubstr("in PATH"));
}

TEST_F(ProgramsTest, AScriptThatAnInterpreterIsGivenMustBeThere) {
  write("build.sh", 0600);
  EXPECT_TRUE(problems({"sh", "build.sh"}).empty());
  EXPECT_TRUE(problems({"sh", "-c", "exit 1"}).empty());
  EXPECT_TRUE(problems({"cat", "missing"}).empty());
  EXPECT_TRUE(problems({}).empty());
  const auto found = problems({"sh", "biuld.sh"});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].message, HasSubstr("there is no script 'biuld.sh'"));
  EXPECT_FALSE(found[0].fix.empty());
}

template <class C>
C parsed(std::vector<std::string> arguments) {
  auto result = parse(std::move(arguments));
  EXPECT_TRUE(result && std::holds_alternative<C>(result->command));
  return result && std::holds_alternative<C>(result->command) ? std::get<C>(result->command) : C{};
}

TEST(WhyVerbs, AreUnderstood) {
  EXPECT_EQ(parsed<ExplainCommand>({"explain", "a", "b"}).jobs.size(), 2u);
  EXPECT_TRUE(parsed<EventsCommand>({"events", "-f"}).follow);
  EXPECT_EQ(parsed<EventsCommand>({"events", "--limit", "0"}).limit, 0u);
  const auto logs = parsed<LogsCommand>({"logs", "gpu1", "--follow"});
  EXPECT_EQ(logs.subject, "gpu1");
  EXPECT_TRUE(logs.follow);
  EXPECT_EQ(parsed<LogsCommand>({"logs"}).subject, "");
  EXPECT_EQ(parsed<WorkflowCheckCommand>({"workflow", "check", "x.toml"}).paths.size(), 1u);
  parsed<WorkflowsCommand>({"workflows"});
  parsed<DoctorCommand>({"--json", "doctor"});
  parsed<ConfigSchemaCommand>({"config", "schema"});
  EXPECT_FALSE(parse({"explain"}));
  EXPECT_FALSE(parse({"workflow", "check"}));
}

}  // namespace
}  // namespace zgrid::cli
