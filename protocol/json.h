// A JSON value (RFC 8259). Objects keep the order in which members were added.
// nlohmann-json is included in json.cpp only. Threads: as a plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/utf8.h"

namespace zgrid {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  static constexpr size_t kDepthMax = 64;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(int64_t{value}) {}
  Json(unsigned value) : value_(int64_t{value}) {}
  Json(int64_t value) : value_(value) {}
  // Kept as an int64_t where it fits, so that equal numbers are equal values.
  Json(uint64_t value) {
    if (value <= static_cast<uint64_t>(INT64_MAX)) {
      value_ = static_cast<int64_t>(value);
    } else {
      value_ = value;
    }
  }
  Json(double value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}

  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  // Errc::bad_input with line and column for anything that is not one JSON document: also for
  // nesting deeper than kDepthMax, bytes that are not UTF-8, numbers that no double holds, and a
  // name twice in one object. Whole numbers beyond uint64_t become doubles.
  static Result<Json> parse(std::string_view text);
  // Compact. Each byte that is not UTF-8 becomes U+FFFD; numbers that JSON cannot write become
  // null.
  [[nodiscard]] std::string dump() const;
  void dump_to(std::string& out) const;
  // Two blanks for each level.
  [[nodiscard]] std::string pretty() const;

  [[nodiscard]] bool is_null() const { return holds<std::monostate>(); }
  [[nodiscard]] bool is_bool() const { return holds<bool>(); }
  [[nodiscard]] bool is_string() const { return holds<std::string>(); }
  [[nodiscard]] bool is_array() const { return holds<Array>(); }
  [[nodiscard]] bool is_object() const { return holds<Object>(); }
  [[nodiscard]] bool is_number() const {
    return holds<int64_t>() || holds<uint64_t>() || holds<double>();
  }

  // Null pointers and empty optionals when the value is of another type.
  [[nodiscard]] const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  [[nodiscard]] const Array* as_array() const { return std::get_if<Array>(&value_); }
  [[nodiscard]] const Object* as_object() const { return std::get_if<Object>(&value_); }
  [[nodiscard]] std::optional<bool> as_bool() const;
  [[nodiscard]] std::optional<int64_t> as_int() const;  // also of a whole double
  [[nodiscard]] std::optional<double> as_double() const;

  // A member, or null if there is none or this is no object.
  [[nodiscard]] const Json* find(std::string_view name) const;
  // Adds or replaces a member; turns null into an object.
  Json& set(std::string name, Json value);
  // Appends; turns null into an array.
  Json& push(Json value);

  friend bool operator==(const Json&, const Json&) = default;

 private:
  template <class T>
  [[nodiscard]] bool holds() const {
    return std::holds_alternative<T>(value_);
  }
  std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object> value_;
};

// RFC 4648, with padding.
std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace zgrid
