// What may stand in place of the last word of a command line: found in the grammar alone, or named
// here for the broker to list.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "client/cli/command.h"
#include "client/cli/grammar.h"

namespace zgrid::cli {

struct Candidate {
  std::string text, help;
};

// What only the broker knows.
enum class Live : uint8_t {
  none,
  jobs,
  open_jobs,  // not ended
  ended_jobs,
  dead_letters,
  workers,
  jobs_and_workers,
  targets,  // of --on: workers and their tags
  runs,
  workflows,
  own_workflows  // of a private grid, which no broker knows: those of `workflow_paths`
};

struct Wanted {
  std::vector<Candidate> fixed;  // verbs, options and values that begin with `part`
  Live live = Live::none;
  bool files = false, folders = false;  // a path, which the shell completes best
  std::string before, part;             // the last word: what stays as it is, and what to complete
  Globals globals;                      // of the words before: which grid to ask
  std::vector<std::string> workflow_paths;  // of --workflows before
};

// `words` after "zgrid"; the last one, which may be empty, is to be completed. None: every verb.
Wanted wanted(const VerbInfo& root, std::vector<std::string> words);

// The values that an option takes, if those are few: --color has auto, always, never.
const std::vector<Candidate>& values_of(const std::string& option);

// The script for a shell; it asks `zgrid __complete -- WORD…`.
std::string completion_script(Shell shell);

}  // namespace zgrid::cli
