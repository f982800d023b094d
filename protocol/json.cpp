#include "protocol/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "protocol/base/check.h"

namespace zgrid {
namespace {

// Reads the text for nlohmann-json and counts, so that a refusal of ours can name its place too.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const CountingIterator& a, const CountingIterator& b) {
    return a.at_ == b.at_;
  }

 private:
  const char* at_;
  size_t* count_;
};

// The first name that stands twice in an object, or null. Sorts when there are many, so that a
// hostile object with a million names does not cost a million squared.
const std::string* name_twice(const Json::Object& members) {
  std::vector<const std::string*> names;
  names.reserve(members.size());
  for (const auto& member : members) names.push_back(&member.first);
  const auto less = [](const std::string* a, const std::string* b) { return *a < *b; };
  const auto same = [](const std::string* a, const std::string* b) { return *a == *b; };
  std::sort(names.begin(), names.end(), less);
  const auto twice = std::adjacent_find(names.begin(), names.end(), same);
  return twice == names.end() ? nullptr : *twice;
}

// Builds a Json from nlohmann-json's parser events. A handler that returns false ends the parse;
// problem() then says why. The parser itself keeps no recursion, so depth is ours to bound.
class Builder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(number_integer_t value) { return add(Json(int64_t{value})); }
  bool number_unsigned(number_unsigned_t value) { return add(Json(uint64_t{value})); }
  bool number_float(number_float_t value, const string_t&) { return add(Json(value)); }
  bool string(string_t& value) { return add(Json(std::move(value))); }
  bool binary(binary_t&) { return refuse("binary values are no JSON"); }
  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(string_t& name) {
    frames_.back().name = std::move(name);
    return true;
  }
  bool end_object() {
    Frame frame = pop();
    if (const std::string* name = name_twice(frame.members)) {
      return refuse("the name '" + *name + "' stands twice in one object");
    }
    return add(Json(std::move(frame.members)));
  }
  bool end_array() {
    Frame frame = pop();
    return add(Json(std::move(frame.items)));
  }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
    std::string_view text = error.what();
    const size_t place = text.find("column ");
    size_t start = place == std::string_view::npos ? text.find("] ") : text.find(": ", place);
    if (start != std::string_view::npos) text.remove_prefix(start + 2);
    return refuse(std::string(text));
  }

  [[nodiscard]] const std::string& problem() const { return problem_; }
  Json take() { return std::move(root_); }

 private:
  struct Frame {
    bool is_object = false;
    std::string name;  // of the member that comes next
    Json::Array items;
    Json::Object members;
  };

  bool refuse(std::string why) {
    problem_ = std::move(why);
    return false;
  }
  bool open(bool is_object) {
    if (frames_.size() >= Json::kDepthMax) {
      return refuse("nested deeper than " + std::to_string(Json::kDepthMax) + " levels");
    }
    frames_.emplace_back().is_object = is_object;
    return true;
  }
  Frame pop() {
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    return frame;
  }
  bool add(Json value) {
    if (frames_.empty()) {
      root_ = std::move(value);
    } else if (Frame& frame = frames_.back(); frame.is_object) {
      frame.members.emplace_back(std::move(frame.name), std::move(value));
    } else {
      frame.items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Frame> frames_;
  Json root_;
  std::string problem_;
};

Failure bad_json(std::string_view text, size_t at, const std::string& why) {
  at = std::min(at, text.size());
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t newline = before.rfind('\n');
  const size_t column = newline == std::string_view::npos ? at : at - newline - 1;
  return fail(Errc::bad_input, "not valid JSON at line " + std::to_string(line) + ", column " +
                                   std::to_string(std::max<size_t>(column, 1)) + ": " + why);
}

void write_string(std::string_view text, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += '"';
  size_t plain = 0;  // start of what can be copied as it is
  size_t at = 0;
  const auto put = [&](std::string_view instead) {
    out += text.substr(plain, at - plain);
    out += instead;
    plain = ++at;
  };
  while (at < text.size()) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c >= 0x80) {
      const size_t length = utf8_sequence(text.substr(at));
      if (length == 0) {
        put("\xef\xbf\xbd");
      } else {
        at += length;
      }
    } else if (c == '"') {
      put("\\\"");
    } else if (c == '\\') {
      put("\\\\");
    } else if (c >= 0x20) {
      ++at;
    } else if (c == '\n') {
      put("\\n");
    } else if (c == '\r') {
      put("\\r");
    } else if (c == '\t') {
      put("\\t");
    } else {
      const char escape[] = {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
      put({escape, sizeof escape});
    }
  }
  out += text.substr(plain);
  out += '"';
}

template <class Int>
void write_int(Int value, std::string& out) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

