#include "protocol/job.h"

#include <algorithm>
#include <array>

#include "protocol/base/units.h"

namespace zgrid {
namespace {

constexpr std::array<std::string_view, kJobStatusCount> kStatusNames{
    "waiting", "queued",    "running",   "waiting_input", "succeeded",
    "failed",  "timed_out", "cancelled", "aborted",       "dead_letter"};

// Splits at commas; an empty part makes the whole invalid.
std::optional<std::vector<std::string>> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    if (part.empty()) return std::nullopt;
    parts.emplace_back(part);
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

std::optional<Target> parse_tags(std::string_view text) {
  const auto parts = split_list(text);
  if (!parts) return std::nullopt;
  Target target;
  target.mode = Target::Mode::tags;
  for (const std::string& part : *parts) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0) return std::nullopt;
    target.tags.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  std::sort(target.tags.begin(), target.tags.end());
  return target;
}

}  // namespace

std::string_view kind_name(JobKind kind) {
  switch (kind) {
    case JobKind::workflow: return "workflow";
    case JobKind::prompt: return "prompt";
    case JobKind::plan: return "plan";
    case JobKind::broadcast: return "broadcast";
  }
  return "unknown";
}

std::string_view status_name(JobStatus status) {
  const auto i = static_cast<size_t>(status);
  return i < kStatusNames.size() ? kStatusNames[i] : "unknown";
}

std::optional<JobStatus> parse_status(std::string_view name) {
  const auto* found = std::find(kStatusNames.begin(), kStatusNames.end(), name);
  if (found == kStatusNames.end()) return std::nullopt;
  return static_cast<JobStatus>(found - kStatusNames.begin());
}

std::optional<Target> parse_target(std::string_view text) {
  Target target;
  if (text == "any") return target;
  if (text == "all") {
    target.mode = Target::Mode::all;
    return target;
  }
  if (text.substr(0, 4) == "tag:") return parse_tags(text.substr(4));
  auto names = split_list(text);
  if (!names || !std::all_of(names->begin(), names->end(), [](auto& n) { return is_name(n); })) {
    return std::nullopt;
  }
  target.mode = Target::Mode::names;
  target.names = std::move(*names);
  return target;
}

std::string format_target(const Target& target) {
  std::string text;
  switch (target.mode) {
    case Target::Mode::any: return "any";
    case Target::Mode::all: return "all";
    case Target::Mode::names:
      for (const std::string& name : target.names) text += (text.empty() ? "" : ",") + name;
      return text;
    case Target::Mode::tags:
      for (const auto& [key, value] : target.tags) {
        text += (text.empty() ? "tag:" : ",") + key + "=" + value;
      }
      return text;
  }
  return text;
}

std::string_view job_error_name(JobErrorKind kind) {
  switch (kind) {
    case JobErrorKind::internal: return "internal";
    case JobErrorKind::workflow: return "workflow";
    case JobErrorKind::timeout: return "timeout";
    case JobErrorKind::cancelled: return "cancelled";
    case JobErrorKind::unknown_workflow: return "unknown_workflow";
    case JobErrorKind::unknown_step: return "unknown_step";
    case JobErrorKind::validation: return "validation";
    case JobErrorKind::unsupported: return "unsupported";
    case JobErrorKind::provider: return "provider";
    case JobErrorKind::transport: return "transport";
    case JobErrorKind::envelope_version: return "envelope_version";
    case JobErrorKind::auth: return "auth";
    case JobErrorKind::collect_incomplete: return "collect_incomplete";
    case JobErrorKind::output_too_large: return "output_too_large";
    case JobErrorKind::worker_lost: return "worker_lost";
    case JobErrorKind::workflow_changed: return "workflow_changed";
    case JobErrorKind::need_failed: return "need_failed";
    case JobErrorKind::budget: return "budget";
    case JobErrorKind::spawn: return "spawn";
  }
  return "internal";
}

}  // namespace zgrid
