// Workflows as their files define them (docs/operations.md, "A worker's workflow file").
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"
#include "worker/workflow/event.h"
#include "worker/workflow/template.h"

namespace zgrid::worker {

inline constexpr uint32_t kCollectAll = UINT32_MAX;
inline constexpr uint32_t kCollectMax = 1'000'000;  // events that a step may wait for

// How long a kept process (mode = "serve") waits for its next request: longer than the pauses of
// people at work, short enough that what a machine no longer needs does not fill its memory.
inline constexpr Millis kIdleTime{5 * 60'000};

enum class StepOutput : uint8_t { text, json, events };

struct StepDefinition {
  std::string id;
  std::vector<std::string> accepts, emits;  // normalised event types
  uint32_t collect = 0;                     // 0: each event alone
  // Either a program…
  std::vector<std::string> run;
  std::optional<Template> input;  // stdin; none: the event as one JSON line
  std::map<std::string, std::string> env;
  std::vector<std::string> pass_env;
  bool serve = false;           // one process for many requests
  Millis idle_time{kIdleTime};  // of such a process; zero: it stays
  // …or a prompt for the worker's default provider.
  std::optional<Template> prompt;
  StepOutput output = StepOutput::text;

  [[nodiscard]] bool does_accept(std::string_view type) const;
  [[nodiscard]] bool does_emit(std::string_view type) const;
};

struct WorkflowDefinition {
  std::string name, description;
  std::string file, folder;  // where it was read; the folder is where its programs run
  int line = 0;
  Millis time_limit{0};
  std::vector<StepDefinition> steps;

  [[nodiscard]] const StepDefinition* find(std::string_view step_id) const;
  [[nodiscard]] bool has_prompts() const;
};
using WorkflowRef = std::shared_ptr<const WorkflowDefinition>;

// All workflows of one file, checked. Errc::config with file and line; Errc::not_found.
Result<std::vector<WorkflowRef>> read_workflow_file(const std::string& path);
// The same for text that is already in memory; programs run in `folder`.
Result<std::vector<WorkflowRef>> parse_workflows(std::string_view text, const std::string& file,
                                                 const std::string& folder);
// The same with every problem, each naming its file and line; with any, what is returned is no good
// for more than a look.
std::vector<WorkflowRef> parse_workflows(std::string_view text, const std::string& file,
                                         const std::string& folder,
                                         std::vector<std::string>& problems);

// Workflows by name.
using WorkflowMap = std::map<std::string, WorkflowRef, std::less<>>;
// `paths` are files, or folders whose *.toml are read in the order of their names. A name that
// two files define is an error naming both.
Result<WorkflowMap> read_workflows(const std::vector<std::string>& paths);

}  // namespace zgrid::worker
