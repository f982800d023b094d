// What a command line asks for, as plain values: one struct per verb.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/job.h"
#include "protocol/messages.h"

namespace zgrid::cli {

using Tags = std::vector<std::pair<std::string, std::string>>;

enum class Colour : uint8_t { automatic, always, never };

// Options that stand before or after any verb.
struct Globals {
  std::string config;                // --config
  std::string secret_file;           // --secret-file
  std::vector<std::string> brokers;  // --broker
  bool json = false;
  bool quiet = false;
  Colour colour = Colour::automatic;
  std::string log_level, log_format;
  std::optional<Millis> timeout;  // how long this command may wait
  bool lan = false;
  std::vector<std::string> interfaces;  // of --lan=IF,…
};

struct HelpCommand {
  std::string text;
};
struct VersionCommand {};
struct SecretNewCommand {
  std::string out;  // empty: print it
};
struct SecretCheckCommand {};
struct SecretKeysCommand {
  protocol::Role role = protocol::Role::client;
};
struct ConfigShowCommand {
  bool origin = false;
};
struct ConfigCheckCommand {
  std::string file;  // empty: the files that a command would read
};

struct BrokerFlags {
  std::vector<std::string> bind;
  std::string store, name;
  bool no_beacon = false;
};
struct WorkerFlags {
  std::string name;
  uint32_t slots = 0;
  Tags tags;
  std::vector<std::string> workflows;
};
struct BrokerCommand {
  BrokerFlags broker;
};
struct WorkerCommand {
  WorkerFlags worker;
};
struct UpCommand {
  BrokerFlags broker;
  WorkerFlags worker;
};

// first, first + step, … up to last.
struct ArrayRange {
  uint64_t first = 1, last = 1, step = 1;
};
// Many jobs of one submit: where their inputs come from, and what becomes of their results.
struct Bulk {
  std::optional<ArrayRange> array;
  std::optional<std::string> each_line, each_json;  // a file's name, or - for stdin
  std::string out;                                  // a folder for the results
  std::optional<uint64_t> max_fails;                // more failures end the run
  bool progress = false;
  [[nodiscard]] bool is_wanted() const { return array || each_line || each_json; }
};

struct SubmitCommand {
  JobKind kind = JobKind::workflow;
  std::string subject;  // the workflow's name, or the prompt
  Target target;
  std::vector<std::string> steps;
  std::optional<std::string> text, input;
  bool detach = false, follow = false, no_queue = false;
  bool rerun_failed = false;  // of a key: run again what did not succeed
  std::string key, run, model, provider, system;
  Bulk bulk;
  uint8_t priority = 4;
  uint32_t retries = 0;
  Millis time_limit{0}, deadline{0}, delay{0};
  std::vector<std::string> cache;
  WedgedAction on_wedged = WedgedAction::warn;
};
// The same on a private grid in this process.
struct RunCommand {
  SubmitCommand submit;
  WorkerFlags worker;
};

// Jobs named by ids, shortened ids, "last" or "-", or all of a run.
struct Selection {
  std::vector<std::string> selectors;
  std::string run;
  std::vector<JobStatus> states;
};
struct WaitCommand {
  Selection jobs;
};
struct ResultCommand {
  Selection jobs;
};
struct CancelCommand {
  Selection jobs;
};
struct AttachCommand {
  Selection jobs;
};
// Runs ended jobs again, as new ones.
struct RetryCommand {
  Selection jobs;
  bool detach = false;
};

struct JobsCommand {
  uint32_t limit = 50;
  std::string run;
  std::vector<JobStatus> states;
};
struct WorkersCommand {};
struct StatusCommand {};
struct DrainCommand {
  std::string worker;
  bool undo = false;
};
struct DiscoverCommand {};

// The dead-letter list.
struct DlqListCommand {
  uint32_t limit = 50;
  std::string run;
};
struct DlqShowCommand {
  std::string job;
};
struct DlqRetryCommand {
  Selection jobs;
  bool all = false;
  bool detach = false;
};
struct DlqPurgeCommand {
  Selection jobs;
  bool all = false;
};

// A store as files. `store` is its path; empty: the configured one.
struct StoreCheckCommand {
  std::string store;
};
struct StoreBackupCommand {
  std::string store, file;
};
struct StoreRestoreCommand {
  std::string store, file;
  bool force = false;
};

// Why something is as it is.
struct ExplainCommand {
  std::vector<std::string> jobs;
};
struct WorkflowsCommand {};
struct WorkflowCheckCommand {
  std::vector<std::string> paths;  // files, or folders of *.toml
};
struct ConfigSchemaCommand {};
struct DoctorCommand {};
struct EventsCommand {
  bool follow = false;
  uint32_t limit = 50;
};
struct LogsCommand {
  std::string subject;  // a job, a worker, or empty: the broker
  bool follow = false;
  uint32_t limit = 50;
};

// For shells.
enum class Shell : uint8_t { bash, zsh, fish };
struct CompletionCommand {
  Shell shell = Shell::bash;
};
// Hidden: what may stand in place of the last word. Never fails, and says nothing but that.
struct CompleteCommand {
  std::vector<std::string> words;  // after "zgrid"
};
// Hidden: writes the manual into a folder, for the build.
struct ManCommand {
  std::string folder, date;
};

// How fast a grid is. Without --broker and --discover a private one in this process.
struct BenchCommand {
  static constexpr uint64_t kJobsMax = 10'000'000;  // 12 bytes of memory each
  static constexpr uint64_t kClientsMax = 256;      // a thread and a connection each

  std::vector<std::string> measure;  // throughput, latency; none = both
  uint64_t jobs = 0, window = 0;     // 0 = by what runs
  uint64_t payload = 100, clients = 1;
  uint64_t rate = 0;  // jobs/s, instead of the above
  Millis duration{10'000};
  std::string workflow, prompt, model, provider;
  Target target;
  bool discover = false, csv = false;
  std::string store;  // of the private grid
  WorkerFlags worker;
};

using Command = std::variant<
    HelpCommand, VersionCommand, SecretNewCommand, SecretCheckCommand, SecretKeysCommand,
    ConfigShowCommand, ConfigCheckCommand, BrokerCommand, WorkerCommand, UpCommand, SubmitCommand,
    RunCommand, WaitCommand, ResultCommand, CancelCommand, AttachCommand, RetryCommand, JobsCommand,
    WorkersCommand, StatusCommand, DrainCommand, DiscoverCommand, DlqListCommand, DlqShowCommand,
    DlqRetryCommand, DlqPurgeCommand, StoreCheckCommand, StoreBackupCommand, StoreRestoreCommand,
    ExplainCommand, WorkflowsCommand, WorkflowCheckCommand, ConfigSchemaCommand, DoctorCommand,
    EventsCommand, LogsCommand, BenchCommand, CompletionCommand, CompleteCommand, ManCommand>;

}  // namespace zgrid::cli
