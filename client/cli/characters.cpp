#include "client/cli/characters.h"

#include <algorithm>

#include "client/cli/width_ranges.h"
#include "protocol/base/utf8.h"

namespace zgrid::cli {
namespace {

template <size_t N>
bool is_in(uint32_t c, const std::array<Range, N>& ranges) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](uint32_t value, const Range& r) { return value < r.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

size_t width_of(uint32_t c) {
  if (c < 0x300) return 1;  // by far the most
  if (is_in(c, kZero)) return 0;
  return is_in(c, kWide) ? 2 : 1;
}

// The bytes at the front that take at most so many columns, with the marks on the last of them.
size_t prefix_within(std::string_view text, size_t columns) {
  std::string_view rest = text;
  size_t width = 0;
  size_t taken = 0;
  while (!rest.empty()) {
    width += width_of(next_character(rest));
    if (width > columns) break;
    taken = text.size() - rest.size();
  }
  return taken;
}

}  // namespace

uint32_t next_character(std::string_view& text) {
  const size_t length = utf8_sequence(text);
  const auto first = static_cast<uint8_t>(text[0]);
  if (length <= 1) {
    text.remove_prefix(1);
    return length == 0 ? kBadCharacter : first;
  }
  uint32_t value = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) value = value << 6 | (static_cast<uint8_t>(text[i]) & 63u);
  text.remove_prefix(length);
  return value;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) width += width_of(next_character(text));
  return width;
}

std::string cut(std::string_view text, size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  return std::string(text.substr(0, prefix_within(text, columns - 1))) + "…";
}

std::vector<std::string> wrapped(std::string_view text, size_t columns) {
  std::vector<std::string> lines;
  while (display_width(text) > columns) {
    size_t end = prefix_within(text, columns);
    size_t next = end;
    if (end < text.size() && text[end] == ' ') {
      next = end + 1;
    } else if (const size_t blank = text.substr(0, end).rfind(' ');
               blank != std::string_view::npos && text.find_first_not_of(' ') < blank) {
      end = blank;
      next = blank + 1;
    }
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(next);
  }
  lines.emplace_back(text);
  return lines;
}

}  // namespace zgrid::cli
