// How a command tells what it found: as text, as JSON, or as text without notes.
// Results go to stdout, everything else to stderr. A closed stdout ends the process silently.
// Threads: one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/cli/documents.h"
#include "client/cli/job_result.h"
#include "client/cli/text.h"
#include "conf/settings.h"

namespace zgrid::cli {

struct Style {
  bool json = false;
  bool quiet = false;
  bool colour = false;             // on stdout
  bool is_terminal = false;        // stdout is one
  bool notes_on_terminal = false;  // stderr is one
  bool notes_colour = false;       // on stderr
  size_t columns = 0;              // of stdout's terminal; 0: no limit
};

// How the outputs of several jobs are shown.
enum class Layout : uint8_t {
  bare,   // one after the other
  lines,  // each ended by a newline, also where the output has none
  cards,  // a card each, with the worker: on a terminal; "NAME: line" in a pipe
};

// A part of what a command shows as text: lines, then a table.
struct View {
  std::string text;
  std::vector<std::vector<Cell>> rows;
};

class Renderer {
 public:
  virtual ~Renderer() = default;

  // The end of a job: its output on stdout, why it failed on stderr.
  virtual void result(const JobResult& result, Layout layout) = 0;
  // That it ended, for commands that print no output.
  virtual void ended(const JobResult& result) = 0;
  // As text, each line begins with `label`: "[7] ", or nothing if there is only one job.
  virtual void event(const JobId& job, uint32_t attempt, const JobEvent& event,
                     const std::string& label) = 0;
  // Ids of accepted jobs.
  virtual void accepted(const std::vector<JobState>& jobs) = 0;
  virtual void cancelled(const std::vector<JobState>& jobs) = 0;
  virtual void jobs(const std::vector<protocol::JobSummary>& jobs) = 0;
  // The dead-letter list.
  virtual void dead_letters(const std::vector<protocol::JobSummary>& jobs) = 0;
  // All that is known of a job that ended.
  virtual void details(const JobResult& result) = 0;
  virtual void workers(const std::vector<protocol::WorkerView>& workers) = 0;
  virtual void status(const protocol::StatusView& status, const std::string& endpoint) = 0;
  virtual void brokers(const std::vector<protocol::FoundBroker>& brokers,
                       const std::vector<std::string>& other_grids) = 0;
  // One line of text, or a document with these members in order.
  virtual void facts(const std::string& text, const Json::Object& members) = 0;
  // Several parts, or a document with these members.
  virtual void views(std::vector<View> views, const Json::Object& members) = 0;
  // One line of a stream: cells with a blank between them, or a document of its own.
  virtual void line(const std::vector<Cell>& cells, const Json::Object& members) = 0;

  // One sentence on stderr that is no error.
  virtual void note(const std::string& text) = 0;
  virtual void error(const Error& error) = 0;

  // Errc::io if something could not be written to stdout (a full disk, say).
  [[nodiscard]] Result<void> finish() const;

 protected:
  // Writes all of it to stdout, with one call where the kernel takes it: no other process comes
  // between. If the reader has closed the pipe, dies by SIGPIPE.
  void print(std::string_view text);
  static void print_err(std::string_view text);

 private:
  int write_errno_ = 0;
};

std::unique_ptr<Renderer> make_renderer(const Style& style);
// The parts of make_renderer.
std::unique_ptr<Renderer> make_text_renderer(const Style& style);
std::unique_ptr<Renderer> make_quiet_renderer(const Style& style);
std::unique_ptr<Renderer> make_json_renderer(const Style& style);

}  // namespace zgrid::cli
