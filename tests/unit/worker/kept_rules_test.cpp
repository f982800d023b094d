// Kept processes that write what is no answer: no job may get it.
#include <gmock/gmock.h>

#include <algorithm>
#include <sstream>

#include "runner_fixture.h"
#include "worker/executors/kept.h"

namespace zgrid::worker {
namespace {

using ::testing::HasSubstr;

class KeptRulesTest : public RunnerTest {
 protected:
  size_t starts() const {
    const std::string all = folder_.read("starts");
    return static_cast<size_t>(std::count(all.begin(), all.end(), '\n'));
  }
  // How often it was said that a step's processes are not kept any more.
  size_t warnings() {
    size_t count = 0;
    for (const auto& [token, events] : events_) {
      for (const std::string& line : told(token)) {
        count += line.find("a process of its own") != std::string::npos ? 1 : 0;
      }
    }
    return count;
  }
  static void expect_doubt(const Ended& ended, const std::string& why) {
    EXPECT_EQ(ended.outcome.status, JobStatus::failed);
    EXPECT_EQ(ended.error().kind, JobErrorKind::workflow);
    EXPECT_TRUE(ended.error().retryable);
    EXPECT_EQ(ended.error().step, "s");
    EXPECT_THAT(ended.error().message, HasSubstr("step 's': " + why));
  }
};

TEST_F(KeptRulesTest, a_greeting_is_no_answer) {
  for (const char* pause : {"", "sleep 0.05; "}) {
    open(shell_workflow("s",
                        "echo $$ >> starts; echo ready; while read -r line; do " +
                            std::string(pause) + "echo \"$line\"; done",
                        "mode = \"serve\"\nstdin = \"{{data.text}}\""));
    for (int i = 0; i < 10; ++i) {
      expect_doubt(run("s", R"({"text":"a"})"), "it wrote a line before it had read its request");
    }
  }
  EXPECT_EQ(starts(), 20u) << "one of them was kept";
  EXPECT_EQ(warnings(), 2u);
}

TEST_F(KeptRulesTest, a_second_line_is_never_the_answer_to_the_next_request) {
  options_.slots = 2;
  open(shell_workflow("s", "while read -r line; do echo \"$line\"; echo extra; done",
                      "mode = \"serve\"\nstdin = \"{{data.text}}\""));
  size_t failed = 0;
  for (int i = 0; i < 200; i += 2) {
    Token tokens[2];
    for (int k = 0; k < 2; ++k) {
      tokens[k] = start(job("s"), "{\"text\":\"n" + std::to_string(i + k) + "\"}");
    }
    for (int k = 0; k < 2; ++k) {
      const Ended ended = wait(tokens[k]);
      if (ended.outcome.status == JobStatus::succeeded) {
        EXPECT_EQ(ended.text(), "{\"text\":\"n" + std::to_string(i + k) + "\"}");
        continue;
      }
      ++failed;
      expect_doubt(ended, "");
    }
  }
  EXPECT_LE(failed, 4u) << "it did not get a process for each request";
  EXPECT_EQ(warnings(), 1u);
}

TEST_F(KeptRulesTest, a_stray_line_that_comes_while_the_request_is_unread_is_no_answer) {
  folder_.write("stray.py", R"(import array, fcntl, os, sys, termios
open("starts", "a").write("one\n")
def unread():
    n = array.array("i", [0])
    fcntl.ioctl(0, termios.FIONREAD, n)
    return n[0]
for turn in range(1, 100):
    line = os.read(0, 1 << 16)
    while not line.endswith(b"\n"):
        line += os.read(0, 1 << 16)
    os.write(1, line)
    if turn == 5 and not os.path.exists("said"):
        open("said", "w")
        while not unread():
            pass
        os.write(1, b"stray\n")
)");
  open(
      "[[workflow.s.step]]\nid = \"s\"\nmode = \"serve\"\nstdin = \"{{data.text}}\"\n"
      "run = [\"python3\", \"stray.py\"]\n");
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(run("s", R"({"text":"abc"})").text(), R"({"text":"abc"})");
  // Whoever reads fast enough finds it out by the line that is too many.
  expect_doubt(run("s", R"({"text":"def"})"), "it ");
  EXPECT_EQ(warnings(), 1u);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(run("s", R"({"text":"ghi"})").text(), R"({"text":"ghi"})");
  EXPECT_EQ(starts(), 4u) << "it was kept";
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(run("s", R"({"text":"ghi"})").text(), R"({"text":"ghi"})");
  EXPECT_EQ(starts(), 5u) << "a mended program is not kept again";
}

TEST_F(KeptRulesTest, a_line_between_requests_costs_a_program_its_place) {
  open(shell_workflow("s", R"(echo $$ >> starts
while read -r line; do
  echo "$line"; [ -e said ] && continue; while [ ! -e go ]; do sleep 0.01; done; : > said; echo more
done)",
                      "mode = \"serve\"\nstdin = \"{{data.text}}\""));
  EXPECT_EQ(run("s", R"({"text":"a"})").text(), R"({"text":"a"})");
  folder_.write("go", "");
  const pid_t first = pid_in("starts");
  ASSERT_TRUE(until([&] { return !is_alive(first); }));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run("s", R"({"text":"b"})").text(), R"({"text":"b"})");
  EXPECT_EQ(starts(), 4u);
  EXPECT_EQ(warnings(), 1u);
}

