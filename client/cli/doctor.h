// What `zgrid doctor` looks at, in two parts: this machine, and the grid from here.
// Threads: one.
#pragma once

#include <string>
#include <vector>

#include "client/cli/app.h"

namespace zgrid::cli {

struct Finding {
  enum class Level : uint8_t { ok, skipped, warning, problem };
  std::string check;  // a word for scripts: config, secret, beacon, broker, …
  Level level = Level::ok;
  std::string message;
  std::string fix;  // of warnings and problems: what to do
};

class Findings {
 public:
  void ok(std::string check, std::string message) {
    add({std::move(check), Finding::Level::ok, std::move(message), {}});
  }
  void skipped(std::string check, std::string message) {
    add({std::move(check), Finding::Level::skipped, std::move(message), {}});
  }
  void warning(std::string check, std::string message, std::string fix) {
    add({std::move(check), Finding::Level::warning, std::move(message), std::move(fix)});
  }
  void problem(std::string check, std::string message, std::string fix) {
    add({std::move(check), Finding::Level::problem, std::move(message), std::move(fix)});
  }
  // `fix` is for an error that brings no advice of its own.
  void problem(std::string check, const Error& error, const std::string& fix) {
    problem(std::move(check), error.message, error.hint.empty() ? fix : error.hint);
  }
  [[nodiscard]] const std::vector<Finding>& list() const { return list_; }

 private:
  void add(Finding finding) { list_.push_back(std::move(finding)); }
  std::vector<Finding> list_;
};

// Secret, limits, disks, the store, workflows and providers, as the configuration names them.
// Returns the roots of the secret, none if there is no good one.
std::vector<protocol::Root> check_secret(App& app, const conf::Settings& settings,
                                         Findings& findings);
void check_machine(App& app, const conf::Settings& settings, Findings& findings);
void check_worker_files(App& app, const conf::Settings& settings, Findings& findings);

// Beacons, brokers, and what the broker says of itself and its workers.
void check_grid(App& app, const conf::Settings& settings, const std::vector<protocol::Root>& roots,
                Findings& findings);

}  // namespace zgrid::cli
