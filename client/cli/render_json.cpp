// One document, or JSON Lines for streams.
#include "client/cli/renderer.h"

namespace zgrid::cli {
namespace {

class JsonRenderer final : public Renderer {
 public:
  explicit JsonRenderer(const Style& style) : style_(style) {}

  void result(const JobResult& result, Layout) override { line(result_document(result)); }
  void ended(const JobResult& result) override { line(result_document(result)); }
  void event(const JobId& job, uint32_t attempt, const JobEvent& event,
             const std::string&) override {
    line(event_document(job, attempt, event));
  }
  void accepted(const std::vector<JobState>& jobs) override { line(states_document(jobs)); }
  void cancelled(const std::vector<JobState>& jobs) override { line(states_document(jobs)); }
  void jobs(const std::vector<protocol::JobSummary>& jobs) override { line(jobs_document(jobs)); }
  void dead_letters(const std::vector<protocol::JobSummary>& jobs) override {
    line(jobs_document(jobs));
  }
  void details(const JobResult& result) override { line(result_document(result)); }
  void workers(const std::vector<protocol::WorkerView>& workers) override {
    line(workers_document(workers));
  }
  void status(const protocol::StatusView& status, const std::string& endpoint) override {
    Json document = status_document(status);
    document.set("endpoint", endpoint);
    line(document);
  }
  void brokers(const std::vector<protocol::FoundBroker>& brokers,
               const std::vector<std::string>& other_grids) override {
    line(brokers_document(brokers, other_grids));
  }
  void facts(const std::string&, const Json::Object& members) override {
    Json document = Json::object().set("schema", Json(kSchema));
    for (const auto& [name, value] : members) document.set(name, value);
    line(document);
  }
  void views(std::vector<View>, const Json::Object& members) override { facts("", members); }
  void line(const std::vector<Cell>&, const Json::Object& members) override { facts("", members); }
  void note(const std::string& text) override {
    if (style_.quiet) return;
    print_err("zgrid: " + (style_.notes_on_terminal ? neutralise(text) : text) + "\n");
  }
  void error(const Error& error) override {
    const std::string text = error_document(error).dump();
    print_err((style_.notes_on_terminal ? neutralise_json(text) : text) + "\n");
  }

 private:
  void line(const Json& document) {
    const std::string text = document.dump();
    print((style_.is_terminal ? neutralise_json(text) : text) + "\n");
  }
  Style style_;
};

}  // namespace

std::unique_ptr<Renderer> make_json_renderer(const Style& style) {
  return std::make_unique<JsonRenderer>(style);
}

}  // namespace zgrid::cli
