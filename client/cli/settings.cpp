// Flags over configuration, and the secret.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "client/cli/app.h"

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;

Failure no_such_level(const std::string& option, const std::string& value, const char* expected) {
  return fail(Errc::usage, option + ": '" + value + "' is not one of " + expected);
}

bool is_one_of(const std::string& value, std::initializer_list<const char*> allowed) {
  for (const char* name : allowed) {
    if (value == name) return true;
  }
  return false;
}

std::string credentials_directory(const conf::Environment& env) {
  const auto found = env.variables.find("CREDENTIALS_DIRECTORY");
  return found == env.variables.end() ? "" : found->second;
}

}  // namespace

int fail_with(App& app, const Error& error) {
  app.out.error(error);
  return exit_code(error.code);
}

Result<conf::Settings> load_settings(const App& app) {
  const Globals& flags = app.globals;
  auto settings = conf::load(app.env, flags.config);
  if (!settings) return settings;
  auto& origin = settings->origin;
  if (!flags.log_level.empty()) {
    if (!is_one_of(flags.log_level, {"trace", "debug", "info", "warn", "error", "off"})) {
      return no_such_level("--log-level", flags.log_level, "trace debug info warn error off");
    }
    settings->grid.log_level = flags.log_level;
    origin["grid.log_level"] = "--log-level";
  }
  if (!flags.log_format.empty()) {
    if (!is_one_of(flags.log_format, {"text", "json"})) {
      return no_such_level("--log-format", flags.log_format, "text json");
    }
    settings->grid.log_format = flags.log_format;
    origin["grid.log_format"] = "--log-format";
  }
  if (flags.lan) {
    settings->grid.lan = flags.interfaces.empty();
    settings->grid.interfaces = flags.interfaces;
    origin["grid.lan"] = origin["grid.interfaces"] = "--lan";
  }
  return settings;
}

void apply(const BrokerFlags& flags, conf::Settings& settings) {
  conf::BrokerSettings& broker = settings.broker;
  auto& origin = settings.origin;
  if (!flags.bind.empty()) {
    broker.bind = flags.bind;
    origin["broker.bind"] = "--bind";
  } else if (broker.bind.empty() && !settings.grid.interfaces.empty()) {
    // Other hosts of these interfaces must be able to connect.
    broker.bind = {"tcp://*:5670"};
    origin["broker.bind"] = origin["grid.interfaces"];
  }
  if (!flags.store.empty()) {
    broker.store = flags.store;
    origin["broker.store"] = "--store";
  }
  if (!flags.name.empty()) {
    broker.name = flags.name;
    origin["broker.name"] = "--name";
  }
  if (flags.no_beacon) {
    broker.beacon = false;
    origin["broker.beacon"] = "--no-beacon";
  }
}

void apply(const WorkerFlags& flags, conf::Settings& settings) {
  conf::WorkerSettings& worker = settings.worker;
  auto& origin = settings.origin;
  if (!flags.name.empty()) {
    worker.name = flags.name;
    origin["worker.name"] = "--name";
  }
  if (flags.slots > 0) {
    worker.slots = flags.slots;
    origin["worker.slots"] = "--slots";
  }
  for (const auto& [key, value] : flags.tags) {
    worker.tags[key] = value;
    origin["worker.tags"] = "--tag";
  }
  if (!flags.workflows.empty()) {
    worker.workflows = flags.workflows;
    origin["worker.workflows"] = "--workflows";
  }
}

Result<Secret> load_secret(const App& app, const conf::Settings& settings) {
  const conf::SecretSource source = conf::find_secret(app.env, settings, app.globals.secret_file);
  if (source.file.empty()) return Secret{source.text, source.origin};
  auto text = protocol::read_secret_file(source.file, credentials_directory(app.env));
  if (!text) return fail(text.error());
  return Secret{std::move(*text), source.file};
}

Result<std::vector<protocol::Root>> load_roots(const App& app, const conf::Settings& settings) {
  auto secret = load_secret(app, settings);
  if (!secret) return fail(secret.error());
  const std::string cache = app.env.cache_dir();
  auto root = protocol::derive_root_cached(secret->text, cache);
  if (!root) {
    Error error = root.error();
    error.message = secret->origin + ": " + error.message;
    return fail(std::move(error));
  }
  std::vector<protocol::Root> roots{std::move(*root)};
  if (!settings.grid.previous_secret_file.empty()) {
    auto text = protocol::read_secret_file(settings.grid.previous_secret_file,
                                           credentials_directory(app.env));
    if (!text) return fail(text.error());
    auto previous = protocol::derive_root_cached(*text, cache);
    if (!previous) return fail(previous.error());
    roots.push_back(std::move(*previous));
  }
  return roots;
}

Result<void> write_secret(const std::string& path, const std::string& secret) {
  const auto failed = [&path](const std::string& what) {
    return fail(Errc::cannot_create, "cannot create " + path + ": " + what);
  };
  std::error_code problem;
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::exists(folder, problem)) {
    fs::create_directories(folder, problem);
    if (problem) return failed(problem.message());
    fs::permissions(folder, fs::perms::owner_all, problem);
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EEXIST) {
    return fail(Errc::cannot_create, path + " exists already",
                "a secret is never overwritten: choose another file, or move that one away first");
  }
  if (fd < 0) return failed(std::strerror(errno));
  const std::string line = secret + "\n";
  const bool ok = ::fchmod(fd, 0600) == 0 &&
                  ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                  ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (ok) return {};
  ::unlink(path.c_str());
  return fail(Errc::io, "cannot write " + path + ": " + std::strerror(error));
}

Result<TemporaryFolder> TemporaryFolder::make(const conf::Environment& env) {
  std::string base = "/tmp";
  if (const auto found = env.variables.find("TMPDIR");
      found != env.variables.end() && !found->second.empty() && found->second[0] == '/') {
    base = found->second;
  }
  // A socket's path inside must fit into 107 bytes.
  if (base.size() > 60) base = "/tmp";
  std::string path = base + "/zgrid-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return fail(Errc::cannot_create,
                "cannot make a folder in " + base + ": " + std::strerror(errno));
  }
  return TemporaryFolder(std::move(path));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;  // what cannot be removed was made by somebody else
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

}  // namespace zgrid::cli
