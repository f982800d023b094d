// completion, __complete: the script for a shell, and what it asks at each press of TAB.
#include <algorithm>
#include <set>

#include "client/cli/completion.h"
#include "client/cli/session.h"
#include "worker/workflow/definition.h"

namespace zgrid::cli {
namespace {

// Somebody waits with a finger on a key: no answer is better than a late one.
constexpr Millis kAnswerWithin{500};
// More than fit on a screen; the newest.
constexpr uint32_t kJobsShown = 100;
constexpr uint32_t kJobsSearchedForRuns = 1000;

class Grid {
 public:
  explicit Grid(Session& session) : session_(session) {}

  std::vector<Candidate> list(Live live, const std::string& part) {
    switch (live) {
      case Live::none:
      case Live::own_workflows: return {};
      case Live::jobs: return jobs(part, {});
      case Live::open_jobs: return jobs(part, states(false));
      case Live::ended_jobs: return jobs(part, states(true));
      case Live::dead_letters: return jobs(part, {JobStatus::dead_letter});
      case Live::workers: return workers(false);
      case Live::targets: return workers(true);
      case Live::runs: return runs();
      case Live::workflows: return workflows();
      case Live::jobs_and_workers: {
        std::vector<Candidate> all = workers(false);
        for (Candidate& job : jobs(part, {})) all.push_back(std::move(job));
        return all;
      }
    }
    return {};
  }

 private:
  static std::vector<JobStatus> states(bool ended) {
    std::vector<JobStatus> list;
    for (size_t i = 0; i < kJobStatusCount; ++i) {
      const auto status = static_cast<JobStatus>(i);
      if (is_terminal(status) == ended) list.push_back(status);
    }
    return list;
  }
  std::vector<protocol::JobSummary> newest(std::vector<JobStatus> states, uint32_t limit) {
    protocol::Query query;
    query.limit = limit;
    query.states = std::move(states);
    auto answer = session_.ask(std::move(query));
    return answer ? std::move(answer->jobs) : std::vector<protocol::JobSummary>{};
  }
  std::vector<protocol::WorkerView> all_workers() {
    protocol::Query query;
    query.what = protocol::Query::What::workers;
    auto answer = session_.ask(std::move(query));
    if (!answer) return {};
    std::sort(answer->workers.begin(), answer->workers.end(),
              [](const auto& a, const auto& b) { return a.facts.name < b.facts.name; });
    return std::move(answer->workers);
  }

  // The short form is what people see; who has begun with the long one gets that.
  std::vector<Candidate> jobs(const std::string& part, std::vector<JobStatus> states) {
    std::vector<Candidate> list;
    for (const protocol::JobSummary& job : newest(std::move(states), kJobsShown)) {
      const std::string id = job.job.str();
      const std::string tail = short_id(id);
      std::string help = job.head.name + " " + std::string(status_name(job.status));
      if (!job.worker_name.empty()) help += " on " + job.worker_name;
      const bool is_short = tail.compare(0, part.size(), part) == 0;
      list.push_back({is_short ? tail : id, std::move(help)});
    }
    return list;
  }
  std::vector<Candidate> runs() {
    std::vector<Candidate> list;
    std::set<std::string> seen;
    for (const protocol::JobSummary& job : newest({}, kJobsSearchedForRuns)) {
      const std::string& run = job.head.run;
      if (!run.empty() && seen.insert(run).second) list.push_back({run, job.head.name});
    }
    return list;
  }
  std::vector<Candidate> workers(bool with_tags) {
    std::vector<Candidate> list;
    std::set<std::string> tags;
    for (const protocol::WorkerView& worker : all_workers()) {
      const char* state = !worker.online ? "offline" : worker.draining ? "draining" : "online";
      list.push_back({worker.facts.name, worker.facts.host + " " + state});
      for (const auto& [key, value] : worker.tags) tags.insert("tag:" + key + "=" + value);
    }
    if (with_tags) {
      for (const std::string& tag : tags) list.push_back({tag, "workers with this tag"});
    }
    return list;
  }
  std::vector<Candidate> workflows() {
    std::set<std::string> names;
    for (const protocol::WorkerView& worker : all_workers()) {
      if (!worker.online) continue;
      for (const std::string& service : worker.services) {
        if (service.compare(0, kServicePrompt.size(), kServicePrompt) != 0) names.insert(service);
      }
    }
    std::vector<Candidate> list;
    for (const std::string& name : names) list.push_back({name, "workflow"});
    return list;
  }

  Session& session_;
};

// What `run` would offer: the files that are named, and those of the configuration.
std::vector<Candidate> read_files(const App& asking, std::vector<std::string> paths) {
  if (const auto settings = load_settings(asking)) {
    const auto& configured = settings->worker.workflows;
    paths.insert(paths.end(), configured.begin(), configured.end());
  }
  std::vector<Candidate> list{{std::string(kServiceEcho), "returns its input"}};
  if (const auto workflows = worker::read_workflows(paths)) {
    for (const auto& [name, workflow] : *workflows) list.push_back({name, workflow->description});
  }
  return list;
}

// Nothing if no broker answers in time.
std::vector<Candidate> ask_grid(const App& app, const Wanted& wanted) {
  if (wanted.live == Live::none) return {};
  const auto mute = make_quiet_renderer({});
  App asking{app.env, wanted.globals, *mute, app.version, app.host, app.user_host, app.has_left};
  if (wanted.live == Live::own_workflows) return read_files(asking, wanted.workflow_paths);
  asking.globals.timeout = kAnswerWithin;
  auto session = Session::open(asking);
  if (!session) return {};
  return Grid(**session).list(wanted.live, wanted.part);
}

// A tab and a newline have a meaning to the scripts.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\t' || c == '\n'; }, ' ');
  return neutralise(text);
}

}  // namespace

int run(App& app, const CompletionCommand& command) {
  app.out.facts(completion_script(command.shell),
                {{"script", Json(completion_script(command.shell))}});
  return 0;
}

// WORD<tab>HELP for each candidate; ":files<tab>PREFIX" or ":folders<tab>PREFIX" if the rest of the
// word is a path.
int run(App& app, const CompleteCommand& command) {
  const Wanted what = wanted(grammar(), command.words);
  std::vector<Candidate> all = what.fixed;
  for (Candidate& live : ask_grid(app, what)) {
    if (live.text.compare(0, what.part.size(), what.part) == 0) all.push_back(std::move(live));
  }
  std::string text;
  for (const Candidate& candidate : all) {
    text += what.before + one_line(candidate.text) + "\t" + one_line(candidate.help) + "\n";
  }
  if (what.files) text += ":files\t" + what.before + "\n";
  if (what.folders) text += ":folders\t" + what.before + "\n";
  if (!text.empty()) {
    text.pop_back();
    app.out.facts(text, {});
  }
  return 0;
}

}  // namespace zgrid::cli
