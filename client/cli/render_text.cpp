// Text: bare output for scripts, tables and cards for people.
#include <algorithm>

#include "client/cli/live_lines.h"
#include "client/cli/progress.h"
#include "client/cli/renderer.h"
#include "client/cli/text.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

Paint paint_of(JobStatus status) {
  switch (status) {
    case JobStatus::succeeded: return Paint::green;
    case JobStatus::failed:
    case JobStatus::timed_out:
    case JobStatus::aborted:
    case JobStatus::dead_letter: return Paint::red;
    case JobStatus::running:
    case JobStatus::waiting_input: return Paint::yellow;
    case JobStatus::waiting:
    case JobStatus::queued:
    case JobStatus::cancelled: return Paint::none;
  }
  return Paint::none;
}

std::string failure_of(const JobResult& result) {
  std::string text = "job " + short_id(result.entry.job.str());
  if (result.entry.index != 0) text += " (index " + std::to_string(result.entry.index) + ")";
  if (result.worker) text += " on " + result.worker->name;
  text += " " + std::string(status_name(result.status()));
  if (const auto& error = result.entry.outcome.error) {
    if (!error->step.empty()) text += " in step '" + error->step + "'";
    // Neither the state nor the exit code is told twice.
    const std::string& why = error->message;
    if (!why.empty() && why != status_name(result.status())) text += ": " + why;
    if (error->exit_code) {
      const std::string code = "exit code " + std::to_string(*error->exit_code);
      if (why.find(code) == std::string::npos) text += " (" + code + ")";
    }
  }
  return text;
}

// A running job without a sign of life says for how long.
Cell status_cell(const protocol::JobSummary& job) {
  std::string text(status_name(job.status));
  if (!job.wedged) return {std::move(text), paint_of(job.status)};
  return {text + " (wedged " + format_rough(job.idle) + ")", Paint::red};
}

