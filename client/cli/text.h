// Text for terminals and pipes: widths, tables, colour, and what must not reach a terminal.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/cli/characters.h"

namespace zgrid::cli {

// Every control character but newline and tab shown as ^X, bytes that are not UTF-8 as U+FFFD: job
// output must not move a terminal's cursor, change its title or answer for its user.
std::string neutralise(std::string_view text);
// The same in one line: a newline or tab becomes a blank.
std::string neutralise_cell(std::string_view text);
// A JSON document that means the same, with no such character in it; JSON escapes the others.
std::string neutralise_json(std::string_view document);

enum class Paint : uint8_t { none, bold, dim, red, green, yellow };
std::string painted(std::string_view text, Paint paint, bool colour);

struct Cell {
  std::string text;
  Paint paint = Paint::none;
};
// Left-aligned columns, two blanks between them, nothing after the last. The first row is the head.
// No line takes more than `columns` (0: as many as it needs) where that is possible: the last
// column is wrapped, and if it would become narrow, wide columns before it are cut with "…".
std::string table(const std::vector<std::vector<Cell>>& rows, bool colour, size_t columns = 0);

// The random tail of an id, which is unique for all purposes of people.
std::string short_id(const std::string& id);
// What the lines of one job of several begin with.
std::string label_of(const std::string& id);

}  // namespace zgrid::cli
