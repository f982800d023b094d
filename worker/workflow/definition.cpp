#include "worker/workflow/definition.h"

#include <algorithm>
#include <set>

#include "conf/toml.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"

namespace zgrid::worker {
namespace {

constexpr std::string_view kReservedWorkflows = "zgrid.";
constexpr std::string_view kReservedVariables = "ZGRID_";

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::string where_is(const WorkflowDefinition& workflow) {
  return "workflow '" + workflow.name + "'";
}

// A template and a check of what its paths may begin with.
std::optional<Template> read_template(conf::TableReader& reader, std::string_view key,
                                      const std::string& text) {
  const conf::Node* node = reader.child(key);
  const int line = node != nullptr ? node->line : 0;
  Result<Template> parsed = Template::parse(text);
  if (!parsed) {
    reader.error(std::string(key) + ": " + parsed.error().message +
                     (parsed.error().hint.empty() ? "" : "; " + parsed.error().hint),
                 line);
    return std::nullopt;
  }
  static const std::set<std::string, std::less<>> kScalars{"type", "job.id", "job.index",
                                                           "job.run"};
  for (const std::string& path : parsed->paths()) {
    const bool is_data = path == "data" || path.substr(0, 5) == "data.";
    if (is_data || kScalars.count(path) > 0) continue;
    reader.error(std::string(key) + ": {{" + path +
                     "}} is unknown; there are data, data.NAME…, type, job.id, job.index, job.run",
                 line);
  }
  return std::move(*parsed);
}

void read_types(conf::TableReader& reader, std::string_view key, std::vector<std::string>& into) {
  const conf::Node* node = reader.child(key);
  if (node == nullptr) return;
  std::vector<std::string> types;
  reader.get(key, types);
  for (std::string& type : types) {
    type = normal_event_type(type);
    if (!is_event_type(type)) {
      reader.error(std::string(key) + ": '" + type + "' is no event type; use letters, digits, _",
                   node->line);
    }
    if (!contains(into, type)) into.push_back(type);
  }
  if (types.empty()) reader.error(std::string(key) + " is empty", node->line);
}

void read_collect(conf::TableReader& reader, StepDefinition& step) {
  const conf::Node* node = reader.child("collect");
  if (node == nullptr) return;
  const auto* word = std::get_if<std::string>(&node->value);
  const auto* number = std::get_if<int64_t>(&node->value);
  if (word != nullptr && *word == "all") {
    step.collect = kCollectAll;
  } else if (number != nullptr && *number >= 1 && *number <= kCollectMax) {
    step.collect = static_cast<uint32_t>(*number);
  } else {
    reader.error("collect is neither \"all\" nor a number from 1 to " + std::to_string(kCollectMax),
                 node->line);
  }
}

void check_variable(conf::TableReader& reader, std::string_view key, const std::string& name) {
  if (name.empty() || name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
    reader.error(std::string(key) + ": '" + name + "' is no name of a variable");
  }
  if (name.substr(0, kReservedVariables.size()) == kReservedVariables) {
    reader.error(std::string(key) + ": '" + name + "': names that begin with ZGRID_ are reserved");
  }
}

void read_program(conf::TableReader& reader, StepDefinition& step) {
  const conf::Node* run = reader.child("run");
  if (run != nullptr && run->array() == nullptr) {
    reader.error("run is no list; write one text for each argument, such as [\"wc\", \"-w\"]",
                 run->line);
  } else {
    reader.get("run", step.run);
    if (run != nullptr && (step.run.empty() || step.run[0].empty())) {
      reader.error("run names no program", run->line);
    }
  }
  std::string input = "event";
  reader.get("stdin", input);
  if (input != "event") step.input = read_template(reader, "stdin", input);
  reader.get("env", step.env);
  for (const auto& [name, value] : step.env) check_variable(reader, "env", name);
  reader.get("pass_env", step.pass_env);
  for (const std::string& name : step.pass_env) check_variable(reader, "pass_env", name);
}

void read_action(conf::TableReader& reader, StepDefinition& step) {
  read_program(reader, step);
  std::string prompt;
  reader.get("prompt", prompt);
  if (reader.has("prompt")) step.prompt = read_template(reader, "prompt", prompt);
  if (const conf::Node* sub = reader.child("workflow")) {
    reader.error("sub-workflows are not offered by this version of zgrid", sub->line);
    return;
  }
  if (reader.has("run") && reader.has("prompt")) {
    reader.error("has both run and prompt; a step does one thing");
  } else if (!reader.has("run") && !reader.has("prompt")) {
    reader.error("has neither run nor prompt; say what it does");
  }
  for (const char* key : {"stdin", "env", "pass_env", "mode"}) {
    if (reader.has("prompt") && reader.has(key)) {
      reader.error(std::string(key) + " is for steps with run, not for prompts");
    }
  }
}

void read_output(conf::TableReader& reader, StepDefinition& step) {
  std::string output = "text";
  reader.get("output", output);
  if (output == "json") {
    step.output = StepOutput::json;
  } else if (output == "events") {
    step.output = StepOutput::events;
  } else if (output != "text") {
    reader.error("output is '" + output + "', not text, json or events");
  }
}

void read_mode(conf::TableReader& reader, StepDefinition& step) {
  std::string mode = "once";
  reader.get("mode", mode);
  step.serve = mode == "serve";
  if (!step.serve && mode != "once") {
    reader.error("mode is '" + mode + "', neither once nor serve");
  }
  reader.get_duration("idle", step.idle_time);
  if (reader.has("idle") && !step.serve) {
    reader.error("idle is for steps with mode = \"serve\": how long a process waits for more");
  }
}

void check_events(conf::TableReader& reader, StepDefinition& step, bool first, bool last) {
  if (step.accepts.empty() && first) step.accepts = {std::string(kStartEvent)};
  if (step.accepts.empty()) {
    reader.error("accepts is missing; only the first step has a default");
  }
  if (step.emits.empty() && last) step.emits = {std::string(kStopEvent)};
  if (step.emits.empty()) reader.error("emits is missing; only the last step has a default");
  if (step.does_accept(kStopEvent)) {
    reader.error("accepts StopEvent, which ends the workflow");
  }
  if (step.does_emit(kStartEvent)) reader.error("emits StartEvent, which only the input is");
  if (step.emits.size() > 1 && step.output != StepOutput::events) {
    reader.error("emits more than one type, which needs output = \"events\"");
  }
}

// Each line names its file and line.
using Problems = std::vector<std::string>;

StepDefinition read_step(const conf::Node& node, const WorkflowDefinition& workflow, bool first,
                         bool last, Problems& problems) {
  std::string id;
  if (const conf::Table* table = node.table()) {
    const auto found = table->find("id");
    const auto* text =
        found == table->end() ? nullptr : std::get_if<std::string>(&found->second.value);
    if (text != nullptr) id = *text;
  }
  conf::TableReader reader(node, workflow.file,
                           where_is(workflow) + (id.empty() ? ", a step" : ", step '" + id + "'"));
  StepDefinition step;
  reader.get("id", step.id);
  if (!is_name(step.id)) {
    reader.error(step.id.empty() ? "id is missing"
                                 : "'" + step.id + "' is no name: [A-Za-z0-9._-], at most 63");
  }
  if (workflow.find(step.id) != nullptr) reader.error("another step has the same id");
  read_types(reader, "accepts", step.accepts);
  read_types(reader, "emits", step.emits);
  read_collect(reader, step);
  read_action(reader, step);
  read_output(reader, step);
  read_mode(reader, step);
  check_events(reader, step, first, last);
  reader.finish_into(problems);
  return step;
}

// What only all steps together show.
void check_flow(const WorkflowDefinition& workflow, Problems& problems) {
  const auto wrong = [&](const std::string& message) {
    problems.push_back(workflow.file + ":" + std::to_string(workflow.line) + ": " +
                       where_is(workflow) + ": " + message);
  };
  std::set<std::string, std::less<>> emitted{std::string(kStartEvent)};
  bool starts = false;
  for (const StepDefinition& step : workflow.steps) {
    emitted.insert(step.emits.begin(), step.emits.end());
    starts = starts || step.does_accept(kStartEvent);
  }
  if (!starts) wrong("no step accepts StartEvent");
  for (const StepDefinition& step : workflow.steps) {
    for (const std::string& type : step.accepts) {
      if (emitted.count(type) > 0) continue;
      wrong("step '" + step.id + "' accepts '" + type + "', which no step emits");
    }
  }
}

// Something incomplete if there are problems.
WorkflowRef read_workflow(const std::string& name, const conf::Node& node, const std::string& file,
                          const std::string& folder, Problems& problems) {
  auto workflow = std::make_shared<WorkflowDefinition>();
  workflow->name = name;
  workflow->file = file;
  workflow->folder = folder;
  workflow->line = node.line;
  conf::TableReader reader(node, file, where_is(*workflow));
  if (!is_name(name)) reader.error("that is no name: [A-Za-z0-9._-], at most 63, not any or all");
  if (name.substr(0, kReservedWorkflows.size()) == kReservedWorkflows) {
    reader.error("names that begin with zgrid. are reserved");
  }
  reader.get("description", workflow->description);
  reader.get_duration("time_limit", workflow->time_limit);
  const conf::Node* steps = reader.child("step");
  const conf::Array* items = steps != nullptr ? steps->array() : nullptr;
  if (items == nullptr || items->empty()) {
    reader.error("has no [[workflow." + name + ".step]]");
  } else if (items->size() > limits::kStepsMax) {
    reader.error("has more than " + std::to_string(limits::kStepsMax) + " steps");
  }
  bool is_sound = reader.finish_into(problems);
  const size_t count = items == nullptr ? 0 : std::min(items->size(), limits::kStepsMax);
  for (size_t i = 0; i < count; ++i) {
    const size_t before = problems.size();
    workflow->steps.push_back(
        read_step((*items)[i], *workflow, i == 0, i + 1 == items->size(), problems));
    is_sound = is_sound && problems.size() == before;
  }
  // Steps that are half understood would only make it complain of each other.
  if (is_sound) check_flow(*workflow, problems);
  return WorkflowRef(std::move(workflow));
}

}  // namespace

bool StepDefinition::does_accept(std::string_view type) const { return contains(accepts, type); }
bool StepDefinition::does_emit(std::string_view type) const { return contains(emits, type); }

const StepDefinition* WorkflowDefinition::find(std::string_view step_id) const {
  for (const StepDefinition& step : steps) {
    if (step.id == step_id) return &step;
  }
  return nullptr;
}

bool WorkflowDefinition::has_prompts() const {
  return std::any_of(steps.begin(), steps.end(),
                     [](const StepDefinition& step) { return step.prompt.has_value(); });
}

std::vector<WorkflowRef> parse_workflows(std::string_view text, const std::string& file,
                                         const std::string& folder,
                                         std::vector<std::string>& problems) {
  Result<conf::Node> document = conf::parse_toml(text, file);
  if (!document) {
    problems.push_back(document.error().message);
    return {};
  }
  conf::TableReader reader(*document, file, "");
  const conf::Node* table = reader.child("workflow");
  const bool has_any = table != nullptr && table->table() != nullptr && !table->table()->empty();
  if (!has_any) reader.error("defines no workflow; begin with [workflow.NAME]", 1);
  reader.finish_into(problems);
  std::vector<WorkflowRef> workflows;
  if (!has_any) return workflows;
  for (const auto& [name, node] : *table->table()) {
    workflows.push_back(read_workflow(name, node, file, folder, problems));
  }
  return workflows;
}

Result<std::vector<WorkflowRef>> parse_workflows(std::string_view text, const std::string& file,
                                                 const std::string& folder) {
  std::vector<std::string> problems;
  auto workflows = parse_workflows(text, file, folder, problems);
  if (!problems.empty()) return fail(Errc::config, problems.front());
  return workflows;
}

}  // namespace zgrid::worker
