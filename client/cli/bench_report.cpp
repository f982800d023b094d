#include "client/cli/bench_report.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace zgrid::cli {
namespace {

struct Percentile {
  const char* name;
  double p;
};
constexpr std::array<Percentile, 5> kPercentiles{
    {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}}};

// Whole digits before the point, as many after it as are worth reading.
std::string number(double value, const char* unit = "") {
  const int decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f%s", decimals, value, unit);
  return text.data();
}

std::string time_text(uint64_t time_us) {
  const auto us = static_cast<double>(time_us);
  if (us < 1000) return std::to_string(time_us) + " us";
  return us < 1e6 ? number(us / 1e3, " ms") : number(us / 1e6, " s");
}

double seconds(const LoadResult& result) {
  return std::chrono::duration<double>(result.took).count();
}

double rounded(double value) { return std::round(value * 1000) / 1000; }

Json row_json(const BenchRow& row) {
  const LoadResult& result = row.result;
  Json latency = Json::object();
  for (const auto& [name, p] : kPercentiles) latency.set(name, result.percentile_us(p));
  Json json = Json::object();
  json.set("mode", row.mode)
      .set("jobs", row.plan.jobs)
      .set("clients", row.plan.clients)
      .set("window", row.mode == "rate" ? Json() : Json(row.plan.window))
      .set("rate", row.mode == "rate" ? Json(row.plan.rate) : Json())
      .set("payload", row.payload)
      .set("succeeded", result.done)
      .set("failed", result.failed)
      .set("missing", result.missing)
      .set("seconds", rounded(seconds(result)))
      .set("jobs_per_s", rounded(result.rate()))
      .set("latency_us", std::move(latency))
      .set("lag_us_max", row.mode == "rate" ? Json(uint64_t{result.lag_us_max}) : Json());
  return json;
}

// A text with a comma or a quote in quotes.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

Json::Object bench_members(const BenchGrid& grid, const std::vector<BenchRow>& rows) {
  Json list = Json::array();
  for (const BenchRow& row : rows) list.push(row_json(row));
  return {{"grid", Json::object()
                       .set("private", grid.is_private)
                       .set("broker", grid.broker)
                       .set("version", grid.version)
                       .set("store", grid.store)},
          {"job", Json(grid.job)},
          {"rows", std::move(list)}};
}

std::vector<View> bench_views(const BenchGrid& grid, const std::vector<BenchRow>& rows) {
  View view;
  view.text = grid.job + " on " +
              (grid.is_private ? "a private grid in this process" : "the grid at " + grid.broker) +
              ", " + grid.store + " store";
  const auto cells = [](std::initializer_list<std::string> texts) {
    std::vector<Cell> row;
    for (const std::string& text : texts) row.push_back({text});
    return row;
  };
  view.rows.push_back(cells({"MODE", "JOBS", "CLIENTS", "WINDOW", "PAYLOAD", "JOBS/S", "P50", "P90",
                             "P99", "P99.9", "MAX", "FAILED"}));
  for (const BenchRow& row : rows) {
    const LoadResult& result = row.result;
    const bool open = row.mode == "rate";
    std::vector<Cell> line =
        cells({open ? "rate " + std::to_string(row.plan.rate) + "/s" : row.mode,
               std::to_string(row.plan.jobs), std::to_string(row.plan.clients),
               open ? "-" : std::to_string(row.plan.window), std::to_string(row.payload),
               number(result.rate())});
    for (const auto& [name, p] : kPercentiles) line.push_back({time_text(result.percentile_us(p))});
    const uint64_t failed = result.failed + result.missing;
    line.push_back({std::to_string(failed), failed > 0 ? Paint::red : Paint::none});
    view.rows.push_back(std::move(line));
  }
  return {std::move(view)};
}

std::string bench_csv(const BenchGrid& grid, const std::vector<BenchRow>& rows) {
  std::string csv =
      "job,store,mode,jobs,clients,window,rate,payload,succeeded,failed,missing,seconds,jobs_per_s";
  for (const auto& [name, p] : kPercentiles) csv += std::string(",") + name + "_us";
  csv += ",lag_us_max";
  for (const BenchRow& row : rows) {
    const LoadResult& result = row.result;
    const bool open = row.mode == "rate";
    csv += "\n" + quoted(grid.job) + "," + grid.store + "," + row.mode + "," +
           std::to_string(row.plan.jobs) + "," + std::to_string(row.plan.clients) + "," +
           (open ? "" : std::to_string(row.plan.window)) + "," +
           (open ? std::to_string(row.plan.rate) : "") + "," + std::to_string(row.payload) + "," +
           std::to_string(result.done) + "," + std::to_string(result.failed) + "," +
           std::to_string(result.missing) + "," + Json(rounded(seconds(result))).dump() + "," +
           Json(rounded(result.rate())).dump();
    for (const auto& [name, p] : kPercentiles) {
      csv += "," + std::to_string(result.percentile_us(p));
    }
    csv += "," + (open ? std::to_string(result.lag_us_max) : "");
  }
  return csv;
}

}  // namespace zgrid::cli
