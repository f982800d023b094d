// From arguments to a Command. CLI11 is included in parse.cpp only.
#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"
#include "protocol/base/result.h"

namespace zgrid::cli {

struct Parsed {
  Globals globals;
  Command command;
};

// `arguments` without the program's name. Errc::usage with a hint for what cannot be understood.
// --help and --version become commands.
Result<Parsed> parse(std::vector<std::string> arguments);

// True if --json is among the arguments, for errors found before they were understood.
bool wants_json(const std::vector<std::string>& arguments);

}  // namespace zgrid::cli
