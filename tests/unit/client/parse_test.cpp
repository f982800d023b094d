// Command lines and what they mean.
#include "client/cli/parse.h"

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>

#include "client/cli/grammar.h"

namespace zgrid::cli {
namespace {

using Arguments = std::vector<std::string>;

template <class C>
C parsed(const Arguments& arguments) {
  auto result = parse(arguments);
  if (!result) {
    ADD_FAILURE() << result.error().message;
    return {};
  }
  if (!std::holds_alternative<C>(result->command)) {
    ADD_FAILURE() << "another verb";
    return {};
  }
  return std::get<C>(result->command);
}

// CLI11 lists what an option excludes in an order of its own, another one each time.
std::multiset<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

// A verb that comes first is parsed without the others, one after a global option among all.
TEST(ParseTest, AVerbIsTheSameWithAndWithoutTheOthers) {
  for (const VerbInfo& verb : grammar().verbs) {
    const auto alone = parse({verb.name, "--help"});
    const auto among_all = parse({"--quiet", verb.name, "--help"});
    ASSERT_TRUE(alone) << verb.name;
    ASSERT_TRUE(among_all) << verb.name;
    EXPECT_EQ(words_of(std::get<HelpCommand>(alone->command).text),
              words_of(std::get<HelpCommand>(among_all->command).text));
  }
  const auto unknown = parse({"nonsense"});
  const auto extra = parse({"submit", "broker"});
  const auto extra_among_all = parse({"--quiet", "submit", "broker"});
  ASSERT_FALSE(unknown);
  ASSERT_FALSE(extra);
  ASSERT_FALSE(extra_among_all);
  EXPECT_EQ(extra.error().message, extra_among_all.error().message);
}

TEST(ParseTest, WhatDoesNotExistIsNamedWithWhatWasProbablyMeant) {
  struct Row {
    Arguments arguments;
    std::string message, hint;
  };
  const std::vector<Row> rows{
      {{"job"}, "there is no 'zgrid job'", "did you mean jobs? see 'zgrid --help'"},
      {{"nonsense"}, "there is no 'zgrid nonsense'", "see 'zgrid --help'"},
      {{"jobs", "--sate", "failed"},
       "'zgrid jobs' has no option --sate",
       "did you mean --state? see 'zgrid jobs --help'"},
      {{"submit", "workflow", "x", "--retrys=3"},
       "'zgrid submit workflow' has no option --retrys",
       "did you mean --retries? see 'zgrid submit workflow --help'"},
      {{"jobs", "--jsn"},
       "'zgrid jobs' has no option --jsn",
       "did you mean --json? see 'zgrid jobs --help'"},
      {{"workers", "gpu1"}, "'zgrid workers' does not expect 'gpu1'", "see 'zgrid workers --help'"},
      {{"submit", "workflw", "x"},
       "there is no 'zgrid submit workflw'",
       "did you mean workflow? see 'zgrid submit --help'"},
      {{"submit", "--detach"},
       "'zgrid submit' needs one of: prompt, workflow",
       "see 'zgrid submit --help'"},
      {{"jobs", "--run"}, "--run needs a value: NAME", "see 'zgrid jobs --help'"},
      {{"dlq"}, "'zgrid dlq' needs one of: ls, show, retry, purge", "see 'zgrid dlq --help'"},
  };
  for (const Row& row : rows) {
    const auto result = parse(row.arguments);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::usage);
    EXPECT_EQ(result.error().message, row.message);
    EXPECT_EQ(result.error().hint, row.hint);
  }
}

TEST(ParseTest, HelpIsTheSameEachTimeAndItsTextsStandInOneColumn) {
  const auto help_of = [](const Arguments& arguments) {
    return std::get<HelpCommand>(parse(arguments)->command).text;
  };
  const std::string text = help_of({"--help"});
  EXPECT_EQ(text, help_of({"--help"}));
  EXPECT_EQ(text.find('{'), std::string::npos) << text;
  EXPECT_NE(text.find("  --lan[=IF,…]                use the network"), std::string::npos) << text;
  EXPECT_NE(text.find("  --color[=WHEN]              colour: auto"), std::string::npos) << text;
  EXPECT_EQ(help_of({"version", "--help"}).find("Examples:"), std::string::npos);
  const std::string submit = help_of({"submit", "--help"});
  EXPECT_EQ(submit, help_of({"submit", "--help"}));
  EXPECT_EQ(submit.find("Excludes"), std::string::npos) << submit;
}

TEST(ParseTest, WhatCannotBeUnderstoodIsAUsageErrorWithAHint) {
  const std::vector<Arguments> rows{
      {},
      {"nonsense"},
      {"submit"},
      {"submit", "prompt"},
      {"submit", "workflow"},
      {"submit", "workflow", "w", "--on", "a,,b"},
      {"submit", "workflow", "w", "--on", ""},
      {"submit", "workflow", "w", "--priority", "10"},
      {"submit", "workflow", "w", "--priority", "-1"},
      {"submit", "workflow", "w", "--retries", "many"},
      {"submit", "workflow", "w", "--time-limit", "90"},
      {"submit", "workflow", "w", "--text", "a", "--input", "{}"},
      {"submit", "workflow", "w", "--run", "all"},
      {"submit", "workflow", "w", "--on-wedged", "panic"},
      {"submit", "workflow", "w", "extra"},
      {"jobs", "--state", "finished"},
      {"worker", "--tag", "gpu"},
      {"worker", "--slots", "100000"},
      {"secret", "keys"},
      {"secret", "keys", "--role", "broker"},
      {"version", "--timeout", "soon"},
      {"drain"},
      {"dlq"},
      {"dlq", "show"},
      {"dlq", "empty"},
      {"store"},
      {"store", "backup"},
      {"store", "restore", "--force"},
      {"store", "check", "extra"},
  };
  for (const Arguments& row : rows) {
    const auto result = parse(row);
    ASSERT_FALSE(result) << (row.empty() ? "" : row.back());
    EXPECT_EQ(result.error().code, Errc::usage);
    EXPECT_FALSE(result.error().message.empty());
    EXPECT_FALSE(result.error().hint.empty());
    EXPECT_EQ(exit_code(result.error().code), 2);
  }
}

TEST(ParseTest, GlobalOptionsStandBeforeOrAfterTheVerb) {
  for (const Arguments& row : {Arguments{"--json", "--quiet", "--timeout", "90s", "--broker", "a:1",
                                         "--broker", "b:2", "submit", "workflow", "w"},
                               Arguments{"submit", "workflow", "w", "--json", "--quiet",
                                         "--timeout", "90s", "--broker", "a:1", "--broker", "b:2"},
                               Arguments{"submit", "--json", "--broker", "a:1", "workflow",
                                         "--quiet", "w", "--timeout", "90s", "--broker", "b:2"}}) {
    const auto result = parse(row);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_TRUE(result->globals.json);
    EXPECT_TRUE(result->globals.quiet);
    EXPECT_EQ(result->globals.timeout, Seconds{90});
    EXPECT_EQ(result->globals.brokers, (Arguments{"a:1", "b:2"}));
    EXPECT_EQ(std::get<SubmitCommand>(result->command).subject, "w");
  }
}

TEST(ParseTest, LanTakesInterfacesOnlyAfterAnEqualsSign) {
  const auto all = parse({"broker", "--lan"});
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->globals.lan);
  EXPECT_TRUE(all->globals.interfaces.empty());
  const auto some = parse({"--lan=eth0,wg0", "broker"});
  ASSERT_TRUE(some);
  EXPECT_EQ(some->globals.interfaces, (Arguments{"eth0", "wg0"}));
  EXPECT_FALSE(parse({"broker", "--lan", "eth0"}));
}

