// What is known of the terminal that a command writes to.
// Threads: pure functions.
#pragma once

#include <cstddef>

#include "client/cli/command.h"
#include "client/cli/renderer.h"
#include "conf/settings.h"

namespace zgrid::cli {

inline constexpr size_t kColumnsDefault = 80;  // of a terminal that does not say

// How wide the terminal is; `otherwise` if it does not say or is none.
size_t columns_of(int fd, size_t otherwise = kColumnsDefault);

// Whether there is colour on an output: NO_COLOR forbids it, --color decides, and else a terminal
// that is not dumb has it.
bool wants_colour(Colour wish, const conf::Environment& env, bool is_terminal);

// How to write to stdout and stderr as they are now.
Style style_of(const Globals& globals, const conf::Environment& env);

}  // namespace zgrid::cli
