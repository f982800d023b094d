#include "worker/workflow/step_output.h"

#include <optional>
#include <utility>

#include "worker/workflow/template.h"

namespace zgrid::worker {
namespace {

// How many bytes a character that begins with this byte has.
size_t utf8_length(unsigned char lead) {
  if (lead >= 0xF0) return 4;
  if (lead >= 0xE0) return 3;
  return lead >= 0xC0 ? 2 : 1;
}

// Whether an answer repeats the job of another request. "job" may be anything in what a program
// says; only an id of a job is taken for one.
bool is_of_another(const Json& answer, const Token& token) {
  const Json* job = answer.is_object() ? answer.find("job") : nullptr;
  const std::optional<JobId> id =
      job != nullptr && job->is_string() ? JobId::parse(*job->as_string()) : std::nullopt;
  if (!id) return false;
  if (*id != token.job) return true;
  const Json* attempt = answer.find("attempt");
  return attempt != nullptr && attempt->is_number() && attempt->as_int() != token.attempt;
}

tl::unexpected<Error> of_another() {
  return fail(Errc::conflict, "its answer names another job or attempt");
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

Result<std::vector<Event>> StepOutputParser::on_piece(std::string_view piece) {
  std::vector<Event> events;
  if (step_->output != StepOutput::events) {
    text_.append(piece);
    return events;
  }
  while (true) {
    const size_t newline = piece.find('\n');
    text_.append(piece.substr(0, newline));
    if (newline == std::string_view::npos) return events;
    piece.remove_prefix(newline + 1);
    ++lines_;
    if (!is_blank(text_)) {
      Result<Event> event = parse_line(text_);
      if (!event) return fail(event.error());
      events.push_back(std::move(*event));
    }
    text_.clear();
  }
}

Result<std::vector<Event>> StepOutputParser::on_end() {
  std::vector<Event> events;
  switch (step_->output) {
    case StepOutput::text: {
      Json data = Json::object();
      data.set("text", is_utf8(text_) ? Json(std::move(text_)) : text_or_base64(text_));
      events.push_back({step_->emits.front(), std::move(data)});
      return events;
    }
    case StepOutput::json: {
      Result<Json> data = Json::parse(text_);
      if (!data) return fail(Errc::bad_input, "its output is not JSON: " + data.error().message);
      events.push_back({step_->emits.front(), std::move(*data)});
      return events;
    }
    case StepOutput::events: return text_.empty() ? std::move(events) : on_piece("\n");
  }
  return events;
}

Result<std::vector<Event>> StepOutputParser::on_answer(std::string line, const Token& token) {
  text_ = std::move(line);
  if (step_->output != StepOutput::events) {
    Result<std::vector<Event>> events = on_end();
    const bool is_json = step_->output == StepOutput::json;
    if (is_json && events && is_of_another(events->front().data, token)) return of_another();
    return events;
  }
  Result<Json> parsed = Json::parse(text_);
  if (!parsed) return fail(Errc::bad_input, "its answer is not JSON: " + parsed.error().message);
  std::vector<Event> events;
  const Json::Array* list = parsed->as_array();
  const size_t count = list == nullptr ? 1 : list->size();
  for (size_t i = 0; i < count; ++i) {
    const Json& answer = list == nullptr ? *parsed : (*list)[i];
    if (is_of_another(answer, token)) return of_another();
    Result<Event> event = to_event(answer, "its answer ");
    if (!event) return fail(event.error());
    events.push_back(std::move(*event));
  }
  return events;
}

Result<Event> StepOutputParser::parse_line(std::string_view line) {
  const std::string where = "line " + std::to_string(lines_) + " of its output ";
  Result<Json> parsed = Json::parse(line);
  if (!parsed) return fail(Errc::bad_input, where + "is not JSON: " + parsed.error().message);
  return to_event(*parsed, where);
}

Result<Event> StepOutputParser::to_event(const Json& value, const std::string& where) const {
  if (!value.is_object()) {
    return fail(Errc::bad_input, where + "is not an object of type and data");
  }
  Event event;
  const Json* type = value.find("type");
  if (type != nullptr && type->is_string() && is_event_type(*type->as_string())) {
    event.type = *type->as_string();
  } else if (type == nullptr && step_->emits.size() == 1) {
    event.type = step_->emits.front();
  } else {
    return fail(Errc::bad_input, where + "has no \"type\" that names an event");
  }
  const Json* data = value.find("data");
  event.data = data != nullptr ? *data : Json::object();
  return event;
}

std::string event_line(const Event& event, const std::vector<std::string>& types,
                       const Json& more) {
  std::string line = "{\"type\":";
  Json(event.type).dump_to(line);
  line += ",\"data\":";
  event.data.dump_to(line);
  if (!types.empty()) {
    Json list = Json::array();
    for (const std::string& type : types) list.push(type);
    line += ",\"types\":";
    list.dump_to(line);
  }
  if (const Json::Object* members = more.as_object()) {
    for (const auto& [name, value] : *members) {
      line += ',';
      Json(name).dump_to(line);
      line += ':';
      value.dump_to(line);
    }
  }
  line += "}\n";
  return line;
}

std::string Utf8Cutter::add(std::string_view piece) {
  std::string text = std::exchange(kept_, {});
  text.append(piece);
  // Find the lead byte of the last character, at most three bytes from the end.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xC0) == 0x80) continue;
    if (utf8_length(byte) > back) {
      kept_ = text.substr(text.size() - back);
      text.resize(text.size() - back);
    }
    break;
  }
  return text;
}

}  // namespace zgrid::worker