TEST(ParseTest, PositionalsAreTakenAsTheyStand) {
  EXPECT_EQ(parsed<SubmitCommand>({"submit", "prompt", "status"}).subject, "status");
  EXPECT_EQ(parsed<SubmitCommand>({"submit", "prompt", "prompt"}).subject, "prompt");
  EXPECT_EQ(parsed<SubmitCommand>({"submit", "prompt", "-"}).subject, "-");
  EXPECT_EQ(parsed<SubmitCommand>({"submit", "prompt", "--", "--json"}).subject, "--json");
  EXPECT_EQ(parsed<SubmitCommand>({"submit", "prompt", "[a,b]"}).subject, "[a,b]");
  EXPECT_EQ(parsed<WaitCommand>({"wait", "-"}).jobs.selectors, Arguments{"-"});
  EXPECT_EQ(parsed<WaitCommand>({"wait", "ab12", "last"}).jobs.selectors,
            (Arguments{"ab12", "last"}));
}

TEST(ParseTest, ValuesOfOptionsAreTakenAsTheyStand) {
  for (const std::string value : {"[1,2]", "", "-", "@file", "{\"a\":[1]}", "a b"}) {
    const auto submit = parsed<SubmitCommand>({"submit", "workflow", "w", "--input", value});
    ASSERT_TRUE(submit.input);
    EXPECT_EQ(*submit.input, value);
    EXPECT_FALSE(submit.text);
  }
  EXPECT_EQ(
      parsed<SubmitCommand>({"submit", "workflow", "w", "--step", "[x]", "--step", "y"}).steps,
      (Arguments{"[x]", "y"}));
}

