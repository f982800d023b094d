// What may stand in place of the last word, as far as no broker is needed.
#include "client/cli/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/parse.h"

namespace zgrid::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using Words = std::vector<std::string>;

Words texts(const Wanted& wanted) {
  Words list;
  for (const Candidate& candidate : wanted.fixed) list.push_back(candidate.text);
  return list;
}
Wanted ask(const Words& words) { return wanted(grammar(), words); }

TEST(CompletionTest, VerbsAreFoundByTheirBeginning) {
  EXPECT_THAT(texts(ask({"wor"})), ElementsAre("worker", "workers", "workflows", "workflow"));
  EXPECT_THAT(texts(ask({"submit", ""})), ElementsAre("prompt", "workflow"));
  EXPECT_THAT(texts(ask({"--json", "dlq", "r"})), ElementsAre("retry"));
  EXPECT_THAT(texts(ask({})), Contains("broker"));
  EXPECT_THAT(texts(ask({})), Not(Contains("__complete")));
}

TEST(CompletionTest, OptionsAreThoseOfTheVerbAndOfAllAboveIt) {
  const Words all = texts(ask({"submit", "workflow", "x", "--"}));
  for (const char* name : {"--step", "--on", "--each-line", "--json", "--help"}) {
    EXPECT_THAT(all, Contains(name));
  }
  EXPECT_THAT(all, Not(Contains("--slots")));
  EXPECT_THAT(texts(ask({"submit", "--detach", "--det"})), IsEmpty());
  EXPECT_THAT(texts(ask({"--broker", "a:1", "--bro"})), ElementsAre("--broker"));
}

TEST(CompletionTest, ValuesOfAnOptionFollowItOrItsEqualsSign) {
  EXPECT_THAT(texts(ask({"submit", "--on-wedged", "r"})), ElementsAre("retry"));
  const Wanted colour = ask({"--color=a"});
  EXPECT_EQ(colour.before, "--color=");
  EXPECT_THAT(texts(colour), ElementsAre("auto", "always"));
  const Wanted list = ask({"jobs", "--state", "running,q"});
  EXPECT_EQ(list.before, "running,");
  EXPECT_THAT(texts(list), ElementsAre("queued"));
  // --color alone takes no word after it.
  EXPECT_THAT(texts(ask({"--color", "jo"})), ElementsAre("jobs"));
}

TEST(CompletionTest, TheGridIsAskedForWhatOnlyItKnows) {
  struct Row {
    Words words;
    Live live;
  };
  const std::vector<Row> rows{{{"submit", "workflow", ""}, Live::workflows},
                              {{"submit", "workflow", "--on", "g"}, Live::targets},
                              {{"submit", "prompt", "hi", "--on=a,"}, Live::targets},
                              {{"wait", "--run", ""}, Live::runs},
                              {{"wait", ""}, Live::jobs},
                              {{"wait", "x", "y", ""}, Live::jobs},
                              {{"cancel", ""}, Live::open_jobs},
                              {{"retry", ""}, Live::ended_jobs},
                              {{"dlq", "show", ""}, Live::dead_letters},
                              {{"explain", ""}, Live::jobs},
                              {{"drain", ""}, Live::workers},
                              {{"logs", ""}, Live::jobs_and_workers},
                              {{"bench", "--workflow", ""}, Live::workflows},
                              {{"drain", "gpu1", ""}, Live::none},
                              {{"submit", "prompt", ""}, Live::none},
                              {{"wait", "-"}, Live::none}};
  for (const Row& row : rows) {
    EXPECT_EQ(ask(row.words).live, row.live) << testing::PrintToString(row.words);
  }
}

TEST(CompletionTest, APrivateGridOffersWhatItsFilesHave) {
  const Wanted own = ask({"run", "--workflows", "a.toml", "workflow", "--workflows=b", ""});
  EXPECT_EQ(own.live, Live::own_workflows);
  EXPECT_THAT(own.workflow_paths, ElementsAre("a.toml", "b"));
}

TEST(CompletionTest, PathsAreLeftToTheShell) {
  EXPECT_TRUE(ask({"submit", "workflow", "x", "--each-line", ""}).files);
  EXPECT_TRUE(ask({"workflow", "check", ""}).files);
  EXPECT_TRUE(ask({"submit", "workflow", "x", "--out", ""}).folders);
  const Wanted text = ask({"submit", "workflow", "x", "--text=@no"});
  EXPECT_TRUE(text.files);
  EXPECT_EQ(text.before, "--text=@");
  EXPECT_EQ(text.part, "no");
  EXPECT_FALSE(ask({"submit", "workflow", "x", "--text", "no"}).files);
}

TEST(CompletionTest, TheWordsBeforeSayWhichGrid) {
  const Globals globals =
      ask({"--broker", "gpu1:5670", "wait", "--secret-file=s", "--lan=eth0", ""}).globals;
  EXPECT_THAT(globals.brokers, ElementsAre("gpu1:5670"));
  EXPECT_EQ(globals.secret_file, "s");
  EXPECT_TRUE(globals.lan);
  EXPECT_THAT(globals.interfaces, ElementsAre("eth0"));
}

TEST(CompletionTest, WhateverIsTypedIsNoError) {
  for (const Words& words : {Words{"nonsense", "--nonsense", "x", ""},
                             {"--", "--", "-"},
                             {"-", "="},
                             {"--=", "--=x"},
                             {"submit", "--on"},
                             {"--on", "--on", "--on"},
                             {"\xff", "\x1b"}}) {
    ask(words);
  }
}

TEST(CompletionTest, EveryOfferedValueIsUnderstood) {
  const std::vector<std::pair<std::string, Words>> where{
      {"--color", {"version"}},
      {"--on", {"submit", "workflow", "x"}},
      {"--on-wedged", {"submit", "workflow", "x"}},
      {"--role", {"secret", "keys"}},
      {"--measure", {"bench"}},
      {"--state", {"jobs"}}};
  for (const auto& [option, verb] : where) {
    EXPECT_FALSE(values_of(option).empty()) << option;
    for (const Candidate& value : values_of(option)) {
      if (value.text == "tag:") continue;  // to be gone on with
      Words words = verb;
      words.push_back(option + "=" + value.text);
      EXPECT_TRUE(parse(words)) << option << " " << value.text;
    }
  }
}

}  // namespace
}  // namespace zgrid::cli
