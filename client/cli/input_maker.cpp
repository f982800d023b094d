#include "client/cli/input_maker.h"

#include "client/cli/input.h"
#include "client/cli/job_result.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

bool has_template(const Json& value) {
  if (const auto* text = value.as_string()) return text->find("{{") != std::string::npos;
  if (const auto* items = value.as_array()) {
    for (const Json& item : *items) {
      if (has_template(item)) return true;
    }
  }
  if (const auto* members = value.as_object()) {
    for (const auto& [name, member] : *members) {
      if (has_template(member)) return true;
    }
  }
  return false;
}

bool is_known(const std::string& path, bool is_bulk) {
  if (path == "data" || path.starts_with("data.")) return true;
  return is_bulk && (path == "job.index" || path == "job.run");
}

Failure too_large(size_t size) {
  return fail(Errc::too_large,
              "the input of " + format_size(size) + " is over the limit of " +
                  format_size(limits::kPayloadBytesMax),
              "pass a path or an address instead of the data");
}

}  // namespace

Result<InputMaker> InputMaker::open(const SubmitCommand& command) {
  InputMaker maker;
  maker.is_bulk_ = command.bulk.is_wanted();
  maker.is_prompt_ = command.kind == JobKind::prompt;
  maker.run_ = command.run;
  const bool is_each = command.bulk.each_line || command.bulk.each_json;
  const bool has_data = command.text || command.input;
  maker.uses_item_ = is_each && !has_data && !maker.is_prompt_;
  Result<void> read;
  if (command.text) read = maker.read_text(*command.text);
  if (command.input) read = maker.read_input(*command.input);
  if (!read) return fail(read.error());
  if (maker.is_prompt_) read = maker.read_prompt(command);
  if (!read) return fail(read.error());
  return maker;
}

Result<worker::Template> InputMaker::parse(const std::string& option, const std::string& text) {
  auto parsed = worker::Template::parse(text);
  if (!parsed) {
    Error error = parsed.error();
    error.message = option + ": " + error.message;
    return fail(std::move(error));
  }
  for (const std::string& path : parsed->paths()) {
    uses_item_ = true;
    if (is_known(path, is_bulk_)) continue;
    return fail(Errc::bad_input, option + ": {{" + path + "}} is unknown",
                is_bulk_ ? "there are data.text (the line), data.NAME… (of a JSON line), job.index "
                           "and job.run; \\{{ is a literal {{"
                         : "there are data.text (of --text) and data.NAME… (of --input); \\{{ is a "
                           "literal {{");
  }
  return parsed;
}

Result<void> InputMaker::read_text(const std::string& argument) {
  auto text = read_argument(argument);
  if (!text) return fail(text.error());
  if (!is_bulk_) {
    fixed_ = Json::object().set("text", text_or_base64(*text));
    return {};
  }
  auto parsed = parse("--text", *text);
  if (!parsed) return fail(parsed.error());
  text_ = std::move(*parsed);
  return {};
}

Result<void> InputMaker::read_input(const std::string& argument) {
  auto text = read_argument(argument);
  if (!text) return fail(text.error());
  auto parsed = Json::parse(*text);
  if (!parsed) {
    return fail(Errc::bad_input, "--input is not JSON: " + parsed.error().message,
                "use --text for plain text");
  }
  if (!is_bulk_ || !has_template(*parsed)) {
    fixed_ = std::move(*parsed);
    fixed_raw_ = std::move(*text);
    return {};
  }
  input_ = std::move(*parsed);
  return parse_strings(*input_);
}

// Those of filled(), in its order.
Result<void> InputMaker::parse_strings(const Json& value) {
  if (const auto* text = value.as_string()) {
    auto parsed = parse("--input", *text);
    if (!parsed) return fail(parsed.error());
    input_texts_.push_back(std::move(*parsed));
  }
  if (const auto* items = value.as_array()) {
    for (const Json& item : *items) {
      if (auto ok = parse_strings(item); !ok) return ok;
    }
  }
  if (const auto* members = value.as_object()) {
    for (const auto& [name, member] : *members) {
      if (auto ok = parse_strings(member); !ok) return ok;
    }
  }
  return {};
}

