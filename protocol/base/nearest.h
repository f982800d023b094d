// The word that was probably meant: for "did you mean".
// Threads: pure function.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zgrid {

// The candidate most like `word`, if any is like it: two slips of the fingers away at
// most, or the beginning of one is all of the other.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace zgrid
