// The part of doctor that looks at this machine: no network, but for a provider on loopback.
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <filesystem>

#include "broker/store/store_files.h"
#include "broker/store/store_tools.h"
#include "client/cli/doctor.h"
#include "client/cli/processes.h"
#include "client/cli/programs.h"
#include "client/cli/tcp_probe.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;

// A passphrase shorter than this falls to someone who can guess for long: 64 MiB of Argon2id a try.
constexpr size_t kPassphraseGood = 24;
// Connections that a broker should be able to have.
constexpr rlim_t kDescriptorsGood = 4096;
constexpr uint64_t kSpaceLow = 64ull << 20;
constexpr uint64_t kSpaceGood = 1ull << 30;
// Reading all of a larger store takes longer than a look at the machine may.
constexpr uint64_t kStoreChecked = 1ull << 30;
constexpr Millis kProviderPatience{2000};
constexpr const char* kNewSecret =
    "copy the secret of another machine, or make a new one: zgrid secret new --out FILE";

// The folder of `path`, or the nearest one above it that exists.
std::string existing_folder(const std::string& path) {
  std::error_code ignored;
  fs::path folder = fs::path(path).parent_path();
  while (!folder.empty() && folder != "/" && !fs::is_directory(folder, ignored)) {
    folder = folder.parent_path();
  }
  return folder.empty() ? "/" : folder.string();
}

void check_space(const std::string& what, const std::string& folder, Findings& findings) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) {
    return findings.warning("disk", what + ": cannot examine " + folder,
                            "see whether " + folder + " can be read");
  }
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
  const std::string text = what + " in " + folder + ": " + format_size(free) + " free";
  if ((info.f_flag & ST_RDONLY) != 0) {
    return findings.problem("disk", what + ": " + folder + " is mounted read-only",
                            "mount it for writing, or name another folder");
  }
  if (free < kSpaceLow) {
    return findings.problem("disk", text, "make room there: a broker refuses jobs on a full disk");
  }
  if (info.f_files > 0 && info.f_favail < 1000) {
    return findings.problem("disk", what + " in " + folder + ": no room for further files (inodes)",
                            "remove files there");
  }
  if (free < kSpaceGood) return findings.warning("disk", text, "make room before it is full");
  findings.ok("disk", text);
}

void check_limits(Findings& findings) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const std::string text = "up to " +
                           (limit.rlim_max == RLIM_INFINITY ? std::string("any number of")
                                                            : std::to_string(limit.rlim_max)) +
                           " open files";
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < kDescriptorsGood) {
    return findings.warning("limits", text + ": a broker serves fewer connections than that",
                            "raise it: ulimit -Hn 65536, or LimitNOFILE=65536 in the unit");
  }
  findings.ok("limits", text);
}

void check_store_file(const std::string& path, Findings& findings) {
  const uint64_t size = broker::file_size(path).value_or(0);
  {
    auto lock = broker::StoreLock::take(path);
    if (!lock && lock.error().code == Errc::cannot_create) {
      return findings.ok("store", path + " is in use by a broker, " + format_size(size));
    }
    if (!lock) return findings.problem("store", lock.error(), "see who may write there");
  }
  if (size > kStoreChecked) {
    return findings.skipped(
        "store", path + " has " + format_size(size) + ": `zgrid store check` reads all of it");
  }
  const auto report = broker::check_store(path);
  if (!report) {
    return findings.problem("store", report.error(), "`zgrid store check` tells more");
  }
  if (report->damages.empty()) {
    return findings.ok("store", path + " is sound: " + std::to_string(report->unfinished) +
                                    " unfinished and " + std::to_string(report->ended) +
                                    " ended jobs");
  }
  findings.problem("store", path + " is damaged: " + report->damages.front(),
                   "zgrid store check tells all; zgrid store restore BACKUP --force puts a backup "
                   "in its place");
}

void check_store_of(App& app, const conf::Settings& settings, Findings& findings) {
  const std::string configured = store_of(app, settings);
  if (configured == "memory") {
    return findings.skipped("store", "the store is 'memory': accepted jobs end with the broker");
  }
  const std::string path =
      (fs::path(app.env.working_directory) / configured).lexically_normal().string();
  const std::string folder = existing_folder(path);
  check_space("the store", folder, findings);
  std::error_code ignored;
  if (fs::is_directory(fs::path(path).parent_path(), ignored)) {
    if (auto local = broker::refuse_network_folder(path); !local) {
      findings.problem("store", local.error(), "put the store on a local disk");
    }
  }
  if (!fs::exists(path, ignored)) {
    return findings.skipped("store", "no store at " + path + ": no broker ran here yet");
  }
  check_store_file(path, findings);
}

void check_command(App& app, const conf::ProviderSettings& provider, Findings& findings) {
  const std::string what = "provider '" + provider.name + "': ";
  const std::string program = provider.argv.empty() ? "" : provider.argv.front();
  const std::string problem = program_problem(program, app.env.working_directory, app.env);
  if (problem.empty()) return findings.ok("provider", what + "'" + program + "' is there");
  findings.problem("provider", what + problem, "install it, or mend argv of that provider");
}

