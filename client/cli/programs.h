// Whether the programs that workflows run are there, looked for as the worker does.
// Threads: pure but for the file system.
#pragma once

#include <string>
#include <vector>

#include "conf/settings.h"
#include "worker/workflow/definition.h"

namespace zgrid::cli {

// Why a program cannot be started; empty: it can. One without `/` comes from PATH, a relative one
// starts at `folder`.
std::string program_problem(const std::string& program, const std::string& folder,
                            const conf::Environment& env);

struct ProgramProblem {
  std::string step, message, fix;
};
// Of each step that runs a program, what is wrong with that; also with a script that an interpreter
// is given as its first argument.
std::vector<ProgramProblem> missing_programs(const worker::WorkflowDefinition& workflow,
                                             const conf::Environment& env);

}  // namespace zgrid::cli
