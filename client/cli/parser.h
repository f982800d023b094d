// The command line as CLI11 sees it. Only the parse*.cpp files include this: it is slow to compile.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cli/grammar.h"
#include "client/cli/parse.h"

namespace zgrid::cli {

// Turns an Error into CLI11's exception, which parse() catches.
template <class T>
T value_of(const std::string& option, Result<T> result) {
  if (!result) {
    throw CLI::ValidationError(option, result.error().message + "\n" + result.error().hint);
  }
  return std::move(*result);
}
[[noreturn]] void reject(const std::string& option, const std::string& value,
                         const std::string& expected);

// A whole number up to `max`.
uint64_t number(const std::string& option, const std::string& text, uint64_t max);
template <class Int>
void add_number(CLI::App* app, const std::string& name, Int& into, uint64_t max,
                const std::string& help) {
  app->add_option_function<std::string>(
         name,
         [&into, name, max](const std::string& text) {
           into = static_cast<Int>(number(name, text, max));
         },
         help)
      ->type_name("N");
}
// An option whose value must not be empty: an unset variable would silently mean none.
CLI::Option* add_filled(CLI::App* app, const std::string& name, std::string& into,
                        const std::string& help);
void add_duration(CLI::App* app, const std::string& name, Millis& into, const std::string& help);
// "repeat the option, one value each".
CLI::Option* add_list(CLI::App* app, const std::string& name, std::vector<std::string>& into,
                      const std::string& help);
void add_run_name(CLI::App* app, std::string& into, const std::string& help);
std::vector<std::string> split_commas(const std::string& text);

// How --help is laid out.
std::shared_ptr<CLI::FormatterBase> help_format();
// What to tell of a command line that `app` could not parse.
Error usage_error(const CLI::App& app, const CLI::ParseError& problem);

class Parser {
 public:
  // With the verbs of the family of `verb` only, if it is one: making the options of all of them
  // takes longer than all else before a submit has its first system call. Otherwise with all.
  explicit Parser(std::string_view verb = {});
  Result<Parsed> run(std::vector<std::string> arguments);
  [[nodiscard]] VerbInfo grammar() const;

 private:
  CLI::App* verb(const std::string& name, const std::string& help, const std::string& examples);
  // A verb below a verb.
  CLI::App* sub(CLI::App* parent, const std::string& name, const std::string& help,
                const std::string& examples);
  template <class C>
  void makes(CLI::App* app, C& command) {
    app->callback([this, &command] { chosen_ = [&command] { return Command(command); }; });
  }
  void add_globals();
  void add_local_verbs();
  void add_processes();
  void add_submit();
  void add_run();
  void add_job_verbs();
  void add_views();
  void add_dead_letters();
  void add_store();
  void add_bench();
  void add_why();
  void add_shell();
  void broker_flags(CLI::App* app, BrokerFlags& flags);
  void worker_flags(CLI::App* app, WorkerFlags& flags, bool with_name);
  void submit_options(CLI::App* app, SubmitCommand& submit);
  void bulk_options(CLI::App* app, SubmitCommand& submit);
  void input_options(CLI::App* app, SubmitCommand& submit);
  void submit_kinds(CLI::App* app, SubmitCommand& submit);
  void selection(CLI::App* app, Selection& jobs);

  CLI::App app_{"turns the machines you already own into one grid", "zgrid"};
  Globals globals_;
  std::string lan_;
  std::string colour_;
  bool version_ = false;
  std::function<Command()> chosen_;

  VersionCommand version_command_;
  SecretNewCommand secret_new_;
  SecretCheckCommand secret_check_;
  SecretKeysCommand secret_keys_;
  ConfigShowCommand config_show_;
  ConfigCheckCommand config_check_;
  BrokerCommand broker_;
  WorkerCommand worker_;
  UpCommand up_;
  SubmitCommand submit_;
  RunCommand run_;
  WaitCommand wait_;
  ResultCommand result_;
  CancelCommand cancel_;
  AttachCommand attach_;
  RetryCommand retry_;
  JobsCommand jobs_;
  WorkersCommand workers_;
  StatusCommand status_;
  DrainCommand drain_, undrain_;
  DiscoverCommand discover_;
  DlqListCommand dlq_list_;
  DlqShowCommand dlq_show_;
  DlqRetryCommand dlq_retry_;
  DlqPurgeCommand dlq_purge_;
  StoreCheckCommand store_check_;
  StoreBackupCommand store_backup_;
  StoreRestoreCommand store_restore_;
  BenchCommand bench_;
  ExplainCommand explain_;
  WorkflowsCommand workflows_;
  WorkflowCheckCommand workflow_check_;
  ConfigSchemaCommand config_schema_;
  DoctorCommand doctor_;
  EventsCommand events_;
  LogsCommand logs_;
  CompletionCommand completion_;
};

}  // namespace zgrid::cli
