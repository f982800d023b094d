// Text for terminals and pipes: widths, tables, colour, and what must not reach a terminal.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace zgrid::cli {

// Columns that a UTF-8 text takes: wide East Asian characters and emoji two, combining marks none.
size_t display_width(std::string_view text);

// Every control character but newline and tab shown as ^X, bytes that are not UTF-8 as U+FFFD: job
// output must not move a terminal's cursor, change its title or answer for its user.
std::string neutralise(std::string_view text);

enum class Paint : uint8_t { none, bold, dim, red, green, yellow };
std::string painted(std::string_view text, Paint paint, bool colour);

struct Cell {
  std::string text;
  Paint paint = Paint::none;
};
// Left-aligned columns, two blanks between them, nothing after the last. The first row is the head.
std::string table(const std::vector<std::vector<Cell>>& rows, bool colour);

// The random tail of an id, which is unique for all purposes of people.
std::string short_id(const std::string& id);

}  // namespace zgrid::cli
