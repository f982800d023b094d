// What a benchmark found, as text, JSON or CSV. docs/operations.md has the fields.
#pragma once

#include <string>
#include <vector>

#include "client/cli/bench_load.h"
#include "client/cli/renderer.h"

namespace zgrid::cli {

struct BenchRow {
  std::string mode;  // throughput, latency or rate
  LoadPlan plan;
  uint64_t payload = 0;  // bytes
  LoadResult result;
};

// The grid that was measured.
struct BenchGrid {
  bool is_private = true;
  std::string broker, version, store;  // store: "durable" or "memory"
  std::string job;                     // what ran: a workflow's name or "prompt"
};

Json::Object bench_members(const BenchGrid& grid, const std::vector<BenchRow>& rows);
std::vector<View> bench_views(const BenchGrid& grid, const std::vector<BenchRow>& rows);
// A line of names, then one for each row; RFC 4180.
std::string bench_csv(const BenchGrid& grid, const std::vector<BenchRow>& rows);

}  // namespace zgrid::cli
