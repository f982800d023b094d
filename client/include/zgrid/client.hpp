// The zgrid client: submit jobs to a grid, wait for them, stream, cancel, ask.
//
//   auto client = zgrid::api::Client::connect({.brokers = {"tcp://127.0.0.1:5670"},
//                                              .secret_file = "/etc/zgrid/secret"});
//   if (!client) return report(client.error());
//   zgrid::api::Job job;
//   job.name = "word-count";
//   job.input = R"({"text": "to be or not to be"})";
//   auto result = client->submit(job).wait(std::chrono::seconds(60));
//
// Threads: every function of every class here may be called from any thread. Callbacks run on the
// client's own thread: they must be quick and must not wait for anything of the same client.
// Ownership: a Handle may outlive its Client; what is then still open fails with
// "connection_lost". Values are copied.
// Errors: no function throws but std::bad_alloc. Each Error says whether the call may have taken
// effect; submitting again with the same key is always safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace zgrid::api {

using Duration = std::chrono::milliseconds;
// Microseconds since 1970 UTC; 0 = not (yet) known.
using UnixMicros = int64_t;

enum class Effect : uint8_t { none, unknown, happened };

struct Error {
  std::string code;              // a stable word: "queue_full", "no_broker", "auth", …
  std::string message;           // what and why
  std::string hint;              // what to do; may be empty
  Effect effect = Effect::none;  // of the call that failed
  bool retryable = false;        // whether the same call can succeed later
};

template <class T>
using Result = tl::expected<T, Error>;

struct Options {
  std::vector<std::string> brokers;  // tcp://HOST:PORT; empty: discover by beacon on this host
  bool lan = false;                  // discover on every interface
  std::string secret;                // the grid's secret itself, or
  std::string secret_file;           // a file that only its owner may read
  std::string cache_dir;             // remembers roots of passphrases and addresses; empty: not
  std::string user_host;             // user@host, whose newest job is "last"
  Duration connect_timeout{10'000};
  Duration reconnect{300'000};      // how long a broker that went away is waited for
  Duration submit_timeout{60'000};  // for an acknowledgement; a full queue is tried again so long
};

struct Job {
  enum class Kind : uint8_t { workflow, prompt };
  Kind kind = Kind::workflow;
  std::string name;          // of the workflow; empty for a prompt
  std::string input = "{}";  // JSON; of a prompt: {"text": "…"}
  std::string on = "any";    // any, NAME[,NAME], tag:k=v[,…]
  std::vector<std::string> steps;
  std::string model, provider, system;  // of a prompt
  std::string run, key, trace;
  std::vector<std::string> cache;
  uint64_t index = 0;    // within a bulk, from 1
  uint8_t priority = 4;  // 0-9, 9 first
  uint32_t retries = 0;
  Duration time_limit{0}, deadline{0}, delay{0};  // 0 = not given
  bool no_queue = false;
  bool rerun_failed = false;  // with a key: run again what did not succeed
};

struct Worker {
  std::string id, name, host, os, os_version, arch, version;
};

struct JobResult {
  std::string job;  // its id
  std::string name, run;
  std::string status;  // succeeded failed timed_out cancelled aborted dead_letter
  uint64_t index = 0;
  uint32_t attempt = 0;
  std::optional<Worker> worker;
  std::string event_type;  // of the terminal event
  std::string output;      // its data: JSON when is_json, else bytes
  bool is_json = true;
  struct Failure {
    std::string kind, message, step, stderr_tail;
    bool retryable = false;
    bool took_effect = true;
    std::optional<int> exit_code;
  };
  std::optional<Failure> error;
  uint64_t input_tokens = 0, output_tokens = 0;
  std::optional<double> cost_usd;
  UnixMicros submitted = 0, started = 0, finished = 0;
  [[nodiscard]] bool ok() const { return status == "succeeded"; }
};

struct Event {
  enum class Kind : uint8_t { step, token, log, status, gap, reset };
  std::string job;
  uint32_t attempt = 0;
  uint64_t seq = 0;  // within the attempt
  Kind kind = Kind::step;
  std::string name, step;
  std::string data;
};

struct JobInfo {
  std::string job, name, run, status;
  uint32_t attempt = 0;
  std::string worker;  // name of the current or last one
  UnixMicros submitted = 0, started = 0, finished = 0;
};
struct WorkerInfo {
  Worker worker;
  bool online = false, draining = false;
  uint32_t slots = 0, free = 0;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
};
struct JobFilter {
  uint32_t limit = 50;  // newest first; 0 = all
  std::string run;
};

using OnResult = std::function<void(const Result<JobResult>&)>;
using OnEvent = std::function<void(const Event&)>;

struct HandleState;

// One submitted job. Copies refer to the same one.
class Handle {
 public:
  explicit Handle(std::shared_ptr<HandleState> state) : state_(std::move(state)) {}
  // The id that it was submitted with.
  [[nodiscard]] std::string id() const;
  // Waits until the broker has it on disk: the id of the job that it stands for (another one if
  // its key was known). Error "timeout" if that takes longer; the job is not affected.
  [[nodiscard]] Result<std::string> wait_accepted(Duration timeout) const;
  // Waits for its end. Error "timeout" if that takes longer; the job goes on. "not_found" if it
  // ended so long ago that its result was purged; the message tells its state.
  [[nodiscard]] Result<JobResult> wait(Duration timeout) const;

 private:
  std::shared_ptr<HandleState> state_;
};

class Client {
 public:
  // Returns when a broker has welcomed us, or with "no_broker", "wrong_grid", "auth", "config".
  static Result<Client> connect(Options options);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();  // waits for the callback that runs, if any; jobs go on

  // Never blocks; what is wrong with the job is told by the handle. Callbacks are optional.
  Handle submit(const Job& job, OnResult on_result = nullptr, OnEvent on_event = nullptr);
  // The same for many; `on_result` is called for each.
  std::vector<Handle> submit(const std::vector<Job>& jobs, const OnResult& on_result = nullptr);
  // A job submitted before, also by others. Its id in full.
  Handle attach(const std::string& job, OnResult on_result = nullptr, OnEvent on_event = nullptr);

  // Asks for its end; true if it had not ended otherwise before.
  Result<bool> cancel(const std::string& job, Duration timeout);
  Result<std::vector<JobInfo>> jobs(const JobFilter& filter, Duration timeout);
  Result<std::vector<WorkerInfo>> workers(Duration timeout);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zgrid::api
