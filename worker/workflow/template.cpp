#include "worker/workflow/template.h"

#include <charconv>

#include "worker/workflow/event.h"

namespace zgrid::worker {
namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";
constexpr std::string_view kBase64 = "$base64";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Empty if a segment is empty or holds what no path has.
std::vector<std::string> split_path(std::string_view text) {
  if (text.find_first_of(" \t\r\n{}") != std::string_view::npos) return {};
  std::vector<std::string> segments;
  while (true) {
    const size_t dot = text.find('.');
    const std::string_view segment = text.substr(0, dot);
    if (segment.empty()) return {};
    segments.emplace_back(segment);
    if (dot == std::string_view::npos) return segments;
    text.remove_prefix(dot + 1);
  }
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const std::string& segment : path) text += (text.empty() ? "" : ".") + segment;
  return text;
}

const Json* element(const Json& value, const std::string& segment) {
  const Json::Array* items = value.as_array();
  if (items == nullptr) return value.find(segment);
  size_t index = 0;
  const char* end = segment.data() + segment.size();
  const auto parsed = std::from_chars(segment.data(), end, index);
  const bool whole = parsed.ec == std::errc{} && parsed.ptr == end;
  return whole && index < items->size() ? &(*items)[index] : nullptr;
}

const Json* look_up(const TemplateScope& scope, const std::vector<std::string>& path) {
  const Json* value = nullptr;
  for (const auto& [name, root] : scope) {
    if (name == path[0]) value = root;
  }
  for (size_t i = 1; i < path.size() && value != nullptr; ++i) value = element(*value, path[i]);
  return value;
}

}  // namespace

bool is_event_type(std::string_view type) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  if (type.empty() || type.size() > 127 || !letter(type[0])) return false;
  for (const char c : type) {
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '.' && c != ':' && c != '-') return false;
  }
  return true;
}

Result<Template> Template::parse(std::string_view text) {
  Template result;
  Part part;
  while (true) {
    const size_t open = text.find(kOpen);
    part.literal.append(text.substr(0, open));
    if (open == std::string_view::npos) break;
    text.remove_prefix(open + kOpen.size());
    if (!part.literal.empty() && part.literal.back() == '\\') {
      part.literal.back() = '{';
      part.literal += '{';
      continue;
    }
    const size_t close = text.find(kClose);
    if (close == std::string_view::npos) {
      return fail(Errc::bad_input, "a {{ has no }}", "write \\{{ for two literal braces");
    }
    const std::string_view inside = trimmed(text.substr(0, close));
    part.path = split_path(inside);
    if (part.path.empty()) {
      return fail(Errc::bad_input, "{{" + std::string(inside) + "}} is not a path",
                  "write names joined by dots, such as {{data.text}}");
    }
    text.remove_prefix(close + kClose.size());
    result.parts_.push_back(std::move(part));
    part = {};
  }
  if (!part.literal.empty()) result.parts_.push_back(std::move(part));
  return result;
}

Result<std::string> Template::render(const TemplateScope& scope) const {
  std::string text;
  for (const Part& part : parts_) {
    text += part.literal;
    if (part.path.empty()) continue;
    const Json* value = look_up(scope, part.path);
    if (value == nullptr) {
      return fail(Errc::bad_input, "{{" + joined(part.path) + "}} is missing");
    }
    if (const std::string* string = value->as_string()) {
      text += *string;
    } else if (const auto bytes = base64_value(*value)) {
      text += *bytes;
    } else {
      value->dump_to(text);
    }
  }
  return text;
}

std::vector<std::string> Template::paths() const {
  std::vector<std::string> all;
  for (const Part& part : parts_) {
    if (!part.path.empty()) all.push_back(joined(part.path));
  }
  return all;
}

std::optional<std::string> base64_value(const Json& value) {
  const Json::Object* object = value.as_object();
  if (object == nullptr || object->size() != 1 || (*object)[0].first != kBase64) return {};
  const std::string* text = (*object)[0].second.as_string();
  return text == nullptr ? std::nullopt : base64_decode(*text);
}

Json text_or_base64(std::string_view bytes) {
  if (is_utf8(bytes)) return Json(bytes);
  Json value = Json::object();
  value.set(std::string(kBase64), base64_encode(bytes));
  return value;
}

}  // namespace zgrid::worker
