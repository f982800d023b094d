// The result of one job as the command line handles it, and what of it people and scripts see.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "client/connection.h"
#include "protocol/json.h"

namespace zgrid::cli {

// Owns what client::ResultView refers to.
struct JobResult {
  protocol::ResultEntry entry;
  protocol::JobHead head;
  WorkerFactsRef worker;  // null: none ever had it
  static JobResult take(const client::ResultView& view);
  [[nodiscard]] JobStatus status() const { return entry.outcome.status; }
};

// The terminal event's data as JSON: bytes that are not UTF-8 become {"$base64": …}.
Json data_of(const Payload& payload);
// What `submit` prints: data.text byte for byte if that is its only key, else the data as JSON.
std::string bare_output(const Payload& payload);
// A text, or {"$base64": …} for bytes that are not UTF-8.
Json text_or_base64(std::string_view bytes);

// 0, 1, 3, 4 as docs/protocol.md says.
int exit_of(JobStatus status);
// Of several jobs the first of 4, 1, 3, 0 that occurs.
int fold_exits(std::span<const int> exits);
int fold_exits(std::initializer_list<int> exits);

}  // namespace zgrid::cli
