#include "conf/schema.h"

#include <map>
#include <utility>

#include "conf/keys.h"

namespace zgrid::conf {
namespace {

// The comment above each "name = value" of the reference, by "table.name"; one comment may be above
// several.
std::map<std::string, std::string> meanings() {
  std::map<std::string, std::string> found;
  std::string table, comment;
  bool is_over = false;
  std::string_view rest = reference();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.substr(0, 2) == "# ") {
      if (std::exchange(is_over, false)) comment.clear();
      comment += (comment.empty() ? "" : " ") + std::string(line.substr(2));
      continue;
    }
    is_over = true;
    if (!line.empty() && line[0] == '[') table = line.substr(1, line.find(']') - 1);
    const size_t equals = line.find(" = ");
    if (equals != std::string_view::npos && line[0] != '#') {
      found[table + "." + std::string(line.substr(0, equals))] = comment;
    }
    if (line.empty()) comment.clear();
  }
  return found;
}

}  // namespace

std::vector<KeyDescription> describe_keys() {
  const auto meaning_of = meanings();
  const Settings defaults;
  std::vector<KeyDescription> keys;
  for (const Key& key : all_keys()) {
    const auto meaning = meaning_of.find(key.dotted());
    keys.push_back({key.table, key.name, key.variable(), std::string(key.type),
                    meaning == meaning_of.end() ? "" : meaning->second, key.show(defaults)});
  }
  return keys;
}

}  // namespace zgrid::conf