TEST_F(KeptRulesTest, an_answer_that_names_another_job_is_no_answer) {
  // Each answer is the request before: what reads ahead and answers late comes to.
  open(shell_workflow("s", "while read -r line; do echo \"${last:-$line}\"; last=$line; done",
                      "mode = \"serve\"\noutput = \"json\""));
  EXPECT_THAT(run("s", R"({"a":1})").text(), HasSubstr(R"("data":{"a":1})"));
  expect_doubt(run("s", R"({"a":2})"), "its answer names another job or attempt");
  EXPECT_THAT(run("s", R"({"a":3})").text(), HasSubstr(R"("data":{"a":3})"));
}

TEST_F(KeptRulesTest, who_parses_without_waiting_for_the_newline_breaks_no_rule) {
  folder_.write("eager.py", R"(import json, os
open("starts", "a").write("one\n")
text = ""
while piece := os.read(0, 1 << 16).decode():
    text += piece
    try:
        value = json.loads(text)
    except ValueError:
        continue
    text = ""
    os.write(1, (json.dumps(value["data"]) + "\n").encode())
)");
  open(
      "[[workflow.s.step]]\nid = \"s\"\nmode = \"serve\"\noutput = \"json\"\n"
      "run = [\"python3\", \"eager.py\"]\n");
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(run("s", R"({"a":1})").text(), R"({"a":1})");
  EXPECT_EQ(starts(), 1u);
}

TEST_F(KeptRulesTest, the_shortest_lines_are_answered) {
  open(shell_workflow("s", "while read -r line; do echo \"<$line>\"; done",
                      "mode = \"serve\"\nstdin = \"{{data.text}}\""));
  for (int i = 1; i <= 3; ++i) {
    for (const std::string text : {"", "a", "ab"}) {
      EXPECT_EQ(run("s", R"({"text":")" + text + "\"}").text(), R"({"text":"<)" + text + ">\"}");
    }
  }
}

TEST_F(KeptRulesTest, who_waits_for_a_crashing_program_and_a_slot_wakes_nobody) {
  options_.slots = 1;
  open(R"(
[[workflow.s.step]]
id = "crashes"
emits = ["StopEvent"]
mode = "serve"
run = ["sh", "-c", "echo $$ >> starts; read -r line; exit 1"]
[[workflow.s.step]]
id = "works"
accepts = ["StartEvent"]
run = ["sh", "-c", "while [ ! -e gate ]; do sleep 0.01; done"]
)");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run("s").error().exit_code, 1);
  const Token token = start(job("s"));
  const MonoTime due = now_for_tests().mono + KeptProcesses::kPauseMin;
  ASSERT_TRUE(until([&] { return now_for_tests().mono > due; }));
  EXPECT_EQ(starts(), 2u);
  EXPECT_GT(runner_->deadline(), now_for_tests().mono) << "it would turn without a pause";
  ASSERT_TRUE(runner_->reload(now_for_tests()).has_value());
  runner_->run(now_for_tests());
  EXPECT_GT(runner_->deadline(), now_for_tests().mono) << "after a reload, too";
  folder_.write("gate", "");
  EXPECT_EQ(wait(token).outcome.status, JobStatus::succeeded);
}

}  // namespace
}  // namespace zgrid::worker
