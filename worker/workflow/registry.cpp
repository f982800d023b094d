// Where workflow files are found and read.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "worker/workflow/definition.h"

namespace zgrid::worker {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kFileBytesMax = 4u << 20;  // a workflow file is written by a person

Failure cannot_read(const std::string& path, const std::string& why) {
  return fail(Errc::config, "cannot read workflows from '" + path + "': " + why,
              "name a file or a folder of *.toml in worker.workflows or with --workflows");
}

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error || !fs::exists(status)) {
    return cannot_read(path, error ? error.message() : "no such file or folder");
  }
  if (!fs::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::directory_iterator entry(path, error);
  while (!error && entry != fs::directory_iterator()) {
    if (entry->path().extension() == ".toml" && entry->path().filename().string()[0] != '.') {
      files.push_back(entry->path().string());
    }
    entry.increment(error);
  }
  if (error) return cannot_read(path, error.message());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

Result<std::vector<WorkflowRef>> read_workflow_file(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    return fail(Errc::not_found, "there is no file '" + path + "'");
  }
  const uintmax_t size = fs::file_size(path, error);
  if (!error && size > kFileBytesMax) return cannot_read(path, "it is larger than 4 MiB");
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.good() && !file.eof()) return cannot_read(path, "it cannot be opened");
  // Absolute, because programs find themselves by it after the worker changed its folder.
  fs::path folder = fs::absolute(path, error).parent_path();
  return parse_workflows(text, path, folder.string());
}

Result<WorkflowMap> read_workflows(const std::vector<std::string>& paths) {
  WorkflowMap all;
  for (const std::string& path : paths) {
    const Result<std::vector<std::string>> files = files_of(path);
    if (!files) return fail(files.error());
    for (const std::string& file : *files) {
      Result<std::vector<WorkflowRef>> workflows = read_workflow_file(file);
      if (!workflows) return fail(workflows.error());
      for (WorkflowRef& workflow : *workflows) {
        const auto [existing, added] = all.emplace(workflow->name, workflow);
        if (added) continue;
        return fail(Errc::config,
                    workflow->file + ":" + std::to_string(workflow->line) + ": workflow '" +
                        workflow->name + "' is also defined at " + existing->second->file + ":" +
                        std::to_string(existing->second->line),
                    "give one of them another name");
      }
    }
  }
  return all;
}

}  // namespace zgrid::worker
