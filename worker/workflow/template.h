// {{path}}: strict substitution by path, no code.
//
// A path is a root and, after dots, names of members or indices of elements: {{data.items.0.id}}.
// Blanks inside the braces are ignored; \{{ is a literal {{; everything else is copied. Text goes
// in as it is, {"$base64": …} as the bytes it stands for, any other value as compact JSON.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/json.h"

namespace zgrid::worker {

// What a path may begin with. The values are borrowed for the call.
using TemplateScope = std::vector<std::pair<std::string_view, const Json*>>;

class Template {
 public:
  // Errc::bad_input for an empty or unclosed {{…}}.
  static Result<Template> parse(std::string_view text);

  // Errc::bad_input naming the path that is missing.
  [[nodiscard]] Result<std::string> render(const TemplateScope& scope) const;
  // Each as written, without blanks: for checking before any value is there.
  [[nodiscard]] std::vector<std::string> paths() const;

 private:
  struct Part {
    std::string literal;            // comes before the path
    std::vector<std::string> path;  // empty: none, this is the end
  };
  std::vector<Part> parts_;
};

// {"$base64": "…"} with nothing else: the bytes; nothing for other values.
std::optional<std::string> base64_value(const Json& value);
// A string, or {"$base64": …} for bytes that are not UTF-8.
Json text_or_base64(std::string_view bytes);

}  // namespace zgrid::worker
