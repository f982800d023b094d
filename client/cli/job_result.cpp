#include "client/cli/job_result.h"

#include <algorithm>
#include <array>

namespace zgrid::cli {
namespace {

// The bytes of {"$base64": "…"}, if it is that.
std::optional<std::string> bytes_of_base64(const Json& value) {
  const auto* object = value.as_object();
  if (object == nullptr || object->size() != 1 || object->front().first != "$base64") {
    return std::nullopt;
  }
  const std::string* text = object->front().second.as_string();
  return text == nullptr ? std::nullopt : base64_decode(*text);
}

}  // namespace

JobResult JobResult::take(const client::ResultView& view) {
  return {std::move(view.entry), view.head, view.worker};
}

Json text_or_base64(std::string_view bytes) {
  if (is_utf8(bytes)) return Json(bytes);
  return Json::object().set("$base64", base64_encode(bytes));
}

Json data_of(const Payload& payload) {
  if (payload.tag == PayloadTag::json) {
    if (payload.data.empty()) return {};
    if (auto parsed = Json::parse(payload.data.view())) return std::move(*parsed);
  }
  // Also what claims to be JSON and is not: shown, never dropped.
  return Json::object().set("text", text_or_base64(payload.data.view()));
}

std::string bare_output(const Payload& payload) {
  if (payload.tag != PayloadTag::json) return payload.data.str();
  const auto parsed = Json::parse(payload.data.view());
  if (!parsed) return payload.data.str();
  if (auto bytes = bytes_of_base64(*parsed)) return std::move(*bytes);
  const auto* object = parsed->as_object();
  if (object == nullptr || object->size() != 1 || object->front().first != "text") {
    return payload.data.str();
  }
  const Json& text = object->front().second;
  if (const std::string* plain = text.as_string()) return *plain;
  if (auto bytes = bytes_of_base64(text)) return std::move(*bytes);
  return payload.data.str();
}

int exit_of(JobStatus status) {
  switch (status) {
    case JobStatus::succeeded: return 0;
    case JobStatus::failed:
    case JobStatus::timed_out: return 1;
    case JobStatus::cancelled:
    case JobStatus::aborted: return 3;
    case JobStatus::dead_letter: return 4;
    case JobStatus::waiting:
    case JobStatus::queued:
    case JobStatus::running:
    case JobStatus::waiting_input: return exit_code(Errc::not_ready);
  }
  return exit_code(Errc::internal);
}

int fold_exits(std::span<const int> exits) {
  for (const int wanted : {4, 1, 3}) {
    if (std::find(exits.begin(), exits.end(), wanted) != exits.end()) return wanted;
  }
  return exits.empty() ? 0 : *std::max_element(exits.begin(), exits.end());
}
int fold_exits(std::initializer_list<int> exits) {
  return fold_exits(std::span<const int>(exits.begin(), exits.size()));
}

}  // namespace zgrid::cli
