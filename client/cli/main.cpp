#include <exception>
#include <iostream>

#include "client/cli/cli.h"

int main(int argc, char** argv) {
  try {
    return zgrid::cli::run_cli({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    // Memory that ran out, or a bug.
    std::cerr << "zgrid: internal error: " << error.what() << "\n";
    return 70;
  }
}
