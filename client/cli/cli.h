// The whole command line as a function, so that main.cpp is nothing but its caller.
#pragma once

#include <string>
#include <vector>

namespace zgrid::cli {

// `arguments` without the program's name. Returns the exit code.
int run_cli(std::vector<std::string> arguments);

}  // namespace zgrid::cli
