#include "client/cli/programs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace zgrid::cli {
namespace {

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::string in_folder(const std::string& path, const std::string& folder) {
  return path[0] == '/' || folder.empty() ? path : folder + "/" + path;
}

// Programs whose first argument is mostly a script of one's own.
bool is_interpreter(const std::string& program) {
  static constexpr std::array<std::string_view, 9> kNames{
      "sh", "bash", "dash", "python", "python3", "perl", "ruby", "node", "Rscript"};
  const std::string name = program.substr(program.rfind('/') + 1);
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

std::string program_problem(const std::string& program, const std::string& folder,
                            const conf::Environment& env) {
  if (program.find('/') != std::string::npos) {
    const std::string path = in_folder(program, folder);
    if (!is_file(path)) return "there is no program '" + program + "'";
    return ::access(path.c_str(), X_OK) == 0 ? "" : "'" + program + "' is not executable";
  }
  const auto found = env.variables.find("PATH");
  const std::string path = found == env.variables.end() ? "/usr/bin:/bin" : found->second;
  for (size_t at = 0; at <= path.size();) {
    const size_t colon = std::min(path.find(':', at), path.size());
    const std::string candidate = path.substr(at, colon - at) + "/" + program;
    if (is_file(candidate) && ::access(candidate.c_str(), X_OK) == 0) return {};
    at = colon + 1;
  }
  return "there is no program '" + program + "' in PATH";
}

std::vector<ProgramProblem> missing_programs(const worker::WorkflowDefinition& workflow,
                                             const conf::Environment& env) {
  std::vector<ProgramProblem> problems;
  for (const worker::StepDefinition& step : workflow.steps) {
    if (step.run.empty()) continue;
    const std::string& program = step.run.front();
    if (std::string message = program_problem(program, workflow.folder, env); !message.empty()) {
      const bool is_there = message.find("executable") != std::string::npos;
      problems.push_back({step.id, std::move(message),
                          is_there ? "chmod +x " + in_folder(program, workflow.folder)
                                   : "install it, or mend 'run'"});
      continue;
    }
    // "sh build.sh": the step fails as surely as if the program were missing.
    if (step.run.size() < 2 || !is_interpreter(program)) continue;
    const std::string& script = step.run[1];
    if (script.empty() || script[0] == '-' || script.find("{{") != std::string::npos) continue;
    if (!is_file(in_folder(script, workflow.folder))) {
      problems.push_back({step.id, "there is no script '" + script + "' in " + workflow.folder,
                          "put it there, or mend 'run'"});
    }
  }
  return problems;
}

}  // namespace zgrid::cli
