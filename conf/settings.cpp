#include "conf/settings.h"

#include <sys/stat.h>

#include <charconv>

#include "conf/keys.h"
#include "conf/toml.h"
#include "protocol/base/nearest.h"
#include "protocol/base/units.h"

namespace zgrid::conf {
namespace {

constexpr const char* kSystemFile = "/etc/zgrid/config.toml";
// What systemd's LoadCredential= calls the secret; see conf/systemd/.
constexpr const char* kCredentialName = "zgrid-secret";

// Variables of ours that are not configuration: a step's, and the simulator's seed.
constexpr const char* kReserved[] = {"ZGRID_SECRET",  "ZGRID_SECRET_FILE", "ZGRID_JOB",
                                     "ZGRID_ATTEMPT", "ZGRID_RUN",         "ZGRID_INDEX",
                                     "ZGRID_WORKER",  "ZGRID_SCRATCH",     "ZGRID_SEED"};

std::string folder_of(const std::string& file) {
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos) return "";
  return slash == 0 ? "/" : file.substr(0, slash);
}

// Reads one key from its table and notes where it came from.
void apply(const Key& key, TableReader& reader, const std::string& origin, int line,
           const PathBase& base, Settings& settings) {
  if (!reader.has(key.name)) {
    Settings unused;
    key.read(reader, unused);  // so that the reader knows the key and can suggest it
    return;
  }
  key.read(reader, settings);
  if (key.resolve_paths) key.resolve_paths(settings, base);
  const std::string problem = key.problem ? key.problem(settings) : "";
  if (!problem.empty()) reader.error(key.name + " " + problem, line);
  settings.origin[key.dotted()] = origin + (line > 0 ? ":" + std::to_string(line) : "");
}

void apply_providers(TableReader& reader, const std::string& file, const PathBase& base,
                     Settings& settings) {
  const Node* list = reader.child("provider");
  if (list == nullptr) return;
  settings.worker.providers = read_providers(*list, file, base, reader);
  const Array* items = list->array();
  const int line = items != nullptr && !items->empty() ? items->front().line : list->line;
  settings.origin["worker.provider"] = file + ":" + std::to_string(line);
}

using Problems = std::vector<Error>;

void finish(TableReader& reader, Problems& problems) {
  std::vector<std::string> found;
  reader.finish_into(found);
  for (std::string& message : found) {
    problems.push_back({Errc::config, std::move(message), {}, Effect::none, 0});
  }
}

void apply_file(const Node& root, const std::string& file, const Environment& env,
                const std::vector<Key>& keys, Settings& settings, Problems& problems) {
  const PathBase base{folder_of(file), env.home};
  TableReader tables(root, file, "");
  for (const char* name : {"grid", "broker", "worker", "client"}) {
    const Node* table = tables.child(name);
    if (table == nullptr) continue;
    TableReader reader(*table, file, "[" + std::string(name) + "]");
    for (const Key& key : keys) {
      if (key.table != name) continue;
      const Node* node = reader.child(key.name);
      apply(key, reader, file, node != nullptr ? node->line : 0, base, settings);
    }
    if (std::string_view(name) == "worker") apply_providers(reader, file, base, settings);
    finish(reader, problems);
  }
  finish(tables, problems);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (start <= text.size()) {
    const size_t comma = std::min(text.find(',', start), text.size());
    if (comma > start) parts.push_back(text.substr(start, comma - start));
    start = comma + 1;
  }
  return parts;
}

// What a variable's text is, in the form of a file's value. What does not fit stays a text, which
// the key's reader then refuses in its own words.
Node node_of(const std::string& text, Form form) {
  Node node{text, 0};
  if (form == Form::flag && (text == "true" || text == "1")) node.value = true;
  if (form == Form::flag && (text == "false" || text == "0")) node.value = false;
  if (form == Form::whole) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) node.value = number;
  }
  if (form == Form::list) {
    Array items;
    for (std::string& part : split(text)) items.push_back(Node{std::move(part), 0});
    node.value = std::move(items);
  }
  if (form == Form::pairs) {
    Table members;
    for (const std::string& part : split(text)) {
      const size_t equals = part.find('=');
      if (equals == std::string::npos) return node;
      members[part.substr(0, equals)] = Node{part.substr(equals + 1), 0};
    }
    node.value = std::move(members);
  }
  return node;
}

// An error for a variable that looks like one of ours and is none.
Result<void> judge_unknown(const std::string& name, const std::vector<Key>& keys) {
  for (const char* reserved : kReserved) {
    if (name == reserved) return {};
  }
  const bool nested = name.find("__") != std::string::npos;
  std::vector<std::string> known;
  for (const Key& key : keys) {
    known.push_back(key.variable());
    // ZGRID_BROKER_BIND: one underscore is missing.
    std::string slip = known.back();
    slip.erase(slip.find("__"), 1);
    if (name == slip) {
      return fail(Errc::config, "the variable " + name + " sets nothing",
                  "did you mean " + known.back() + ", with two underscores after the table?");
    }
  }
  if (!nested) return {};  // another program's, or one of a later release
  const std::optional<std::string> like = nearest(name, known);
  return fail(Errc::config, "the variable " + name + " is no setting of zgrid",
              like ? "did you mean " + *like + "?" : "see conf/zgrid.toml for all settings");
}

