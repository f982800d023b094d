#include "client/cli/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

#include "client/cli/characters.h"

namespace zgrid::cli {
namespace {

// Would change the order in which the text around it is shown.
bool is_reordering(uint32_t c) {
  return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string neutralise(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view before = text;
    const uint32_t c = next_character(text);
    const size_t taken = before.size() - text.size();
    if (c == kBadCharacter) {
      out += "\xef\xbf\xbd";
    } else if (c < 0x20 && c != '\n' && c != '\t') {
      out += '^';
      out += static_cast<char>(c + '@');
    } else if (c == 0x7f) {
      out += "^?";
    } else if (c >= 0x80 && c < 0xa0) {  // C1: the other form of ESC [ and friends
      out += "^[";
      out += static_cast<char>(c - 0x40);
    } else if (is_reordering(c)) {
      out += "\xef\xbf\xbd";
    } else {
      out += before.substr(0, taken);
    }
  }
  return out;
}

std::string neutralise_cell(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return neutralise(line);
}

std::string neutralise_json(std::string_view document) {
  std::string out;
  out.reserve(document.size());
  while (!document.empty()) {
    const std::string_view before = document;
    const uint32_t c = next_character(document);
    if (c == 0x7f || (c >= 0x80 && c < 0xa0) || is_reordering(c)) {
      std::array<char, 8> escape;
      std::snprintf(escape.data(), escape.size(), "\\u%04x", c);
      out += escape.data();
    } else {
      out += before.substr(0, before.size() - document.size());
    }
  }
  return out;
}

std::string painted(std::string_view text, Paint paint, bool colour) {
  const char* code = "";
  switch (paint) {
    case Paint::none: return std::string(text);
    case Paint::bold: code = "\x1b[1m"; break;
    case Paint::dim: code = "\x1b[2m"; break;
    case Paint::red: code = "\x1b[31m"; break;
    case Paint::green: code = "\x1b[32m"; break;
    case Paint::yellow: code = "\x1b[33m"; break;
  }
  if (!colour) return std::string(text);
  return code + std::string(text) + "\x1b[0m";
}

std::string short_id(const std::string& id) {
  const size_t dash = id.rfind('-');
  return dash == std::string::npos ? id : id.substr(dash + 1);
}

std::string label_of(const std::string& id) { return "[" + short_id(id) + "] "; }

}  // namespace zgrid::cli