// The shortest text that reads back as the same double, always recognisable as one.
void write_double(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 40> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  const std::string_view written(text.data(), static_cast<size_t>(end - text.data()));
  out += written;
  if (written.find_first_of(".e") == std::string_view::npos) out += ".0";
}

// Writes compactly, or with each item on a line of its own, two blanks in for each level.
class Writer {
 public:
  Writer(std::string& out, bool pretty) : out_(out), pretty_(pretty) {}

  void write(const Json& value) {
    if (const Json::Array* items = value.as_array()) {
      write_all('[', ']', *items, [this](const Json& item) { write(item); });
    } else if (const Json::Object* members = value.as_object()) {
      write_all('{', '}', *members, [this](const auto& member) {
        write_string(member.first, out_);
        out_ += pretty_ ? ": " : ":";
        write(member.second);
      });
    } else {
      value.dump_to(out_);
    }
  }

 private:
  template <class Items, class Write>
  void write_all(char open, char close, const Items& items, Write write_one) {
    out_ += open;
    ++level_;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += ',';
      first = false;
      new_line();
      write_one(item);
    }
    --level_;
    if (!items.empty()) new_line();
    out_ += close;
  }
  void new_line() {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(2 * level_, ' ');
  }

  std::string& out_;
  bool pretty_;
  size_t level_ = 0;
};

constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  // The parser takes a NUL for the end of its input and would overlook what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return bad_json(text, nul + 1, "a NUL byte");
  }
  Builder builder;
  size_t count = 0;
  size_t end_count = 0;
  try {
    const bool done = nlohmann::json::sax_parse(
        CountingIterator(text.data(), &count),
        CountingIterator(text.data() + text.size(), &end_count), &builder);
    if (!done) return bad_json(text, count, builder.problem());
  } catch (const nlohmann::json::exception& error) {
    return bad_json(text, count, error.what());
  }
  return builder.take();
}

std::string Json::dump() const {
  std::string out;
  dump_to(out);
  return out;
}

void Json::dump_to(std::string& out) const {
  struct Visitor {
    std::string& out;
    const Json& self;
    void operator()(std::monostate) const { out += "null"; }
    void operator()(bool value) const { out += value ? "true" : "false"; }
    void operator()(int64_t value) const { write_int(value, out); }
    void operator()(uint64_t value) const { write_int(value, out); }
    void operator()(double value) const { write_double(value, out); }
    void operator()(const std::string& value) const { write_string(value, out); }
    void operator()(const Array&) const { Writer(out, false).write(self); }
    void operator()(const Object&) const { Writer(out, false).write(self); }
  };
  std::visit(Visitor{out, *this}, value_);
}

std::string Json::pretty() const {
  std::string out;
  Writer(out, true).write(*this);
  return out;
}

std::optional<bool> Json::as_bool() const {
  if (const bool* value = std::get_if<bool>(&value_)) return *value;
  return std::nullopt;
}

std::optional<int64_t> Json::as_int() const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  const double* value = std::get_if<double>(&value_);
  // Both bounds are exact doubles: -2^63 fits, 2^63 does not.
  if (value != nullptr && *value >= -0x1p63 && *value < 0x1p63 && std::trunc(*value) == *value) {
    return static_cast<int64_t>(*value);
  }
  return std::nullopt;
}

std::optional<double> Json::as_double() const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  if (const uint64_t* value = std::get_if<uint64_t>(&value_)) return static_cast<double>(*value);
  return std::nullopt;
}

const Json* Json::find(std::string_view name) const {
  const Object* members = as_object();
  if (members == nullptr) return nullptr;
  for (const auto& member : *members) {
    if (member.first == name) return &member.second;
  }
  return nullptr;
}

Json& Json::set(std::string name, Json value) {
  if (is_null()) value_ = Object{};
  Object* members = std::get_if<Object>(&value_);
  ZGRID_CHECK(members != nullptr);
  for (auto& member : *members) {
    if (member.first == name) {
      member.second = std::move(value);
      return *this;
    }
  }
  members->emplace_back(std::move(name), std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  if (is_null()) value_ = Array{};
  Array* items = std::get_if<Array>(&value_);
  ZGRID_CHECK(items != nullptr);
  items->push_back(std::move(value));
  return *this;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += k <= have ? kBase64[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int have = 0;
  for (char c : text.substr(0, text.size() - padding)) {
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xffff;
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>(bits >> have & 0xff);
    }
  }
  // Bits that no byte took must be zero, or two texts would mean the same bytes.
  if ((bits & ((1u << have) - 1)) != 0) return std::nullopt;
  return out;
}

}  // namespace zgrid
