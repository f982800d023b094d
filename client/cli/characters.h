// Text as a terminal lays it out: characters, and the columns they take.
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zgrid::cli {

// What stands for a byte that is not UTF-8.
inline constexpr uint32_t kBadCharacter = 0xfffd;

// Takes one character off the front of a text that is not empty; kBadCharacter and one byte for
// what is no UTF-8.
uint32_t next_character(std::string_view& text);

// Columns that a UTF-8 text takes: wide East Asian characters and emoji two, combining marks none.
size_t display_width(std::string_view text);

// At most so many columns of it; what was cut off is shown by "…". `columns` is at least 1.
std::string cut(std::string_view text, size_t columns);

// In lines of at most so many columns, broken at blanks where there are some; nothing but the blank
// at a break is lost. `columns` is at least 2, the widest character.
std::vector<std::string> wrapped(std::string_view text, size_t columns);

}  // namespace zgrid::cli
