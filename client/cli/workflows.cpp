// workflows, workflow check: what the grid offers, and whether a file is right.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "client/cli/programs.h"
#include "client/cli/session.h"
#include "protocol/base/units.h"
#include "worker/workflow/definition.h"

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<Cell>>;

// ---- workflows ------------------------------------------------------------------------

struct Offer {
  std::string name;  // of the service; of prompts only what follows zgrid.prompt
  bool is_prompt = false;
  std::vector<const protocol::WorkerView*> workers;
};

// A provider is offered in up to four ways; the one that says most stands for all.
bool says_less(const std::string& service, const std::vector<std::string>& all) {
  const std::string base(kServicePrompt);
  if (service == base || service.compare(0, base.size() + 1, base + "/") == 0) {
    return std::any_of(all.begin(), all.end(), [&](const std::string& other) {
      return other.compare(0, base.size() + 1, base + "@") == 0;
    });
  }
  return std::any_of(all.begin(), all.end(), [&](const std::string& other) {
    return other.compare(0, service.size() + 1, service + "/") == 0;
  });
}

std::vector<Offer> offers_of(const std::vector<protocol::WorkerView>& workers) {
  std::map<std::string, Offer> offers;
  for (const protocol::WorkerView& worker : workers) {
    if (!worker.online) continue;
    for (const std::string& service : worker.services) {
      const bool is_prompt = service.compare(0, kServicePrompt.size(), kServicePrompt) == 0;
      if (is_prompt && says_less(service, worker.services)) continue;
      Offer& offer = offers[service];
      offer.is_prompt = is_prompt;
      offer.name = is_prompt ? service.substr(kServicePrompt.size()) : service;
      offer.workers.push_back(&worker);
    }
  }
  std::vector<Offer> list;
  for (auto& [service, offer] : offers) list.push_back(std::move(offer));
  std::stable_sort(list.begin(), list.end(),
                   [](const Offer& a, const Offer& b) { return a.is_prompt < b.is_prompt; });
  return list;
}

void show_offers(App& app, const std::vector<Offer>& offers) {
  Rows rows{
      {{"NAME", Paint::dim}, {"KIND", Paint::dim}, {"FREE", Paint::dim}, {"WORKERS", Paint::dim}}};
  Json list = Json::array();
  for (const Offer& offer : offers) {
    uint64_t free = 0;
    uint64_t slots = 0;
    std::string names;
    Json workers = Json::array();
    for (const protocol::WorkerView* worker : offer.workers) {
      free += worker->free;
      slots += worker->slots;
      names +=
          (names.empty() ? "" : " ") + worker->facts.name + (worker->draining ? "(drains)" : "");
      workers.push(Json::object()
                       .set("id", worker->facts.id.str())
                       .set("name", worker->facts.name)
                       .set("draining", worker->draining)
                       .set("slots", worker->slots)
                       .set("free", worker->free));
    }
    const char* kind = offer.is_prompt ? "prompt" : "workflow";
    const std::string name = offer.name.empty() ? "(default)" : offer.name;
    rows.push_back({{name, Paint::bold},
                    {kind},
                    {std::to_string(free) + "/" + std::to_string(slots)},
                    {names}});
    list.push(Json::object()
                  .set("name", offer.name)
                  .set("kind", kind)
                  .set("slots", slots)
                  .set("free", free)
                  .set("workers", std::move(workers)));
  }
  app.out.views({{"", std::move(rows)}}, {{"workflows", std::move(list)}});
}

// ---- workflow check -------------------------------------------------------------------

struct Checked {
  std::vector<std::string> errors, warnings;  // each names its file and line
  std::vector<worker::WorkflowRef> workflows;
};

