// What can be configured: the reference with all its comments, and each key by itself.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zgrid::conf {

// conf/zgrid.toml, as it was when this program was built: every key, commented, with its default.
std::string_view reference();

struct KeyDescription {
  std::string table, name;    // "broker", "bind"
  std::string variable;       // ZGRID_BROKER__BIND
  std::string type;           // text, path, duration, size, true or false, whole number, …
  std::string meaning;        // of the reference, one paragraph
  std::string default_value;  // as TOML
};
// In the order of the reference.
std::vector<KeyDescription> describe_keys();

}  // namespace zgrid::conf
