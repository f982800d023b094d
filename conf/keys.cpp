#include "conf/keys.h"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "protocol/base/units.h"

namespace zgrid::conf {
namespace {

using Text = std::string;
using List = std::vector<std::string>;
using Pairs = std::map<std::string, std::string>;

std::string as_toml(bool value) { return value ? "true" : "false"; }
std::string as_toml(const Text& value) { return toml_text(value); }
std::string as_toml(const List& value) { return toml_list(value); }
std::string as_toml(Millis value) { return toml_text(format_duration(value)); }
std::string as_toml(const Pairs& value) {
  std::string out = "{";
  for (const auto& [name, text] : value) {
    out += (out.size() > 1 ? ", " : " ") + toml_text(name) + " = " + toml_text(text);
  }
  return out + (value.empty() ? "}" : " }");
}

template <class T>
constexpr Form form_of() {
  if constexpr (std::is_same_v<T, bool>) return Form::flag;
  if constexpr (std::is_same_v<T, List>) return Form::list;
  if constexpr (std::is_same_v<T, Pairs>) return Form::pairs;
  return Form::text;
}

// A key whose type says how it is read. `field` maps Settings& to the field.
template <class Field>
Key key(std::string table, std::string name, Field field) {
  using T = std::remove_cvref_t<decltype(field(std::declval<Settings&>()))>;
  Key key{std::move(table), std::move(name), form_of<T>(), {}, {}, {}, {}};
  key.read = [field, name = key.name](TableReader& reader, Settings& settings) {
    if constexpr (std::is_same_v<T, Millis>) {
      reader.get_duration(name, field(settings));
    } else {
      reader.get(name, field(settings));
    }
  };
  key.show = [field](const Settings& settings) { return as_toml(field(settings)); };
  if constexpr (std::is_same_v<T, bool>) key.type = "true or false";
  if constexpr (std::is_same_v<T, Millis>) key.type = "duration";
  if constexpr (std::is_same_v<T, List>) key.type = "list of texts";
  if constexpr (std::is_same_v<T, Pairs>) key.type = "table of texts";
  return key;
}

template <class Field>
Key whole(std::string table, std::string name, Field field, int64_t min, int64_t max) {
  Key key{std::move(table), std::move(name), Form::whole, {}, {}, {}, {}};
  key.read = [field, min, max, name = key.name](TableReader& reader, Settings& settings) {
    reader.get_int(name, field(settings), min, max);
  };
  key.show = [field](const Settings& settings) { return std::to_string(field(settings)); };
  key.type = "whole number";
  return key;
}

// A number of bytes, shown with a unit where that is exact.
template <class Field>
Key size(std::string table, std::string name, Field field, uint64_t max) {
  Key key{std::move(table), std::move(name), Form::text, {}, {}, {}, {}};
  key.read = [field, name = key.name](TableReader& reader, Settings& settings) {
    reader.get_size(name, field(settings));
  };
  key.show = [field](const Settings& settings) {
    const uint64_t bytes = field(settings);
    if (bytes != 0 && bytes % (1u << 30) == 0)
      return toml_text(std::to_string(bytes >> 30) + "GiB");
    if (bytes != 0 && bytes % (1u << 20) == 0)
      return toml_text(std::to_string(bytes >> 20) + "MiB");
    return std::to_string(bytes);
  };
  key.problem = [field, max](const Settings& settings) -> std::string {
    const uint64_t bytes = field(settings);
    if (bytes >= 1 && bytes <= max) return {};
    return "must be from 1 B to " + format_size(max);
  };
  key.type = "size";
  return key;
}

// The key with a rule for its value: rule(const T&) gives the problem, or "".
template <class Field, class Rule>
Key checked(std::string table, std::string name, Field field, Rule rule) {
  Key made = key(std::move(table), std::move(name), field);
  made.problem = [field, rule](const Settings& settings) {
    return std::string(rule(field(settings)));
  };
  return made;
}

template <class Field>
Key path(std::string table, std::string name, Field field) {
  Key made = key(std::move(table), std::move(name), field);
  made.type = made.form == Form::list ? "list of paths" : "path";
  made.resolve_paths = [field](Settings& settings, const PathBase& base) {
    auto& value = field(settings);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(value)>, List>) {
      for (std::string& one : value) one = resolve_path(one, base);
    } else {
      value = resolve_path(value, base);
    }
  };
  return made;
}

std::string need_name(const Text& value) {
  if (is_name(value)) return {};
  return "must be 1 to 63 of A-Z a-z 0-9 . _ - and neither any nor all";
}
std::string need_name_or_empty(const Text& value) { return value.empty() ? "" : need_name(value); }

auto one_of(const List& allowed) {
  return [allowed](const Text& value) -> std::string {
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return {};
    std::string all;
    for (const Text& one : allowed) all += (all.empty() ? "" : ", ") + one;
    return "must be one of " + all;
  };
}

auto between(Millis min, Millis max) {
  return [min, max](Millis value) -> std::string {
    if (value >= min && value <= max) return {};
    return "must be from " + format_duration(min) + " to " + format_duration(max);
  };
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

// tcp://HOST:PORT or ipc://PATH. A port to bind may be left to the system with *.
std::string endpoint_problem(const List& endpoints, bool to_bind) {
  for (const Text& endpoint : endpoints) {
    const std::string_view view = endpoint;
    if (view.substr(0, 6) == "ipc://" && view.size() > 6) continue;
    const size_t colon = view.rfind(':');
    const bool tcp = view.substr(0, 6) == "tcp://" && colon > 6;
    const std::string_view port = tcp ? view.substr(colon + 1) : std::string_view();
    if (is_port(port) || (to_bind && (port == "*" || port == "0"))) continue;
    return "has '" + endpoint + "', which is neither tcp://HOST:PORT nor ipc://PATH";
  }
  return {};
}
std::string bind_problem(const List& endpoints) { return endpoint_problem(endpoints, true); }
std::string peers_problem(const List& endpoints) { return endpoint_problem(endpoints, false); }

std::string store_problem(const Text& store) {
  if (store.find("://") == Text::npos) return {};
  return "must be a path or memory: this release has no other stores";
}
void resolve_store(Settings& settings, const PathBase& base) {
  std::string& store = settings.broker.store;
  if (store != "memory") store = resolve_path(store, base);
}

std::string http_problem(const Text& http) {
  return http.empty() ? "" : "must be empty: this release has no HTTP gateway";
}

}  // namespace

std::string tags_problem(const std::map<std::string, std::string>& tags) {
  if (tags.size() > limits::kTagsMax) return "has more than 64 tags";
  for (const auto& [name, value] : tags) {
    if (!is_name(name)) return "has '" + name + "', which is no name of a tag";
    if (value.empty() || value.size() > limits::kNameBytesMax ||
        value.find_first_of(",=") != Text::npos) {
      return "has '" + name + "' with a value that is empty, over 63 bytes, or has , or =";
    }
  }
  return {};
}

namespace {

constexpr Millis kHour{3'600'000};
constexpr Millis kYear{365LL * 24 * 3'600'000};
constexpr int64_t kCountMax = 1'000'000'000'000;  // beyond any memory; keeps sums from overflowing

std::vector<Key> grid_keys() {
  const auto grid = [](auto member) {
    return [member](auto& s) -> decltype(auto) { return (s.grid.*member); };
  };
  using G = GridSettings;
  return {
      checked("grid", "name", grid(&G::name), need_name),
      path("grid", "secret_file", grid(&G::secret_file)),
      path("grid", "previous_secret_file", grid(&G::previous_secret_file)),
      checked("grid", "peers", grid(&G::peers), peers_problem),
      key("grid", "interfaces", grid(&G::interfaces)),
      key("grid", "lan", grid(&G::lan)),
      whole("grid", "beacon_port", grid(&G::beacon_port), 1, 65535),
      checked("grid", "log_level", grid(&G::log_level),
              one_of({"trace", "debug", "info", "warn", "error", "off"})),
      checked("grid", "log_format", grid(&G::log_format), one_of({"text", "json"})),
  };
}

std::vector<Key> broker_keys() {
  const auto broker = [](auto member) {
    return [member](auto& s) -> decltype(auto) { return (s.broker.*member); };
  };
  using B = BrokerSettings;
  Key store = checked("broker", "store", broker(&B::store), store_problem);
  store.resolve_paths = resolve_store;
  return {
      checked("broker", "bind", broker(&B::bind), bind_problem),
      store,
      checked("broker", "http", broker(&B::http), http_problem),
      checked("broker", "name", broker(&B::name), need_name_or_empty),
      key("broker", "beacon", broker(&B::beacon)),
      whole("broker", "io_threads", broker(&B::io_threads), 1, 16),
      checked("broker", "lease", broker(&B::lease), between(Millis{100}, kHour)),
      checked("broker", "heartbeat", broker(&B::heartbeat), between(Millis{10}, kHour)),
      checked("broker", "default_time_limit", broker(&B::default_time_limit),
              between(Millis{0}, kYear)),
      whole("broker", "queue_jobs_max", broker(&B::queue_jobs_max), 1, kCountMax),
      size("broker", "queue_bytes_max", broker(&B::queue_bytes_max), kCountMax),
      whole("broker", "in_flight_max", broker(&B::in_flight_max), 1, kCountMax),
      size("broker", "memory_bytes", broker(&B::memory_bytes), kCountMax),
      checked("broker", "retention", broker(&B::retention), between(Millis{1000}, kYear)),
      size("broker", "retention_bytes", broker(&B::retention_bytes), kCountMax),
      whole("broker", "retention_jobs", broker(&B::retention_jobs), 0, kCountMax),
      checked("broker", "retention_ids", broker(&B::retention_ids), between(Millis{0}, kYear)),
      checked("broker", "wedged_after", broker(&B::wedged_after), between(Millis{1000}, kYear)),
  };
}

std::vector<Key> worker_keys() {
  const auto worker = [](auto member) {
    return [member](auto& s) -> decltype(auto) { return (s.worker.*member); };
  };
  using W = WorkerSettings;
  return {
      checked("worker", "name", worker(&W::name), need_name_or_empty),
      whole("worker", "slots", worker(&W::slots), 0, limits::kSlotsMax),
      checked("worker", "tags", worker(&W::tags), tags_problem),
      path("worker", "workflows", worker(&W::workflows)),
      path("worker", "state_dir", worker(&W::state_dir)),
      size("worker", "output_bytes_max", worker(&W::output_bytes_max), limits::kPayloadBytesMax),
      checked("worker", "kill_grace", worker(&W::kill_grace), between(Millis{0}, kHour)),
  };
}

std::vector<Key> client_keys() {
  const auto client = [](auto member) {
    return [member](auto& s) -> decltype(auto) { return (s.client.*member); };
  };
  using C = ClientSettings;
  return {
      checked("client", "connect_timeout", client(&C::connect_timeout),
              between(Millis{1}, 24 * kHour)),
      checked("client", "reconnect", client(&C::reconnect), between(Millis{0}, kYear)),
  };
}

}  // namespace

std::string Key::variable() const {
  std::string text = "ZGRID_" + table + "__" + name;
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

std::vector<Key> all_keys() {
  std::vector<Key> all = grid_keys();
  for (const auto& more : {broker_keys(), worker_keys(), client_keys()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::string resolve_path(const std::string& path, const PathBase& base) {
  if (path.empty() || path[0] == '/') return path;
  if (path.compare(0, 2, "~/") == 0 && !base.home.empty()) return base.home + path.substr(1);
  return base.folder.empty() ? path : base.folder + "/" + path;
}

std::string toml_text(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += std::string("\\u00") + kDigits[c >> 4] + kDigits[c & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string toml_list(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += (out.size() > 1 ? ", " : "") + toml_text(item);
  return out + "]";
}

std::string toml_number(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string out(text, end);
  if (out.find_first_of(".e") == std::string::npos) out += ".0";
  return out;
}

}  // namespace zgrid::conf
