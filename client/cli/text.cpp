#include "client/cli/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace zgrid::cli {
namespace {

constexpr uint32_t kBad = 0xfffd;

// Takes one character off the front; kBad and one byte for what is no UTF-8.
uint32_t next_character(std::string_view& text) {
  const auto first = static_cast<uint8_t>(text[0]);
  size_t length = 1;
  uint32_t value = first;
  if (first >= 0xf0 && first < 0xf5) {
    length = 4;
    value = first & 7u;
  } else if (first >= 0xe0) {
    length = 3;
    value = first & 15u;
  } else if (first >= 0xc2) {
    length = 2;
    value = first & 31u;
  } else if (first >= 0x80) {
    value = kBad;
  }
  if (first >= 0xf5 || text.size() < length) {
    text.remove_prefix(1);
    return kBad;
  }
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xc0) != 0x80) {
      text.remove_prefix(1);
      return kBad;
    }
    value = value << 6 | (byte & 63u);
  }
  static constexpr std::array<uint32_t, 5> kSmallest{0, 0, 0x80, 0x800, 0x10000};
  const bool wrong =
      value < kSmallest[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000);
  text.remove_prefix(wrong ? 1 : length);
  return wrong ? kBad : value;
}

struct Range {
  uint32_t first, last;
};
// The common ranges of Unicode's East_Asian_Width W and F, and emoji.
constexpr std::array<Range, 12> kWide{{{0x1100, 0x115f},
                                       {0x231a, 0x231b},
                                       {0x2e80, 0x303e},
                                       {0x3041, 0xa4cf},
                                       {0xa960, 0xa97f},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},
                                       {0xffe0, 0xffe6},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};
constexpr std::array<Range, 7> kZero{{{0x0300, 0x036f},
                                      {0x0483, 0x0489},
                                      {0x0591, 0x05bd},
                                      {0x200b, 0x200f},
                                      {0x20d0, 0x20ff},
                                      {0xfe00, 0xfe0f},
                                      {0xfe20, 0xfe2f}}};

template <size_t N>
bool is_in(uint32_t c, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [c](const Range& r) { return c >= r.first && c <= r.last; });
}

}  // namespace

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const uint32_t c = next_character(text);
    if (is_in(c, kZero)) continue;
    width += is_in(c, kWide) ? 2 : 1;
  }
  return width;
}

std::string neutralise(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::string_view before = text;
    const uint32_t c = next_character(text);
    const size_t taken = before.size() - text.size();
    if (c == kBad) {
      out += "\xef\xbf\xbd";
    } else if (c < 0x20 && c != '\n' && c != '\t') {
      out += '^';
      out += static_cast<char>(c + '@');
    } else if (c == 0x7f) {
      out += "^?";
    } else if (c >= 0x80 && c < 0xa0) {  // C1: the other form of ESC [ and friends
      out += "^[";
      out += static_cast<char>(c - 0x40);
    } else if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) {
      out += "\xef\xbf\xbd";  // would reorder what stands around it
    } else {
      out += before.substr(0, taken);
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

std::string table(const std::vector<std::vector<Cell>>& rows, bool colour) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    // Blanks are owed until something follows them.
    size_t blanks = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      if (!row[i].text.empty()) {
        out.append(blanks, ' ');
        out += painted(row[i].text, row[i].paint, colour);
        blanks = 0;
      }
      blanks += widths[i] - display_width(row[i].text) + 2;
    }
    out += '\n';
  }
  return out;
}

std::string short_id(const std::string& id) {
  const size_t dash = id.rfind('-');
  return dash == std::string::npos ? id : id.substr(dash + 1);
}

}  // namespace zgrid::cli