Result<void> InputMaker::read_prompt(const SubmitCommand& command) {
  auto text = read_argument(command.subject);
  if (!text) return fail(text.error());
  if (!is_utf8(*text)) return fail(Errc::bad_input, "the prompt is not UTF-8 text");
  if (!is_bulk_ && !command.text && !command.input) {
    fixed_prompt_ = std::move(*text);
    return {};
  }
  auto parsed = parse("the prompt", *text);
  if (!parsed) return fail(parsed.error());
  prompt_ = std::move(*parsed);
  return {};
}

// The same with every text rendered; `next` is the place of the next one in input_texts_.
Result<Json> InputMaker::filled(const Json& value, const worker::TemplateScope& scope,
                                size_t& next) const {
  if (value.is_string()) {
    auto rendered = input_texts_[next++].render(scope);
    if (!rendered) return fail(rendered.error());
    return text_or_base64(*rendered);
  }
  if (const auto* items = value.as_array()) {
    Json::Array list;
    for (const Json& item : *items) {
      auto one = filled(item, scope, next);
      if (!one) return one;
      list.push_back(std::move(*one));
    }
    return Json(std::move(list));
  }
  if (const auto* members = value.as_object()) {
    Json::Object object;
    for (const auto& [name, member] : *members) {
      auto one = filled(member, scope, next);
      if (!one) return one;
      object.emplace_back(name, std::move(*one));
    }
    return Json(std::move(object));
  }
  return value;
}

Result<Json> InputMaker::rendered_data(const Item& item, const Json& job) const {
  const worker::TemplateScope scope{{"data", &item.data}, {"job", &job}};
  if (text_) {
    auto text = text_->render(scope);
    if (!text) return fail(text.error());
    return Json::object().set("text", text_or_base64(*text));
  }
  size_t next = 0;
  return filled(*input_, scope, next);
}

Result<Payload> InputMaker::make(const Item& item) const {
  Json job;
  if (text_ || input_ || prompt_) job = Json::object().set("index", item.index).set("run", run_);
  Json own;
  const Json* data = fixed_ ? &*fixed_ : &item.data;
  const std::string* raw = fixed_ ? &fixed_raw_ : &item.raw;
  static const std::string none;
  if (text_ || input_) {
    auto rendered = rendered_data(item, job);
    if (!rendered) return fail(rendered.error());
    own = std::move(*rendered);
    data = &own;
    raw = &none;
  }
  if (is_prompt_) return prompt_payload(*data, job);
  // A worker would refuse it, one job after another.
  if (is_bulk_ && !data->is_object()) {
    return fail(Errc::bad_input, "the input is not a JSON object",
                "write {\"name\": …}, or build one with --input '{\"name\": \"{{data}}\"}'");
  }
  std::string bytes = raw->empty() ? data->dump() : *raw;
  if (bytes.size() > limits::kPayloadBytesMax) return too_large(bytes.size());
  return Payload{PayloadTag::json, Bytes::own(std::move(bytes))};
}

Result<Payload> InputMaker::prompt_payload(const Json& data, const Json& job) const {
  std::string text = fixed_prompt_;
  if (prompt_) {
    auto rendered = prompt_->render({{"data", &data}, {"job", &job}});
    if (!rendered) return fail(rendered.error());
    text = std::move(*rendered);
    if (!is_utf8(text)) return fail(Errc::bad_input, "the prompt is not UTF-8 text");
  }
  Payload payload = text_payload(text);
  if (payload.data.size() > limits::kPayloadBytesMax) return too_large(payload.data.size());
  return payload;
}

}  // namespace zgrid::cli