void apply_variables(const Environment& env, const std::vector<Key>& keys, Settings& settings,
                     Problems& problems) {
  const PathBase base{env.working_directory, env.home};
  std::map<std::string, const Key*> by_variable;
  for (const Key& key : keys) by_variable[key.variable()] = &key;
  for (const auto& [name, text] : env.variables) {
    if (name.compare(0, 6, "ZGRID_") != 0) continue;
    const auto found = by_variable.find(name);
    if (found == by_variable.end()) {
      if (Result<void> judged = judge_unknown(name, keys); !judged) {
        problems.push_back(judged.error());
      }
      continue;
    }
    if (text.empty()) continue;  // as if it were not set
    const Key& key = *found->second;
    const Node table{Table{{key.name, node_of(text, key.form)}}, 0};
    TableReader reader(table, name, "");
    apply(key, reader, name, 0, base, settings);
    finish(reader, problems);
  }
}

void apply_files(const Environment& env, const std::string& config_file,
                 const std::vector<Key>& keys, Settings& settings, Problems& problems) {
  std::vector<std::string> files;  // the weakest first
  if (config_file.empty()) {
    files = {kSystemFile, env.config_dir() + "/config.toml", env.working_directory + "/zgrid.toml"};
  } else {
    files = {resolve_path(config_file, {env.working_directory, env.home})};
  }
  for (const std::string& file : files) {
    Result<Node> root = read_toml(file);
    if (root) {
      apply_file(*root, file, env, keys, settings, problems);
    } else if (root.error().code != Errc::not_found) {
      problems.push_back(root.error());
    } else if (!config_file.empty()) {
      problems.push_back({Errc::config, root.error().message, "check the path given with --config",
                          Effect::none, 0});
    }
  }
}

Result<void> check_together(const Settings& settings) {
  const BrokerSettings& broker = settings.broker;
  if (broker.lease < 2 * broker.heartbeat) {
    return fail(Errc::config,
                "[broker] lease (" + format_duration(broker.lease) +
                    ") is less than two heartbeats (" + format_duration(broker.heartbeat) +
                    " each)",
                "raise lease or lower heartbeat, or a single late beat loses a worker");
  }
  return {};
}

}  // namespace

Result<Settings> load(const Environment& env, const std::string& config_file) {
  Settings settings;
  std::vector<Error> problems = check(env, config_file, settings);
  if (!problems.empty()) return fail(std::move(problems.front()));
  return settings;
}

std::vector<Error> check(const Environment& env, const std::string& config_file,
                         Settings& settings) {
  const std::vector<Key> keys = all_keys();
  Problems problems;
  apply_files(env, config_file, keys, settings, problems);
  apply_variables(env, keys, settings, problems);
  // With values that could not be read it would complain of defaults.
  if (!problems.empty()) return problems;
  if (Result<void> done = check_together(settings); !done) problems.push_back(done.error());
  return problems;
}

std::vector<Shown> show(const Settings& settings) {
  std::vector<Shown> shown;
  const auto origin_of = [&](const std::string& key) {
    const auto found = settings.origin.find(key);
    return found == settings.origin.end() ? std::string("default") : found->second;
  };
  const auto add_providers = [&] {
    for (const ProviderSettings& provider : settings.worker.providers) {
      shown.push_back({"worker.provider." + provider.name, show_provider(provider),
                       origin_of("worker.provider")});
    }
  };
  std::string table;
  for (const Key& key : all_keys()) {
    if (table == "worker" && key.table != "worker") add_providers();
    table = key.table;
    shown.push_back({key.dotted(), key.show(settings), origin_of(key.dotted())});
  }
  return shown;
}

SecretSource find_secret(const Environment& env, const Settings& settings,
                         const std::string& flag) {
  const auto variable = [&](const char* name) -> std::string {
    const auto found = env.variables.find(name);
    return found == env.variables.end() ? "" : found->second;
  };
  const PathBase base{env.working_directory, env.home};
  if (!flag.empty()) return {resolve_path(flag, base), "", "--secret-file"};
  if (const std::string file = variable("ZGRID_SECRET_FILE"); !file.empty()) {
    return {resolve_path(file, base), "", "ZGRID_SECRET_FILE"};
  }
  if (std::string text = variable("ZGRID_SECRET"); !text.empty()) {
    return {"", std::move(text), "ZGRID_SECRET"};
  }
  if (!settings.grid.secret_file.empty()) {
    const auto origin = settings.origin.find("grid.secret_file");
    return {settings.grid.secret_file, "",
            origin == settings.origin.end() ? "[grid] secret_file" : origin->second};
  }
  if (const std::string folder = variable("CREDENTIALS_DIRECTORY"); !folder.empty()) {
    const std::string file = folder + "/" + kCredentialName;
    struct stat info {};
    if (stat(file.c_str(), &info) == 0) return {file, "", "systemd's credential zgrid-secret"};
  }
  return {env.config_dir() + "/secret", "", "default"};
}

}  // namespace zgrid::conf
