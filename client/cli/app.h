// What every command gets: who asks, with which options, and how to answer.
#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/renderer.h"
#include "conf/settings.h"
#include "protocol/keys.h"

namespace zgrid::cli {

struct App {
  conf::Environment env;
  Globals globals;
  Renderer& out;
  std::string version;
  std::string host;       // this host's name
  std::string user_host;  // user@host
  // Noted here if a session is left to the end of the process, which then must come without more
  // ado; null: sessions are always closed.
  bool* has_left = nullptr;
};

// Prints an error and returns its exit code.
int fail_with(App& app, const Error& error);

// Configuration files and variables, with the global flags laid over them.
Result<conf::Settings> load_settings(const App& app);
// Lays the flags of a process over its settings.
void apply(const BrokerFlags& flags, conf::Settings& settings);
void apply(const WorkerFlags& flags, conf::Settings& settings);

// The secret's text and where it came from. Errc::config when there is none, or others can read it.
struct Secret {
  std::string text, origin;
};
Result<Secret> load_secret(const App& app, const conf::Settings& settings);
// The roots of the secret and, during a rotation, of the previous one.
Result<std::vector<protocol::Root>> load_roots(const App& app, const conf::Settings& settings);
// Writes a new secret with mode 0600, making its folders: Errc::cannot_create if something is
// there already.
Result<void> write_secret(const std::string& path, const std::string& secret);

// A folder of mode 0700 with a random name, removed with all that is in it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make(const conf::Environment& env);
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// One function for each verb; returns the exit code.
int run(App& app, const HelpCommand& command);
int run(App& app, const VersionCommand& command);
int run(App& app, const SecretNewCommand& command);
int run(App& app, const SecretCheckCommand& command);
int run(App& app, const SecretKeysCommand& command);
int run(App& app, const ConfigShowCommand& command);
int run(App& app, const ConfigCheckCommand& command);
int run(App& app, const BrokerCommand& command);
int run(App& app, const WorkerCommand& command);
int run(App& app, const UpCommand& command);
int run(App& app, const SubmitCommand& command);
int run(App& app, const RunCommand& command);
int run(App& app, const WaitCommand& command);
int run(App& app, const ResultCommand& command);
int run(App& app, const CancelCommand& command);
int run(App& app, const AttachCommand& command);
int run(App& app, const RetryCommand& command);
int run(App& app, const JobsCommand& command);
int run(App& app, const WorkersCommand& command);
int run(App& app, const StatusCommand& command);
int run(App& app, const DrainCommand& command);
int run(App& app, const DiscoverCommand& command);
int run(App& app, const DlqListCommand& command);
int run(App& app, const DlqShowCommand& command);
int run(App& app, const DlqRetryCommand& command);
int run(App& app, const DlqPurgeCommand& command);
int run(App& app, const StoreCheckCommand& command);
int run(App& app, const StoreBackupCommand& command);
int run(App& app, const StoreRestoreCommand& command);
int run(App& app, const ExplainCommand& command);
int run(App& app, const WorkflowsCommand& command);
int run(App& app, const WorkflowCheckCommand& command);
int run(App& app, const ConfigSchemaCommand& command);
int run(App& app, const DoctorCommand& command);
int run(App& app, const EventsCommand& command);
int run(App& app, const LogsCommand& command);
int run(App& app, const BenchCommand& command);
int run(App& app, const CompletionCommand& command);
int run(App& app, const CompleteCommand& command);
int run(App& app, const ManCommand& command);

}  // namespace zgrid::cli
