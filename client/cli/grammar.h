// The command line as plain data: what --help, the man pages and completion are made from.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

namespace zgrid::cli {

struct OptionInfo {
  std::vector<std::string> names;  // --text, or -f and --follow; none: it is positional
  std::string value;               // what its value is called; empty: it takes none
  std::string help;
  bool is_positional = false, is_required = false;
  bool is_repeatable = false;      // may be given, or stand, several times
  bool is_value_optional = false;  // only as --name=value
};

struct VerbInfo {
  std::string name, help;
  std::string footer;  // "Examples:" and more, as --help has it
  std::vector<OptionInfo> options;
  std::vector<VerbInfo> verbs;  // in the order of --help
};

// All of it; the root is zgrid itself. Hidden verbs are left out.
VerbInfo grammar();

// The verb of that name below `parent`; null if there is none.
const VerbInfo* find_verb(const VerbInfo& parent, const std::string& name);

}  // namespace zgrid::cli
