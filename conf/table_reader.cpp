#include <algorithm>
#include <cmath>

#include "conf/toml.h"
#include "protocol/base/nearest.h"
#include "protocol/base/units.h"

namespace zgrid::conf {
namespace {

std::string kind_of(const Node& node) {
  struct Visitor {
    std::string operator()(std::monostate) const { return "nothing"; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double) const { return "a number with a point"; }
    std::string operator()(const std::string& value) const {
      return value.size() <= 40 ? "\"" + value + "\"" : "a text";
    }
    std::string operator()(const Array&) const { return "a list"; }
    std::string operator()(const Table&) const { return "a table"; }
  };
  return std::visit(Visitor{}, node.value);
}

// 5, 0.15, 1e+20: as short as reads well in a message.
std::string number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return std::to_string(static_cast<int64_t>(value));
  }
  return std::to_string(value);
}

}  // namespace

TableReader::TableReader(const Node& node, std::string file, std::string where)
    : node_(&node), file_(std::move(file)), where_(std::move(where)) {
  if (node.table() == nullptr) error("is " + kind_of(node) + ", not a table");
}

int TableReader::line() const { return node_->line; }

bool TableReader::has(std::string_view key) const {
  const Table* table = node_->table();
  return table != nullptr && table->count(std::string(key)) > 0;
}

const Node* TableReader::take(std::string_view key) {
  known_.emplace(key);
  const Table* table = node_->table();
  if (table == nullptr) return nullptr;
  const auto found = table->find(std::string(key));
  return found == table->end() ? nullptr : &found->second;
}

const Node* TableReader::child(std::string_view key) { return take(key); }

void TableReader::error(std::string message, int line) {
  const int at = line > 0 ? line : node_->line;
  std::string place = file_;
  if (at > 0) place += ":" + std::to_string(at);
  if (!where_.empty()) place += ": " + where_;
  errors_.push_back(place + ": " + std::move(message));
}

void TableReader::get(std::string_view key, bool& into) {
  const Node* node = take(key);
  if (node == nullptr) return;
  if (const bool* value = std::get_if<bool>(&node->value)) {
    into = *value;
  } else {
    error(std::string(key) + " is " + kind_of(*node) + ", not true or false", node->line);
  }
}

void TableReader::get(std::string_view key, std::string& into) {
  const Node* node = take(key);
  if (node == nullptr) return;
  if (const std::string* value = std::get_if<std::string>(&node->value)) {
    into = *value;
  } else {
    error(std::string(key) + " is " + kind_of(*node) + ", not a text in quotes", node->line);
  }
}

void TableReader::get(std::string_view key, double& into, double min, double max) {
  const Node* node = take(key);
  if (node == nullptr) return;
  double value = NAN;
  if (const double* exact = std::get_if<double>(&node->value)) value = *exact;
  if (const int64_t* whole = std::get_if<int64_t>(&node->value)) {
    value = static_cast<double>(*whole);
  }
  if (value >= min && value <= max) {
    into = value;
  } else {
    error(std::string(key) + " is " + kind_of(*node) + ", not a number from " + number(min) +
              " to " + number(max),
          node->line);
  }
}

void TableReader::get(std::string_view key, std::vector<std::string>& into) {
  const Node* node = take(key);
  if (node == nullptr) return;
  if (const std::string* lone = std::get_if<std::string>(&node->value)) {
    into = {*lone};
    return;
  }
  std::vector<std::string> values;
  const Array* items = node->array();
  bool ok = items != nullptr;
  for (size_t i = 0; ok && i < items->size(); ++i) {
    const std::string* text = std::get_if<std::string>(&(*items)[i].value);
    ok = text != nullptr;
    if (ok) values.push_back(*text);
  }
  if (ok) {
    into = std::move(values);
  } else {
    error(std::string(key) + " is not a list of texts in quotes", node->line);
  }
}

void TableReader::get(std::string_view key, std::map<std::string, std::string>& into) {
  const Node* node = take(key);
  if (node == nullptr) return;
  const Table* table = node->table();
  if (table == nullptr) {
    error(std::string(key) + " is " + kind_of(*node) + ", not a table such as { name = \"text\" }",
          node->line);
    return;
  }
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : *table) {
    const std::string* text = std::get_if<std::string>(&value.value);
    if (text == nullptr) {
      error(std::string(key) + "." + name + " is " + kind_of(value) + ", not a text in quotes",
            value.line);
      return;
    }
    values[name] = *text;
  }
  into = std::move(values);
}

void TableReader::get_duration(std::string_view key, Millis& into) {
  std::string text;
  const Node* node = take(key);
  if (node == nullptr) return;
  if (const std::string* value = std::get_if<std::string>(&node->value)) text = *value;
  if (const int64_t* value = std::get_if<int64_t>(&node->value); value != nullptr && *value == 0) {
    text = "0";
  }
  if (const Result<Millis> duration = parse_duration(text)) {
    into = *duration;
  } else {
    error(std::string(key) + " is " + kind_of(*node) +
              ", not a duration such as \"500ms\", \"90s\" or \"15m\"",
          node->line);
  }
}

void TableReader::get_size(std::string_view key, uint64_t& into) {
  const Node* node = take(key);
  if (node == nullptr) return;
  if (const int64_t* bytes = std::get_if<int64_t>(&node->value); bytes != nullptr && *bytes >= 0) {
    into = static_cast<uint64_t>(*bytes);
    return;
  }
  if (const std::string* text = std::get_if<std::string>(&node->value)) {
    if (const Result<uint64_t> size = parse_size(*text)) {
      into = *size;
      return;
    }
  }
  error(std::string(key) + " is " + kind_of(*node) + ", not a size such as \"64MiB\"", node->line);
}

bool TableReader::get_int64(std::string_view key, int64_t& into, int64_t min, int64_t max) {
  const Node* node = take(key);
  if (node == nullptr) return false;
  const int64_t* value = std::get_if<int64_t>(&node->value);
  if (value == nullptr || *value < min || *value > max) {
    error(std::string(key) + " is " + kind_of(*node) + ", not a whole number from " +
              std::to_string(min) + " to " + std::to_string(max),
          node->line);
    return false;
  }
  into = *value;
  return true;
}

Result<void> TableReader::finish() {
  if (const Table* table = node_->table()) {
    const std::vector<std::string> known(known_.begin(), known_.end());
    for (const auto& [key, node] : *table) {
      if (known_.count(key) > 0) continue;
      const std::optional<std::string> like = nearest(key, known);
      error("unknown key '" + key + "'" + (like ? "; did you mean '" + *like + "'?" : ""),
            node.line);
    }
  }
  if (errors_.empty()) return {};
  return fail(Errc::config, errors_.front());
}

bool TableReader::finish_into(std::vector<std::string>& problems) {
  // finish() adds what no getter asked for.
  if (finish()) return true;
  problems.insert(problems.end(), errors_.begin(), errors_.end());
  return false;
}

}  // namespace zgrid::conf
