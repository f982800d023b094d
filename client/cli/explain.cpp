// explain: why a job is where it is, as the broker tells it.
#include "client/cli/documents.h"
#include "client/cli/progress.h"
#include "client/cli/selection.h"
#include "client/cli/session.h"

namespace zgrid::cli {
namespace {

using Rows = std::vector<std::vector<Cell>>;

std::string text_of(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  return member != nullptr && member->as_string() != nullptr ? *member->as_string() : "";
}
std::optional<int64_t> number_of(const Json& object, std::string_view name) {
  const Json* member = object.find(name);
  return member != nullptr ? member->as_int() : std::nullopt;
}
std::string digits(const Json& object, std::string_view name) {
  return std::to_string(number_of(object, name).value_or(0));
}
std::string duration(int64_t ms) { return format_span(Millis{ms}); }

std::string needs_text(const Json& needs) {
  std::string text = text_of(needs, "service") + " on " + text_of(needs, "on");
  if (const std::string version = text_of(needs, "version"); !version.empty()) {
    text += ", version " + version;
  }
  const Json* alone = needs.find("alone");
  if (alone != nullptr && alone->as_bool().value_or(false)) text += ", alone on its worker";
  return text;
}

std::string spent_text(const Json& spent) {
  std::string text;
  for (const char* state : {"waiting", "queued", "running"}) {
    const auto ms = number_of(spent, state);
    if (!ms || (*ms == 0 && std::string_view(state) == "waiting")) continue;
    text += (text.empty() ? "" : ", ") + std::string(state) + " " + duration(*ms);
  }
  return text;
}

std::string tries_text(const Json& why, const Json& retries) {
  std::string text = digits(why, "attempt");
  const auto add = [&](const char* used, const char* allowed, const char* what) {
    if (number_of(retries, used).value_or(0) == 0) return;
    text += ", " + digits(retries, used) + " of " + digits(retries, allowed) + " " + what;
  };
  add("used", "allowed", "retries used");
  add("losses", "losses_max", "losses");
  return text;
}

std::string queue_text(const Json& queue) {
  std::string text = digits(queue, "same_need") + " of the same need";
  if (number_of(queue, "higher_priority").value_or(0) > 0) {
    text += ", " + digits(queue, "higher_priority") + " of them of a higher priority";
  }
  return text + ", " + digits(queue, "same_run") + " of the same run and priority";
}

Rows about_job(const Json& why) {
  Rows rows;
  const auto row = [&](const char* name, std::string value, Paint paint = Paint::none) {
    if (!value.empty()) rows.push_back({{name, Paint::dim}, {std::move(value), paint}});
  };
  row("job", text_of(why, "job"), Paint::bold);
  row("name", text_of(why, "name"));
  row("run", text_of(why, "run"));
  row("status", text_of(why, "status"));
  row("why", text_of(why, "reason"), Paint::bold);
  row("do", text_of(why, "fix"), Paint::yellow);
  if (const Json* needs = why.find("needs")) row("needs", needs_text(*needs));
  row("worker", text_of(why, "worker"));
  if (const Json* spent = why.find("spent_ms")) row("spent", spent_text(*spent));
  if (const Json* retries = why.find("retries")) row("attempts", tries_text(why, *retries));
  if (const Json* lost = why.find("lost"); lost != nullptr && lost->as_array() != nullptr) {
    for (const Json& one : *lost->as_array()) {
      if (one.as_string() != nullptr) row("lost", *one.as_string());
    }
  }
  if (const auto left = number_of(why, "deadline_in_ms")) row("deadline", "in " + duration(*left));
  const Json* queue = why.find("queue");
  if (queue != nullptr && queue->is_object()) row("queue", queue_text(*queue));
  return rows;
}

std::vector<Cell> about_worker(const Json& worker) {
  std::vector<Cell> row{{text_of(worker, "name"), Paint::bold},
                        {digits(worker, "in_hand") + "/" + digits(worker, "slots")}};
  const Json* score = worker.find("score");
  if (score != nullptr && score->is_object()) {
    const Json* load = score->find("load");
    const double share = load != nullptr ? load->as_double().value_or(0) : 0;
    row.push_back({"candidate " + digits(*score, "rank"), Paint::green});
    row.push_back({"load " + std::to_string(static_cast<int64_t>(share * 100 + 0.5)) + "%, " +
                   digits(*score, "assignments_since") + " assignments since its last"});
  } else {
    row.push_back({text_of(worker, "rule"), Paint::red});
    row.push_back({text_of(worker, "excluded")});
  }
  return row;
}

std::vector<View> views_of(const Json& why) {
  std::vector<View> views{{"", about_job(why)}};
  const Json* workers = why.find("workers");
  if (workers == nullptr || workers->as_array() == nullptr || workers->as_array()->empty()) {
    return views;
  }
  Rows rows{{{"WORKER", Paint::dim},
             {"IN HAND", Paint::dim},
             {"NOW", Paint::dim},
             {"BECAUSE", Paint::dim}}};
  for (const Json& worker : *workers->as_array()) rows.push_back(about_worker(worker));
  views.push_back({"", std::move(rows)});
  if (number_of(why, "workers_left_out").value_or(0) > 0) {
    views.push_back({"and " + digits(why, "workers_left_out") + " more workers", {}});
  }
  return views;
}

}  // namespace

int run(App& app, const ExplainCommand& command) {
  const auto jobs = read_selectors(app, Selection{command.jobs, {}, {}});
  if (!jobs) return fail_with(app, jobs.error());
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  for (const std::string& job : *jobs) {
    protocol::Query query;
    query.what = protocol::Query::What::explain;
    query.selectors = {job};
    auto answer = (*session)->ask(std::move(query));
    if (!answer) return fail_with(app, answer.error());
    const auto parsed = Json::parse(answer->text);
    const Json::Array* list = parsed ? parsed->as_array() : nullptr;
    if (list == nullptr || list->size() != 1 || !list->front().is_object()) {
      return fail_with(app, {Errc::internal, "the broker's explanation cannot be read",
                             "is it of another version? see zgrid doctor", Effect::none, 0});
    }
    app.out.views(views_of(list->front()), *list->front().as_object());
  }
  return 0;
}

}  // namespace zgrid::cli
