// The manual in man(7), made from the same grammar as --help.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "client/cli/grammar.h"

namespace zgrid::cli {

struct ManPage {
  std::string name;  // zgrid, zgrid-submit; always of section 1
  std::string text;
};

// zgrid(1) and a page for each verb. `date` as 2026-01-31.
std::vector<ManPage> man_pages(const VerbInfo& root, const std::string& version,
                               const std::string& date);

}  // namespace zgrid::cli
