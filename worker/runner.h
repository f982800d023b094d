// Runs attempts: echo at once, prompts and workflow steps as processes.
//
// The worker's loop owns one Runner and is never blocked by it: every call returns at once, and
// all waiting is behind one file descriptor and one deadline.
// Threads: one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "protocol/messages.h"

namespace zgrid::worker {

struct Attempt {
  Token token;
  SpecRef spec;
  Payload input;
  uint64_t index = 0;
  std::string trace;
};

// What an attempt last did, for telling busy from wedged.
struct Activity {
  Token token;
  MonoTime last{};      // output, a new or ended child, CPU time that grew
  uint64_t cpu_ms = 0;  // of its processes, so far
  uint64_t bytes_out = 0;
  bool stopped = false;  // it has processes, and all of them are stopped by a signal
};

class Runner {
 public:
  struct Options {
    std::string worker_name;
    uint32_t slots = 1;
    std::string scratch_root;  // a folder that exists; attempts make theirs inside
    uint64_t output_bytes_max = 16u << 20;
    Millis kill_grace{5000};
    std::vector<std::string> workflows;  // files or folders
    std::vector<conf::ProviderSettings> providers;
    std::map<std::string, std::string> environment;  // of this process: what steps may inherit
    // True if this program starts no other children. Then it becomes a subreaper, so that
    // descendants of a step that left its group are found and killed. False in a program that
    // embeds a worker and has children of its own.
    bool sole_parent = true;
  };
  struct Callbacks {
    std::function<void(const Token&, JobEvent)> on_event;
    // Exactly once for each started attempt, from start(), abort() or run(); its process groups
    // are gone by then. `cancelled` without an abort(): the system had nothing to start it with, it
    // may run elsewhere or later.
    std::function<void(const Token&, Outcome, Payload output)> on_end;
  };

  // Errc::config naming file and line for a bad workflow file or provider.
  static Result<std::unique_ptr<Runner>> open(Options options, Callbacks callbacks);
  virtual ~Runner() = default;  // kills what runs

  // What this worker offers, sorted: zgrid.echo, workflows, zgrid.prompt…
  [[nodiscard]] virtual std::vector<std::string> services() const = 0;
  // Reads the workflow files again; after an error the old ones stay. Kept processes start anew.
  virtual Result<void> reload(Now now) = 0;

  virtual void start(Attempt attempt, Now now) = 0;
  // TERM to its process groups, KILL after the grace. `reason` becomes the outcome's status:
  // cancelled, or timed_out for a deadline. Unknown tokens are ignored.
  virtual void abort(const Token& token, JobStatus reason, Now now) = 0;
  // Handles what became readable or due.
  virtual void run(Now now) = 0;
  [[nodiscard]] virtual int fd() const = 0;             // readable: call run()
  [[nodiscard]] virtual MonoTime deadline() const = 0;  // call run() then; never() = no timer
  [[nodiscard]] virtual std::vector<Activity> activity(Now now) = 0;
};

}  // namespace zgrid::worker
