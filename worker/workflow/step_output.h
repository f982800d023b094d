// Turns the stdout of a step into the events that it stands for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/job.h"
#include "worker/workflow/definition.h"

namespace zgrid::worker {

class StepOutputParser {
 public:
  explicit StepOutputParser(const StepDefinition& step) : step_(&step) {}

  // What is complete now; only output = "events" gives any before the end. Errc::bad_input for
  // what is not as declared; feed nothing after that.
  Result<std::vector<Event>> on_piece(std::string_view piece);
  // After an exit with code 0.
  Result<std::vector<Event>> on_end();
  // Instead: the one line that a kept process answers with. With output = "events" it is an event
  // or a list of events. Errc::conflict if it says by "job" and "attempt" that it is another one's.
  Result<std::vector<Event>> on_answer(std::string line, const Token& token);

 private:
  Result<Event> parse_line(std::string_view line);
  Result<Event> to_event(const Json& value, const std::string& where) const;

  const StepDefinition* step_;
  std::string text_;  // all of it, or of events the line that is not complete yet
  size_t lines_ = 0;
};

// {"type": …, "data": …} and a newline; `types` is added for a step that collects, and the members
// of `more`, an object, for whom they are of use.
std::string event_line(const Event& event, const std::vector<std::string>& types,
                       const Json& more = Json::object());

// Cuts a stream of bytes where no UTF-8 character is split.
class Utf8Cutter {
 public:
  // What can be passed on now; at most three bytes are kept back.
  std::string add(std::string_view piece);
  std::string rest() { return std::exchange(kept_, {}); }

 private:
  std::string kept_;
};

}  // namespace zgrid::worker