// To the second: 2026-01-31T08:15:00Z.
std::string moment(WallTime time) {
  if (time.us == 0) return "";
  const std::string text = format_rfc3339(time);
  return text.substr(0, text.find('.')) + "Z";
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string state_of(const protocol::WorkerView& worker) {
  const std::string text = !worker.online ? "offline" : worker.draining ? "draining" : "online";
  return worker.wedged == 0 ? text : text + " (" + std::to_string(worker.wedged) + " wedged)";
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string tags_text(const protocol::WorkerView& worker) {
  std::string text;
  for (const auto& [key, value] : worker.tags) {
    text += (text.empty() ? "" : " ") + key + "=" + value;
  }
  return text;
}

std::string list_text(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : " ") + value;
  return text;
}

class TextRenderer : public Renderer {
 public:
  explicit TextRenderer(const Style& style) : style_(style) {}

  void result(const JobResult& result, Layout layout) override {
    end_live(result.entry.job);
    if (layout == Layout::cards) {
      style_.is_terminal ? card(result) : named_lines(result);
    } else if (result.status() == JobStatus::succeeded) {
      std::string output = bare_output(result.entry.output);
      if (style_.is_terminal) output = neutralise(output);
      const bool ends = !output.empty() && output.back() == '\n';
      if (!ends && (style_.is_terminal || layout == Layout::lines)) output += '\n';
      write_out(output);
    }
    if (result.status() != JobStatus::succeeded) explain_failure(result);
  }

  void ended(const JobResult& result) override {
    end_live(result.entry.job);
    if (result.status() != JobStatus::succeeded) explain_failure(result);
  }

  void event(const JobId& job, uint32_t, const JobEvent& event, const std::string& label) override {
    const auto note_line = [&](const std::string& where, const std::string& text) {
      say(label + "[" + for_stderr(where) + "] " + for_stderr(text) + "\n");
    };
    const std::string data = event.data.data.empty() ? "" : bare_output(event.data);
    const std::string where = event.step.empty() ? event.name : event.step;
    switch (event.kind) {
      case EventKind::token: return write_err(live_.add(job, for_stderr(data), label));
      case EventKind::log: return note_line(where, data);
      case EventKind::step: return note_line(where, event.name + (data.empty() ? "" : " " + data));
      case EventKind::status: return note_line("job", event.name);
      case EventKind::gap: return note_line("job", "events were lost here");
      case EventKind::reset: return note_line("job", "a new attempt begins");
    }
  }

  void accepted(const std::vector<JobState>& jobs) override {
    std::string text;
    for (const JobState& job : jobs) text += job.job.str() + "\n";
    write_out(text);
  }
  void cancelled(const std::vector<JobState>& jobs) override {
    for (const JobState& job : jobs) {
      note("job " + short_id(job.job.str()) + ": " + std::string(status_name(job.status)));
    }
  }

  void jobs(const std::vector<protocol::JobSummary>& jobs) override {
    Rows rows{head({"JOB", "NAME", "RUN", "STATUS", "WORKER", "TRY", "QUEUED", "RAN"})};
    for (const protocol::JobSummary& job : jobs) {
      const auto between = [](WallTime from, WallTime to) {
        return from.us == 0 || to.us == 0 ? std::string() : format_span(to - from);
      };
      rows.push_back({{short_id(job.job.str())},
                      {job.head.name},
                      {job.head.run},
                      status_cell(job),
                      {job.worker_name},
                      {job.attempt == 0 ? "" : std::to_string(job.attempt)},
                      {between(job.submitted, job.started)},
                      {between(job.started, job.finished)}});
    }
    print_table(rows);
  }

  void dead_letters(const std::vector<protocol::JobSummary>& jobs) override {
    Rows rows{head({"JOB", "NAME", "RUN", "TRY", "WHEN", "REASON"})};
    for (const protocol::JobSummary& job : jobs) {
      rows.push_back({{short_id(job.job.str()), Paint::bold},
                      {job.head.name},
                      {job.head.run},
                      {std::to_string(job.attempt)},
                      {moment(job.finished)},
                      {first_line(job.reason)}});
    }
    print_table(rows);
  }

  void details(const JobResult& result) override {
    const protocol::ResultEntry& entry = result.entry;
    Rows rows;
    const auto row = [&](const char* name, std::string value, Paint paint = Paint::none) {
      if (!value.empty()) rows.push_back({{name, Paint::dim}, {std::move(value), paint}});
    };
    row("job", entry.job.str(), Paint::bold);
    row("name", result.head.name);
    row("run", result.head.run);
    if (entry.index != 0) row("index", std::to_string(entry.index));
    row("status", std::string(status_name(result.status())), paint_of(result.status()));
    row("attempts", std::to_string(entry.attempt));
    if (result.worker) row("worker", result.worker->name + " on " + result.worker->host);
    row("submitted", moment(entry.submitted));
    row("started", moment(entry.started));
    row("finished", moment(entry.finished));
    if (!entry.retry_of.is_nil()) row("retry of", entry.retry_of.str());
    const auto& error = entry.outcome.error;
    if (error) {
      row("reason", first_line(error->message));
      row("step", error->step);
      if (error->exit_code) row("exit code", std::to_string(*error->exit_code));
    }
    print_table(rows);
    if (!error) return;
    std::string tail;
    for (const std::string_view line : lines_of(error->stderr_tail)) {
      tail += "  " + std::string(line) + "\n";
    }
    write_out(for_stdout(tail));
  }

  void workers(const std::vector<protocol::WorkerView>& workers) override {
    Rows rows{head({"NAME", "HOST", "OS", "ARCH", "STATE", "FREE", "LOAD", "TAGS", "SERVICES"})};
    for (const protocol::WorkerView& worker : workers) {
      const Paint paint = !worker.online || worker.wedged > 0 ? Paint::red
                          : worker.draining                   ? Paint::yellow
                                                              : Paint::green;
      rows.push_back({{worker.facts.name, Paint::bold},
                      {worker.facts.host},
                      {worker.facts.os},
                      {worker.facts.arch},
                      {state_of(worker), paint},
                      {std::to_string(worker.free) + "/" + std::to_string(worker.slots)},
                      {worker.online ? std::to_string((worker.load_permille + 5) / 10) + "%" : ""},
                      {tags_text(worker)},
                      {list_text(worker.services)}});
    }
    print_table(rows);
  }

  void status(const protocol::StatusView& status, const std::string& endpoint) override {
    Rows rows;
    const auto row = [&](const char* name, std::string value, Paint paint = Paint::none) {
      rows.push_back({{name, Paint::dim}, {std::move(value), paint}});
    };
    row("broker", status.broker_name + " at " + endpoint, Paint::bold);
    row("version", status.program_version);
    row("up", format_span(status.uptime));
    row("store", status.durable ? "durable" : "memory: accepted jobs are lost with the broker");
    if (!status.admitting) {
      row("admission",
          "closed: " +
              (status.refusing_reason.empty() ? "the store cannot write" : status.refusing_reason),
          Paint::red);
    }
    if (status.queued_bytes > 0) row("inputs", format_size(status.queued_bytes) + " wait");
    if (status.retained_jobs + status.remembered > 0) {
      row("kept", format_size(status.retained_bytes) + " of " +
                      std::to_string(status.retained_jobs) + " ended, " +
                      std::to_string(status.remembered) + " purged and remembered");
    }
    row("workers", std::to_string(status.workers_online) + " online, " +
                       std::to_string(status.free) + " of " + std::to_string(status.slots) +
                       " slots free");
    for (size_t i = 0; i < status.jobs.size() && i < kJobStatusCount; ++i) {
      const auto state = static_cast<JobStatus>(i);
      if (status.jobs[i] == 0) continue;
      rows.push_back({{std::string(status_name(state)), Paint::dim},
                      {std::to_string(status.jobs[i]), paint_of(state)}});
    }
    print_table(rows);
  }

  void brokers(const std::vector<protocol::FoundBroker>& brokers,
               const std::vector<std::string>& other_grids) override {
    Rows rows{head({"ENDPOINT", "NAME", "EPOCH", "SOURCE"})};
    for (const protocol::FoundBroker& broker : brokers) {
      const bool heard = !broker.store.is_nil();
      rows.push_back({{broker.endpoint, Paint::bold},
                      {broker.name},
                      {heard ? std::to_string(broker.epoch) : ""},
                      {heard ? "beacon" : "configuration"}});
    }
    if (!brokers.empty()) print_table(rows);
    for (const std::string& grid : other_grids) note("another grid was heard: " + grid);
  }

  void facts(const std::string& text, const Json::Object&) override {
    write_out(for_stdout(text) + "\n");
  }

  void views(std::vector<View> views, const Json::Object&) override {
    for (View& view : views) {
      if (!view.text.empty()) write_out(for_stdout(view.text) + "\n");
      if (!view.rows.empty()) print_table(view.rows);
    }
  }
  void line(const std::vector<Cell>& cells, const Json::Object&) override {
    std::string text;
    for (const Cell& cell : cells) {
      if (!text.empty()) text += ' ';
      text += painted(for_stdout(cell.text), cell.paint, style_.colour);
    }
    write_out(text + "\n");
  }

  void note(const std::string& text) override { say("zgrid: " + for_stderr(text) + "\n"); }
  void error(const Error& error) override {
    std::string text =
        painted("zgrid:", Paint::red, style_.notes_colour) + " " + for_stderr(error.message) + "\n";
    if (!error.hint.empty()) text += "  " + for_stderr(error.hint) + "\n";
    say(text);
  }

 private:
  using Rows = std::vector<std::vector<Cell>>;
  static std::vector<Cell> head(std::initializer_list<const char*> names) {
    std::vector<Cell> row;
    for (const char* name : names) row.push_back({name, Paint::dim});
    return row;
  }
  void print_table(Rows& rows) {
    if (style_.is_terminal) {
      for (auto& row : rows) {
        for (Cell& cell : row) cell.text = neutralise_cell(cell.text);
      }
    }
    write_out(table(rows, style_.colour, style_.columns));
  }

  // Whatever is written first ends the line that a job's tokens have begun.
  void say(const std::string& text) { print_err(live_.interrupt() + text); }
  void write_out(const std::string& text) {
    write_err(live_.interrupt());
    print(text);
  }
  static void write_err(const std::string& text) {
    if (!text.empty()) print_err(text);
  }
  void end_live(const JobId& job) { write_err(live_.end(job)); }

  [[nodiscard]] std::string for_stdout(std::string_view text) const {
    return style_.is_terminal ? neutralise(text) : std::string(text);
  }
  [[nodiscard]] std::string for_stderr(std::string_view text) const {
    return style_.notes_on_terminal ? neutralise(text) : std::string(text);
  }

  void explain_failure(const JobResult& result) {
    std::string text = "zgrid: " + for_stderr(failure_of(result)) + "\n";
    if (const auto& error = result.entry.outcome.error) {
      for (const std::string_view line : lines_of(error->stderr_tail)) {
        text += "  " + for_stderr(line) + "\n";
      }
    }
    say(text);
  }

  // NAME: line, for each line of the output.
  void named_lines(const JobResult& result) {
    if (result.status() != JobStatus::succeeded) return;
    const std::string name = result.worker ? result.worker->name : "?";
    const std::string output = bare_output(result.entry.output);
    std::string text;
    for (const std::string_view line : lines_of(output)) {
      text += name + ": " + std::string(line) + "\n";
    }
    write_out(text.empty() ? name + ": \n" : text);
  }

  void card(const JobResult& result) {
    const std::string name = result.worker ? result.worker->name : "?";
    std::string top = painted(neutralise(name), Paint::bold, style_.colour);
    if (result.worker) {
      top += painted("  " + neutralise(result.worker->host + " · " + result.worker->os), Paint::dim,
                     style_.colour);
    }
    top += "  " + painted(status_name(result.status()), paint_of(result.status()), style_.colour);
    top += painted("  " + format_span(result.entry.outcome.run), Paint::dim, style_.colour);
    std::string text = top + "\n";
    if (result.status() == JobStatus::succeeded) {
      const std::string output = neutralise(bare_output(result.entry.output));
      for (const std::string_view line : lines_of(output)) {
        text += "  " + std::string(line) + "\n";
      }
    }
    write_out(text);
  }

  Style style_;
  LiveLines live_;
};

// The same without notes.
class QuietRenderer final : public TextRenderer {
 public:
  using TextRenderer::TextRenderer;
  void note(const std::string&) override {}
};

}  // namespace

std::unique_ptr<Renderer> make_text_renderer(const Style& style) {
  return std::make_unique<TextRenderer>(style);
}
std::unique_ptr<Renderer> make_quiet_renderer(const Style& style) {
  return std::make_unique<QuietRenderer>(style);
}

}  // namespace zgrid::cli