void check_server(App& app, const conf::Settings& settings, const conf::ProviderSettings& provider,
                  Findings& findings) {
  const std::string what = "provider '" + provider.name + "': ";
  const auto address = address_of(provider.base_url);
  if (!address) {
    return findings.problem("provider", what + "base_url has no host",
                            "write base_url = \"http://HOST:PORT/v1\"");
  }
  const std::string place = address->host + ":" + address->port;
  const bool may_leave = app.globals.lan || settings.grid.lan;
  if (!is_loopback(address->host) && !may_leave) {
    return findings.skipped("provider", what + place + " is not on this host; --lan tries it");
  }
  const Reached reached = try_tcp(*address, kProviderPatience);
  if (reached.reach != Reach::ok) {
    return findings.problem("provider", what + place + ": " + reached.reason,
                            "start the server (such as ollama serve), or mend base_url");
  }
  if (provider.base_url.compare(0, 7, "http://") != 0) {
    return findings.ok("provider", what + place + " accepts connections");
  }
  const size_t path = provider.base_url.find('/', 7);
  const std::string base = path == std::string::npos ? "" : provider.base_url.substr(path);
  const auto status = http_status(*address, base + "/models", kProviderPatience);
  if (!status) {
    return findings.problem("provider", what + place + " does not answer as an HTTP server",
                            "see what listens there, and mend base_url");
  }
  if (*status == 404) {
    return findings.problem("provider", what + place + base + "/models is not found (404)",
                            "mend the path of base_url; mostly it ends in /v1");
  }
  findings.ok("provider", what + place + " answers (" + std::to_string(*status) + ")");
}

}  // namespace

std::vector<protocol::Root> check_secret(App& app, const conf::Settings& settings,
                                         Findings& findings) {
  auto secret = load_secret(app, settings);
  if (!secret) {
    findings.problem("secret", secret.error(), kNewSecret);
    return {};
  }
  const auto info = protocol::inspect_secret(secret->text);
  if (!info) {
    Error error = info.error();
    error.message = secret->origin + ": " + error.message;
    findings.problem("secret", error, kNewSecret);
    return {};
  }
  auto roots = load_roots(app, settings);
  if (!roots) {
    findings.problem("secret", roots.error(), kNewSecret);
    return {};
  }
  const std::string grid = "grid " + protocol::grid_id(roots->front());
  if (info->generated) {
    findings.ok("secret", secret->origin + ": 256 random bits, for this user only; " + grid);
  } else if (info->length < kPassphraseGood) {
    findings.warning("secret",
                     secret->origin + ": a passphrase of " + std::to_string(info->length) +
                         " characters can be guessed with patience; " + grid,
                     "make one that cannot: zgrid secret new --out FILE, then copy it to every "
                     "machine");
  } else {
    findings.ok("secret", secret->origin + ": a passphrase of " + std::to_string(info->length) +
                              " characters; " + grid);
  }
  if (roots->size() > 1) {
    findings.warning("secret", "a rotation is under way: the previous secret is still accepted",
                     "when every machine has the new one, remove grid.previous_secret_file");
  }
  return std::move(*roots);
}

void check_machine(App& app, const conf::Settings& settings, Findings& findings) {
  check_limits(findings);
  check_store_of(app, settings, findings);
  const std::string state = settings.worker.state_dir.empty() ? app.env.state_dir() + "/worker"
                                                              : settings.worker.state_dir;
  const std::string folder = existing_folder(state);
  if (folder != existing_folder(store_of(app, settings))) {
    check_space("what a worker keeps", folder, findings);
  }
}

void check_worker_files(App& app, const conf::Settings& settings, Findings& findings) {
  if (!settings.worker.workflows.empty()) {
    const auto workflows = worker::read_workflows(settings.worker.workflows);
    if (!workflows) {
      findings.problem("workflows", workflows.error().message,
                       workflows.error().hint.empty() ? "zgrid workflow check FILE lists every "
                                                        "mistake"
                                                      : workflows.error().hint);
    } else {
      bool is_sound = true;
      for (const auto& [name, workflow] : *workflows) {
        for (const ProgramProblem& problem : missing_programs(*workflow, app.env)) {
          is_sound = false;
          findings.problem("workflows",
                           workflow->file + ":" + std::to_string(workflow->line) + ": workflow '" +
                               name + "', step '" + problem.step + "': " + problem.message,
                           problem.fix);
        }
      }
      if (is_sound) {
        findings.ok("workflows", std::to_string(workflows->size()) +
                                     " workflows, and all their "
                                     "programs");
      }
    }
  }
  for (const conf::ProviderSettings& provider : settings.worker.providers) {
    const std::string& key = provider.api_key_env;
    if (!key.empty() && !app.env.variables.contains(key)) {
      findings.problem("provider",
                       "provider '" + provider.name + "': the variable " + key + " is not set",
                       "set it where the worker is started, or remove api_key_env");
    }
    provider.kind == "command" ? check_command(app, provider, findings)
                               : check_server(app, settings, provider, findings);
  }
}

}  // namespace zgrid::cli
