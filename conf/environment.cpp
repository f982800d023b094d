#include <pwd.h>
#include <unistd.h>

#include <climits>

#include "conf/settings.h"

namespace zgrid::conf {
namespace {

// A folder of the XDG base directory specification, which has relative values ignored.
std::string xdg(const std::map<std::string, std::string>& variables, const char* name) {
  const auto found = variables.find(name);
  if (found == variables.end() || found->second.empty() || found->second[0] != '/') return "";
  return found->second;
}

std::string home_of(const std::map<std::string, std::string>& variables) {
  const auto found = variables.find("HOME");
  if (found != variables.end() && !found->second.empty()) return found->second;
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr && entry->pw_dir != nullptr ? entry->pw_dir : "/";
}

}  // namespace

Environment Environment::current() {
  Environment env;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view pair = *at;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    env.variables.emplace(pair.substr(0, equals), pair.substr(equals + 1));
  }
  char folder[PATH_MAX];
  if (getcwd(folder, sizeof folder) != nullptr) env.working_directory = folder;
  env.home = home_of(env.variables);
  env.is_root = geteuid() == 0;
  return env;
}

std::string Environment::config_dir() const {
  const std::string base = xdg(variables, "XDG_CONFIG_HOME");
  return (base.empty() ? home + "/.config" : base) + "/zgrid";
}

std::string Environment::state_dir() const {
  const std::string base = xdg(variables, "XDG_STATE_HOME");
  if (!base.empty()) return base + "/zgrid";
  return is_root ? "/var/lib/zgrid" : home + "/.local/state/zgrid";
}

std::string Environment::cache_dir() const {
  const std::string base = xdg(variables, "XDG_CACHE_HOME");
  return (base.empty() ? home + "/.cache" : base) + "/zgrid";
}

}  // namespace zgrid::conf
