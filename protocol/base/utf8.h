// UTF-8 as RFC 3629 has it: no surrogates, nothing overlong. Threads: pure functions.
#pragma once

#include <cstddef>
#include <string_view>

namespace zgrid {

// The length of the character at the front of the text, which is not empty; 0 if it is not
// well-formed.
size_t utf8_sequence(std::string_view text);
bool is_utf8(std::string_view text);
// How many of the text's first bytes are well-formed.
size_t utf8_prefix(std::string_view text);

}  // namespace zgrid
