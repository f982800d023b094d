// The nouns of the grid: what is submitted, what is tried, what came of it.
// Plain values, used in messages, in the cores, in stores and in the client library.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/rare.h"
#include "protocol/base/time.h"

namespace zgrid {

enum class JobKind : uint8_t { workflow = 0, prompt = 1, plan = 2, broadcast = 3 };
std::string_view kind_name(JobKind kind);

enum class JobStatus : uint8_t {
  waiting = 0,
  queued = 1,
  running = 2,
  waiting_input = 3,
  succeeded = 4,
  failed = 5,
  timed_out = 6,
  cancelled = 7,
  aborted = 8,
  dead_letter = 9,
};
inline constexpr size_t kJobStatusCount = 10;
std::string_view status_name(JobStatus status);
std::optional<JobStatus> parse_status(std::string_view name);
// Terminal states are final.
constexpr bool is_terminal(JobStatus status) { return status >= JobStatus::succeeded; }

// What a payload's bytes are. JSON is never transcoded.
enum class PayloadTag : uint8_t { bytes = 0, utf8 = 1, json = 2 };

struct Payload {
  PayloadTag tag = PayloadTag::json;
  Bytes data;
  friend bool operator==(const Payload&, const Payload&) = default;
};

// Services that every zgrid knows. A prompt job needs kServicePrompt, or with a provider and a
// model kServicePrompt + "@PROVIDER" + "/MODEL" (each part optional).
inline constexpr std::string_view kServiceEcho = "zgrid.echo";
inline constexpr std::string_view kServicePrompt = "zgrid.prompt";

struct Target {
  enum class Mode : uint8_t { any = 0, names = 1, all = 2, tags = 3 };
  Mode mode = Mode::any;
  std::vector<std::string> names;                         // one of these workers
  std::vector<std::pair<std::string, std::string>> tags;  // all of these, sorted by key
  friend auto operator<=>(const Target&, const Target&) = default;
};
// any | NAME[,NAME] | all | tag:k=v[,…]; nothing if it is none of these.
std::optional<Target> parse_target(std::string_view text);
std::string format_target(const Target& target);

enum class WedgedAction : uint8_t { warn = 0, retry = 1, kill = 2 };

// All of a job that is not its own input: many jobs share one. Immutable once made.
// Durations are relative to the acceptance; zero means: not given.
struct JobSpec {
  JobKind kind = JobKind::workflow;
  std::string service;  // workflow name, or kServicePrompt…
  Target target;
  std::vector<std::string> steps;  // none = the declared steps
  uint8_t priority = 4;            // 0-9, 9 first
  uint32_t retries = 0;            // after a failure of its own
  Millis time_limit{0};            // of one attempt, enforced by the worker
  Millis deadline{0};              // from acceptance to the end
  Millis delay{0};                 // earliest start after acceptance
  std::string run;
  std::vector<std::string> cache;  // keys whose warm copies make a worker preferable
  bool no_queue = false;           // refuse if no living worker can run it
  std::string model, provider, system;
  uint64_t budget_tokens = 0;
  double budget_usd = 0;
  WedgedAction on_wedged = WedgedAction::warn;
  bool race = false;
  uint32_t quorum = 0;
  std::string demand_version;  // major.minor of the worker's program; empty = any

  friend bool operator==(const JobSpec&, const JobSpec&) = default;
};

// A spec with its canonical bytes, which brokers and stores pass on untouched.
struct Spec {
  JobSpec job;
  Bytes raw;
};
using SpecRef = std::shared_ptr<const Spec>;

// One try at a job. The nonce fences: only the job's current one counts.
struct Token {
  JobId job;
  uint32_t attempt = 0;  // from 1
  Nonce nonce;
  friend auto operator<=>(const Token&, const Token&) = default;
};

struct Usage {
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0;
  std::optional<double> cost_usd;  // unknown is not 0
  bool estimated = false;
  friend bool operator==(const Usage&, const Usage&) = default;
};

// Why a job failed; the words of error.kind.
enum class JobErrorKind : uint8_t {
  internal = 0,
  workflow = 1,  // a step failed, or no event was left
  timeout = 2,
  cancelled = 3,
  unknown_workflow = 4,
  unknown_step = 5,
  validation = 6,
  unsupported = 7,
  provider = 8,
  transport = 9,
  envelope_version = 10,
  auth = 11,
  collect_incomplete = 12,
  output_too_large = 13,
  worker_lost = 14,
  workflow_changed = 15,
  need_failed = 16,
  budget = 17,
  spawn = 18,  // the program could not be started
};
std::string_view job_error_name(JobErrorKind kind);

struct JobError {
  JobErrorKind kind = JobErrorKind::internal;
  std::string message;
  bool retryable = false;
  bool took_effect = true;  // false: it is certain that nothing ran
  std::string step;
  std::optional<int32_t> exit_code;  // 128 + N for signal N
  std::string stderr_tail;           // at most 4 KiB, bytes as they came
  friend bool operator==(const JobError&, const JobError&) = default;
};

// What a worker says of an attempt that ended; its output travels beside it.
// status is one of succeeded, failed, timed_out, cancelled.
struct Outcome {
  JobStatus status = JobStatus::succeeded;
  std::string event_type = "StopEvent";  // of the terminal event
  Micros run{0};                         // from start to end on the worker
  Usage usage;
  Rare<JobError> error;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Who ran it, as its own hello declared.
struct WorkerFacts {
  WorkerId id;
  std::string name, host, os, os_version, arch, version;
  friend bool operator==(const WorkerFacts&, const WorkerFacts&) = default;
};
using WorkerFactsRef = std::shared_ptr<const WorkerFacts>;

// What happens while a job runs. Numbered from 0 within an attempt.
enum class EventKind : uint8_t {
  step = 0,    // an event emitted by a step: name = its type
  token = 1,   // a piece of a prompt's answer
  log = 2,     // a line of stderr: name = the step
  status = 3,  // the job's state changed: name = the new state
  gap = 4,     // events were lost before this one
  reset = 5,   // a new attempt begins
};
struct JobEvent {
  EventKind kind = EventKind::step;
  uint64_t seq = 0;
  std::string name;
  std::string step;
  WallTime at;
  Payload data;
  friend bool operator==(const JobEvent&, const JobEvent&) = default;
};

}  // namespace zgrid
