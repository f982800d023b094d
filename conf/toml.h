// A TOML document as a tree that knows its lines, and a reader that forgets no key.
// toml11 is included in toml.cpp only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid::conf {

struct Node;
using Array = std::vector<Node>;
using Table = std::map<std::string, Node>;

struct Node {
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Table> value;
  int line = 0;  // from 1; 0 = not from a file

  [[nodiscard]] const Table* table() const { return std::get_if<Table>(&value); }
  [[nodiscard]] const Array* array() const { return std::get_if<Array>(&value); }
};

// Errc::config with file and line. `name` is what messages call the text.
Result<Node> parse_toml(std::string_view text, const std::string& name);
// Errc::not_found if there is no such file, Errc::config if it is no TOML.
Result<Node> read_toml(const std::string& path);

// Reads one table. Each getter leaves its target alone when the key is absent; a value of the
// wrong type or out of range is remembered as an error; finish() also reports keys that no getter
// asked for, with the nearest one that was. All errors name file and line.
class TableReader {
 public:
  TableReader(const Node& node, std::string file, std::string where);

  void get(std::string_view key, bool& into);
  void get(std::string_view key, std::string& into);
  void get(std::string_view key, double& into, double min, double max);
  void get(std::string_view key, std::vector<std::string>& into);  // also a lone string
  void get(std::string_view key, std::map<std::string, std::string>& into);
  void get_duration(std::string_view key, Millis& into);  // "90s"
  void get_size(std::string_view key, uint64_t& into);    // "64MiB" or a number of bytes
  template <class Int>
  void get_int(std::string_view key, Int& into, int64_t min, int64_t max) {
    int64_t value = static_cast<int64_t>(into);
    if (get_int64(key, value, min, max)) into = static_cast<Int>(value);
  }
  // The raw node, marked as known; null if absent.
  const Node* child(std::string_view key);
  [[nodiscard]] bool has(std::string_view key) const;
  [[nodiscard]] int line() const;
  // An error of the caller's own, at `line` (0 = the table's).
  void error(std::string message, int line = 0);
  // An error that already names its file and line, such as another reader's.
  void fail_with(std::string message) { errors_.push_back(std::move(message)); }
  // The first error, if any; Errc::config.
  Result<void> finish();
  // All of them, at the end of `problems`. True: there is none.
  bool finish_into(std::vector<std::string>& problems);

 private:
  bool get_int64(std::string_view key, int64_t& into, int64_t min, int64_t max);
  const Node* take(std::string_view key);

  const Node* node_;
  std::string file_, where_;
  std::set<std::string, std::less<>> known_;
  std::vector<std::string> errors_;
};

}  // namespace zgrid::conf