TEST(ParseTest, EveryOptionOfSubmitArrives) {
  const auto s = parsed<SubmitCommand>({"submit",      "workflow",
                                        "w",           "--on",
                                        "tag:gpu=yes", "--detach",
                                        "--follow",    "--key",
                                        "k",           "--priority",
                                        "9",           "--retries",
                                        "3",           "--time-limit",
                                        "1m",          "--deadline",
                                        "2h",          "--delay",
                                        "500ms",       "--run",
                                        "r",           "--no-queue",
                                        "--cache",     "a",
                                        "--cache",     "b",
                                        "--on-wedged", "retry"});
  EXPECT_EQ(s.kind, JobKind::workflow);
  EXPECT_EQ(s.target.mode, Target::Mode::tags);
  EXPECT_TRUE(s.detach && s.follow && s.no_queue);
  EXPECT_EQ(s.key, "k");
  EXPECT_EQ(s.priority, 9);
  EXPECT_EQ(s.retries, 3u);
  EXPECT_EQ(s.time_limit, Millis{60'000});
  EXPECT_EQ(s.deadline, Millis{7'200'000});
  EXPECT_EQ(s.delay, Millis{500});
  EXPECT_EQ(s.run, "r");
  EXPECT_EQ(s.cache, (Arguments{"a", "b"}));
  EXPECT_EQ(s.on_wedged, WedgedAction::retry);
  const auto p = parsed<RunCommand>(
      {"run", "prompt", "hi", "--model", "m", "--provider", "p", "--system", "s", "--slots", "3"});
  EXPECT_EQ(p.submit.kind, JobKind::prompt);
  EXPECT_EQ(p.submit.model + p.submit.provider + p.submit.system, "mps");
  EXPECT_EQ(p.worker.slots, 3u);
}

TEST(ParseTest, EndedJobsAreRetriedByIdRunOrAsAWholeList) {
  const auto retry = parsed<RetryCommand>({"retry", "a", "b", "--detach"});
  EXPECT_EQ(retry.jobs.selectors, (Arguments{"a", "b"}));
  EXPECT_TRUE(retry.detach);
  const auto run = parsed<RetryCommand>({"retry", "--run", "r", "--state", "failed,timed_out"});
  EXPECT_EQ(run.jobs.run, "r");
  EXPECT_EQ(run.jobs.states, (std::vector<JobStatus>{JobStatus::failed, JobStatus::timed_out}));
  EXPECT_FALSE(run.detach);
  EXPECT_EQ(parsed<DlqListCommand>({"dlq", "ls"}).limit, 50u);
  EXPECT_EQ(parsed<DlqListCommand>({"dlq", "ls", "--limit", "0", "--run", "r"}).run, "r");
  EXPECT_EQ(parsed<DlqShowCommand>({"dlq", "show", "last"}).job, "last");
  EXPECT_TRUE(parsed<DlqRetryCommand>({"dlq", "retry", "--all"}).all);
  EXPECT_EQ(parsed<DlqRetryCommand>({"dlq", "retry", "-"}).jobs.selectors, Arguments{"-"});
  EXPECT_EQ(parsed<DlqPurgeCommand>({"dlq", "purge", "x"}).jobs.selectors, Arguments{"x"});
}

TEST(ParseTest, TheStoreIsTheConfiguredOneUnlessItIsNamed) {
  EXPECT_EQ(parsed<StoreCheckCommand>({"store", "check"}).store, "");
  EXPECT_EQ(parsed<StoreCheckCommand>({"store", "check", "--store", "/a.db"}).store, "/a.db");
  EXPECT_EQ(parsed<StoreBackupCommand>({"store", "backup", "check"}).file, "check");
  const auto restore = parsed<StoreRestoreCommand>({"store", "restore", "f", "--force"});
  EXPECT_EQ(restore.file, "f");
  EXPECT_TRUE(restore.force);
}

TEST(ParseTest, HelpAndVersionAreCommands) {
  const auto help = parse({"submit", "prompt", "--help"});
  ASSERT_TRUE(help);
  const auto& text = std::get<HelpCommand>(help->command).text;
  EXPECT_NE(text.find("Examples:"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<HelpCommand>(parse({"-h"})->command));
  EXPECT_TRUE(std::holds_alternative<VersionCommand>(parse({"--version"})->command));
}

}  // namespace
}  // namespace zgrid::cli