Result<std::vector<std::string>> files_of(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return fail(Errc::not_found, "no file '" + path + "'");
  if (!fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (entry.path().extension() == ".toml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) return fail(Errc::not_found, "no *.toml in the folder '" + path + "'");
  return files;
}

// "FILE:12: …" by its line.
long line_of(const std::string& problem, const std::string& file) {
  if (problem.compare(0, file.size() + 1, file + ":") != 0) return 0;
  return std::strtol(problem.c_str() + file.size() + 1, nullptr, 10);
}

Result<void> check_file(const App& app, const std::string& file, Checked& into) {
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream.good() && !stream.eof()) return fail(Errc::not_found, "cannot read '" + file + "'");
  std::error_code ignored;
  const std::string folder = fs::absolute(fs::path(file).parent_path(), ignored).string();
  std::vector<std::string> problems;
  auto workflows = worker::parse_workflows(text, file, folder, problems);
  std::stable_sort(problems.begin(), problems.end(), [&](const auto& a, const auto& b) {
    return line_of(a, file) < line_of(b, file);
  });
  const bool is_sound = problems.empty();
  into.errors.insert(into.errors.end(), problems.begin(), problems.end());
  if (!is_sound) return {};
  for (worker::WorkflowRef& workflow : workflows) {
    for (const ProgramProblem& problem : missing_programs(*workflow, app.env)) {
      into.warnings.push_back(file + ":" + std::to_string(workflow->line) + ": workflow '" +
                              workflow->name + "', step '" + problem.step +
                              "': " + problem.message + " on this machine; " + problem.fix);
    }
    into.workflows.push_back(std::move(workflow));
  }
  return {};
}

// A name that two files define cannot be read by one worker.
void check_names(Checked& checked) {
  std::map<std::string, const worker::WorkflowDefinition*> seen;
  for (const worker::WorkflowRef& workflow : checked.workflows) {
    const auto [it, is_new] = seen.try_emplace(workflow->name, workflow.get());
    if (is_new) continue;
    checked.errors.push_back(workflow->file + ":" + std::to_string(workflow->line) +
                             ": workflow '" + workflow->name + "' is also defined in " +
                             it->second->file + ":" + std::to_string(it->second->line));
  }
}

Json problems_json(const std::vector<std::string>& problems) {
  Json list = Json::array();
  for (const std::string& problem : problems) list.push(problem);
  return list;
}

void show_checked(App& app, const Checked& checked) {
  View view;
  Json list = Json::array();
  for (const worker::WorkflowRef& workflow : checked.workflows) {
    Json steps = Json::array();
    std::string ids;
    for (const worker::StepDefinition& step : workflow->steps) {
      ids += (ids.empty() ? "" : ", ") + step.id;
      steps.push(step.id);
    }
    const int64_t limit = workflow->time_limit.count();
    view.rows.push_back({{workflow->name, Paint::bold},
                         {std::to_string(workflow->steps.size()) +
                          (workflow->steps.size() == 1 ? " step: " : " steps: ") + ids},
                         {limit > 0 ? "at most " + format_duration(workflow->time_limit) : ""}});
    list.push(Json::object()
                  .set("name", workflow->name)
                  .set("file", workflow->file)
                  .set("line", workflow->line)
                  .set("steps", std::move(steps))
                  .set("time_limit_ms", limit > 0 ? Json(limit) : Json()));
  }
  for (const std::string& error : checked.errors) {
    app.out.error({Errc::config, error, {}, Effect::none, 0});
  }
  // With errors the sound ones would only hide them.
  if (!checked.errors.empty()) view.rows.clear();
  for (const std::string& warning : checked.warnings) app.out.note(warning);
  app.out.views({std::move(view)}, {{"valid", Json(checked.errors.empty())},
                                    {"errors", problems_json(checked.errors)},
                                    {"warnings", problems_json(checked.warnings)},
                                    {"workflows", std::move(list)}});
}

}  // namespace

int run(App& app, const WorkflowsCommand&) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  protocol::Query query;
  query.what = protocol::Query::What::workers;
  auto answer = (*session)->ask(std::move(query));
  if (!answer) return fail_with(app, answer.error());
  const auto online = std::count_if(answer->workers.begin(), answer->workers.end(),
                                    [](const auto& worker) { return worker.online; });
  std::sort(answer->workers.begin(), answer->workers.end(),
            [](const auto& a, const auto& b) { return a.facts.name < b.facts.name; });
  if (online == 0) app.out.note("no worker is online: nothing is offered; start one: zgrid worker");
  show_offers(app, offers_of(answer->workers));
  return 0;
}

int run(App& app, const WorkflowCheckCommand& command) {
  Checked checked;
  for (const std::string& path : command.paths) {
    const auto files = files_of(path);
    if (!files) return fail_with(app, files.error());
    for (const std::string& file : *files) {
      if (auto read = check_file(app, file, checked); !read) return fail_with(app, read.error());
    }
  }
  check_names(checked);
  show_checked(app, checked);
  return checked.errors.empty() ? 0 : exit_code(Errc::config);
}

}  // namespace zgrid::cli
