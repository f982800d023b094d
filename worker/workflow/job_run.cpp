#include "worker/workflow/job_run.h"

#include "protocol/base/check.h"

namespace zgrid::worker {

WorkflowRef prompt_workflow() {
  StepDefinition step;
  step.id = "prompt";
  step.accepts = {std::string(kStartEvent)};
  step.emits = {std::string(kStopEvent)};
  Result<Template> text = Template::parse("{{data.text}}");
  ZGRID_CHECK(text.has_value());
  step.prompt = std::move(*text);
  auto workflow = std::make_shared<WorkflowDefinition>();
  workflow->name = std::string(kServicePrompt);
  workflow->steps.push_back(std::move(step));
  return workflow;
}

Result<Json> workflow_input(const Payload& input) {
  Json object = Json::object();
  if (input.data.empty()) return object;
  if (input.tag != PayloadTag::json) {
    object.set("text", text_or_base64(input.data.view()));
    return object;
  }
  Result<Json> parsed = Json::parse(input.data.view());
  if (!parsed) return fail(Errc::bad_input, "the input is not JSON: " + parsed.error().message);
  if (!parsed->is_object()) return fail(Errc::bad_input, "the input is not a JSON object");
  return parsed;
}

}  // namespace zgrid::worker
