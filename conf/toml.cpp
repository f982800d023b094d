#include "conf/toml.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <toml.hpp>

#include "protocol/base/utf8.h"

namespace zgrid::conf {
namespace {

// A configuration or workflow file is written by hand; nobody writes more.
constexpr size_t kFileBytesMax = 4u << 20;
// toml11 recurses for each bracket and each dot of a key.
constexpr size_t kDepthMax = 64;
// toml11's time grows with the square of a list's length: this many take 0.4 s.
constexpr size_t kValuesMax = 20'000;

Failure bad_toml(const std::string& name, size_t line, const std::string& why) {
  return fail(Errc::config, name + ":" + std::to_string(line) + ": " + why);
}

// Walks over a text as TOML's lexer would and measures how deep its parser would recurse, and
// over how many values.
class CostScan {
 public:
  explicit CostScan(std::string_view text) : text_(text) {}

  // What is too much, or an empty text; line() says where.
  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        continue;
      }
      if (c == '"' || c == '\'') {
        skip_string(c);
        continue;
      }
      count(c);
      if (brackets_ + dots_ > kDepthMax) {
        return "nested deeper than " + std::to_string(kDepthMax) + " levels";
      }
      if (values_ > kValuesMax) return "more than " + std::to_string(kValuesMax) + " values";
      ++at_;
    }
    return {};
  }
  [[nodiscard]] size_t line() const { return line_; }

 private:
  void count(char c) {
    if (c == '\n') ++line_;
    if (std::strchr("=,[{", c) != nullptr) ++values_;
    if (c == '[' || c == '{') ++brackets_;
    if ((c == ']' || c == '}') && brackets_ > 0) --brackets_;
    if (c == '.') {
      ++dots_;
    } else if (std::strchr("\n=,[]{}", c) != nullptr) {
      dots_ = 0;
    }
  }
  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool multi = text_.substr(at_, 3) == three;
    at_ += multi ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        // A newline may be what is escaped, and counts.
        if (at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++line_;
        at_ = std::min(at_ + 2, text_.size());
      } else if (multi && text_.substr(at_, 3) == three) {
        at_ += 3;
        return;
      } else if (!multi && (c == quote || c == '\n')) {
        at_ += c == quote ? 1 : 0;
        return;
      } else {
        if (c == '\n') ++line_;
        ++at_;
      }
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t brackets_ = 0;
  size_t dots_ = 0;
  size_t values_ = 0;
};

// Turns toml11's values into ours. toml11 counts newlines from the start of the text for each
// line that it is asked for; a table of them keeps a long file from costing its square.
class Converter {
 public:
  explicit Converter(std::string_view text) {
    for (size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
      newlines_.push_back(at);
    }
  }

  Node convert(const toml::value& value, size_t depth = 0) {
    Node node;
    node.line = line_of(value);
    if (depth > kDepthMax) throw toml::syntax_error("nested too deep", value.location());
    switch (value.type()) {
      case toml::value_t::empty: break;
      case toml::value_t::boolean: node.value = value.as_boolean(); break;
      case toml::value_t::integer: node.value = integer(value); break;
      case toml::value_t::floating: node.value = value.as_floating(); break;
      case toml::value_t::string: node.value = value.as_string().str; break;
      case toml::value_t::array: {
        Array items;
        for (const toml::value& item : value.as_array()) items.push_back(convert(item, depth + 1));
        node.value = std::move(items);
        break;
      }
      case toml::value_t::table: {
        Table members;
        for (const auto& [key, member] : value.as_table()) {
          members.emplace(key, convert(member, depth + 1));
        }
        node.value = std::move(members);
        break;
      }
      case toml::value_t::offset_datetime:
      case toml::value_t::local_datetime:
      case toml::value_t::local_date:
      case toml::value_t::local_time:
        throw toml::syntax_error("dates and times are not used here: write a text in quotes",
                                 value.location());
    }
    return node;
  }

 private:
  // toml11 turns what no int64_t holds into the largest or the smallest one.
  static int64_t integer(const toml::value& value) {
    const int64_t exact = value.as_integer();
    if (exact == INT64_MAX || exact == INT64_MIN) {
      throw toml::syntax_error("the number is too large", value.location());
    }
    return exact;
  }
  int line_of(const toml::value& value) const {
    const auto* region = dynamic_cast<const toml::detail::region*>(toml::detail::get_region(value));
    if (region == nullptr) return static_cast<int>(value.location().line());
    const auto at = static_cast<size_t>(region->first() - region->begin());
    const auto newline = std::lower_bound(newlines_.begin(), newlines_.end(), at);
    return static_cast<int>(newline - newlines_.begin()) + 1;
  }

  std::vector<size_t> newlines_;
};

// "[error] toml::parse_array: value … has invalid format\n --> file\n …": the first line, without
// the names of toml11's functions.
std::string reason_of(const char* what) {
  std::string reason(what);
  reason.erase(std::min(reason.find('\n'), reason.size()));
  for (std::string_view prefix : {"[error] ", "toml::"}) {
    if (reason.compare(0, prefix.size(), prefix) == 0) reason.erase(0, prefix.size());
  }
  const size_t colon = reason.find(": ");
  const bool is_function =
      colon != std::string::npos && reason.find(' ') > colon && reason.compare(0, 5, "parse") == 0;
  if (is_function) reason.erase(0, colon + 2);
  return reason.empty() ? "not valid TOML" : "not valid TOML: " + reason;
}

}  // namespace

Result<Node> parse_toml(std::string_view text, const std::string& name) {
  if (text.size() > kFileBytesMax) {
    return fail(Errc::config, name + " is larger than 4 MiB", "split it into several files");
  }
  // toml11 3.7 reads outside its buffers when it reports such a byte in a string.
  if (const size_t good = utf8_prefix(text); good < text.size()) {
    const auto newlines =
        std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(good), '\n');
    return bad_toml(name, static_cast<size_t>(newlines) + 1, "not UTF-8 text");
  }
  CostScan scan(text);
  if (const std::string problem = scan.run(); !problem.empty()) {
    return bad_toml(name, scan.line(), problem);
  }
  try {
    std::istringstream stream{std::string(text)};
    Node root = Converter(text).convert(toml::parse(stream, name));
    root.line = 1;
    return root;
  } catch (const toml::exception& error) {
    return bad_toml(name, error.location().line(), reason_of(error.what()));
  } catch (const std::exception& error) {
    return fail(Errc::config, name + ": " + reason_of(error.what()));
  }
}

Result<Node> read_toml(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int reason = errno;
    const bool missing = reason == ENOENT || reason == ENOTDIR;
    return fail(missing ? Errc::not_found : Errc::config,
                "cannot read " + path + ": " + std::strerror(reason));
  }
  // One byte more than allowed, so that parse_toml sees that it is too much.
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (file.bad() || (text.empty() && !file.eof())) {
    return fail(Errc::config, "cannot read " + path + ": it is no readable file");
  }
  return parse_toml(text, path);
}

}  // namespace zgrid::conf
