// Every configuration key, described once: how it is read, shown, checked, and found in the
// environment. load(), show() and the test of the reference all go through this list.
// Private to conf/. Threads: plain values.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "conf/toml.h"

namespace zgrid::conf {

// How the text of a ZGRID_* variable becomes a value.
enum class Form : uint8_t {
  text,   // also durations and sizes
  flag,   // true or false
  whole,  // a whole number
  list,   // a,b,c
  pairs,  // k=v,k=v
};

// Where a relative path begins: the folder of the file that names it, else the working directory.
struct PathBase {
  std::string folder, home;
};

struct Key {
  std::string table, name;  // "broker", "bind"
  Form form = Form::text;
  std::function<void(TableReader&, Settings&)> read;
  std::function<std::string(const Settings&)> show;               // as TOML
  std::function<std::string(const Settings&)> problem;            // "" = none; may be absent
  std::function<void(Settings&, const PathBase&)> resolve_paths;  // of path keys only
  // For people and editors: text, path, duration, size, true or false, …
  std::string_view type = "text";

  [[nodiscard]] std::string dotted() const { return table + "." + name; }
  [[nodiscard]] std::string variable() const;  // ZGRID_BROKER__BIND
};

// In the order of the reference.
std::vector<Key> all_keys();

// [[worker.provider]]: reads the list behind the node; errors go to the worker's reader.
std::vector<ProviderSettings> read_providers(const Node& list, const std::string& file,
                                             const PathBase& base, TableReader& errors);
// One provider as an inline table. Keys of an API are not in it, only where they are found.
std::string show_provider(const ProviderSettings& provider);

// "~/x" and relative paths made absolute; empty stays empty.
std::string resolve_path(const std::string& path, const PathBase& base);

// TOML literals.
std::string toml_text(std::string_view text);
std::string toml_list(const std::vector<std::string>& items);
std::string toml_number(double value);

}  // namespace zgrid::conf
