// What travels between the steps of a workflow.
#pragma once

#include <string>
#include <string_view>

#include "protocol/json.h"

namespace zgrid::worker {

inline constexpr std::string_view kStartEvent = "StartEvent";
inline constexpr std::string_view kStopEvent = "StopEvent";

struct Event {
  std::string type;
  Json data;
  friend bool operator==(const Event&, const Event&) = default;
};

// "blazen::StartEvent" -> "StartEvent": the prefix of another system's own events is accepted.
inline std::string normal_event_type(std::string_view type) {
  static constexpr std::string_view kPrefix = "blazen::";
  if (type.substr(0, kPrefix.size()) == kPrefix) type.remove_prefix(kPrefix.size());
  return std::string(type);
}

// True for [A-Za-z_][A-Za-z0-9_.:-]{0,126}.
bool is_event_type(std::string_view type);

}  // namespace zgrid::worker
