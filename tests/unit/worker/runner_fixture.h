// A Runner with workflows of a test's own, and all that it said.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "loop_for_tests.h"
#include "temp_folder.h"
#include "worker/executors/proc_scan.h"
#include "worker/runner.h"

namespace zgrid::worker {

class RunnerTest : public ::testing::Test {
 protected:
  struct Ended {
    Outcome outcome;
    Payload output;
    [[nodiscard]] std::string text() const { return output.data.str(); }
    [[nodiscard]] JobError error() const { return outcome.error ? *outcome.error : JobError{}; }
  };

  RunnerTest() {
    options_.worker_name = "desk";
    options_.slots = 2;
    options_.scratch_root = scratch_.path();
    options_.kill_grace = Millis{200};
    options_.environment = {{"PATH", "/usr/bin:/bin"}, {"HOME", "/home/of/test"}, {"OTHER", "x"}};
  }
  ~RunnerTest() override {
    runner_.reset();
    EXPECT_TRUE(std::filesystem::is_empty(scratch_.path())) << "scratch folders are left";
  }

  // `toml` is the text of the workflow file.
  void open(const std::string& toml = {}) {
    if (!toml.empty()) options_.workflows = {folder_.write("jobs.toml", toml)};
    auto opened = Runner::open(options_, callbacks());
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    runner_ = std::move(*opened);
  }

  Runner::Callbacks callbacks() {
    return {[this](const Token& token, JobEvent event) {
              EXPECT_EQ(event.seq, events_[token].size());
              EXPECT_EQ(ended_.count(token), 0u) << "an event after the end";
              events_[token].push_back(std::move(event));
            },
            [this](const Token& token, Outcome outcome, Payload output) {
              EXPECT_EQ(ended_.count(token), 0u) << "ended twice";
              ended_[token] = {std::move(outcome), std::move(output)};
            }};
  }

  static JobSpec job(const std::string& service) {
    JobSpec spec;
    spec.service = service;
    return spec;
  }

  Token start(const JobSpec& spec, const std::string& input = "{}",
              PayloadTag tag = PayloadTag::json) {
    Attempt attempt;
    attempt.token.job.bytes[15] = static_cast<uint8_t>(++serial_);
    attempt.token.job.bytes[14] = static_cast<uint8_t>(serial_ >> 8);
    attempt.token.attempt = 3;
    attempt.spec = std::make_shared<Spec>(Spec{spec, {}});
    attempt.input = {tag, Bytes::copy_of(input)};
    attempt.index = 7;
    attempt.trace = trace_;
    const Token token = attempt.token;
    runner_->start(std::move(attempt), now_for_tests());
    return token;
  }

  Ended wait(const Token& token) {
    EXPECT_TRUE(run_until(*runner_, [&] { return ended_.count(token) > 0; }));
    return ended_[token];
  }
  Ended run(const JobSpec& spec, const std::string& input = "{}",
            PayloadTag tag = PayloadTag::json) {
    return wait(start(spec, input, tag));
  }
  Ended run(const std::string& service, const std::string& input = "{}") {
    return run(job(service), input);
  }

  bool until(const std::function<bool()>& condition) { return run_until(*runner_, condition); }
  // A file in the workflow's folder that a step writes with a newline at its end.
  pid_t pid_in(const std::string& name) {
    EXPECT_TRUE(until([&] { return folder_.read(name).find('\n') != std::string::npos; }));
    return std::atoi(folder_.read(name).c_str());
  }
  static bool is_alive(pid_t pid) {
    ProcStat stat;
    return pid > 0 && read_proc_stat(pid, stat) && stat.state != 'Z';
  }
  // "kind name data" of each event.
  std::vector<std::string> told(const Token& token) {
    std::vector<std::string> lines;
    for (const JobEvent& event : events_[token]) {
      const char* kind = event.kind == EventKind::step    ? "step"
                         : event.kind == EventKind::token ? "token"
                                                          : "log";
      lines.push_back(std::string(kind) + " " + event.name + " " + event.data.data.str());
    }
    return lines;
  }

  TempFolder folder_, scratch_;
  Runner::Options options_;
  std::string trace_;
  std::unique_ptr<Runner> runner_;
  std::map<Token, std::vector<JobEvent>> events_;
  std::map<Token, Ended> ended_;
  int serial_ = 0;
};

// A workflow of one step that a shell runs; `more` is added to the step.
inline std::string shell_workflow(const std::string& name, const std::string& script,
                                  const std::string& more = {}) {
  return "[[workflow." + name + ".step]]\nid = \"s\"\nrun = [\"sh\", \"-c\", '''" + script +
         "''']\n" + more + "\n";
}

}  // namespace zgrid::worker
