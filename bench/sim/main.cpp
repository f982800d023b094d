// What a job costs the broker's core, by the number of workers that share the work.
//
// Usage: bench_sim [--workers N,N…] [--jobs N] [--per-turn N] [--rounds N] [--prefetch N] [--rules]
//                  [--json]
//
// The grids take turns, A B C A B C, a share of the jobs each; every ratio is to the first one in
// the same round, and its median is printed. Exit 1: something was wrong, and it says what.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/sim/grid.h"

namespace {

using zgrid::bench::SimGrid;

struct Arguments {
  std::vector<size_t> workers{1, 100, 10'000};
  uint64_t jobs = 10'000'000;
  uint64_t rounds = 20;
  bool json = false;
  SimGrid::Options grid;
};

std::vector<size_t> numbers_of(const std::string& text) {
  std::vector<size_t> numbers;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    numbers.push_back(std::strtoull(text.substr(at, comma - at).c_str(), nullptr, 10));
    at = comma + 1;
  }
  return numbers;
}

bool parse(int argc, char** argv, Arguments& into) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--rules") {
      into.grid.rules = true;
      continue;
    }
    if (name == "--json") {
      into.json = true;
      continue;
    }
    if (i + 1 == argc) return false;
    const auto numbers = numbers_of(argv[++i]);
    if (numbers.empty() || std::count(numbers.begin(), numbers.end(), 0) > 0) return false;
    if (name == "--workers")
      into.workers = numbers;
    else if (name == "--jobs")
      into.jobs = numbers[0];
    else if (name == "--rounds")
      into.rounds = numbers[0];
    else if (name == "--per-turn")
      into.grid.jobs_per_turn = numbers[0];
    else if (name == "--prefetch")
      into.grid.prefetch = static_cast<uint32_t>(numbers[0]);
    else
      return false;
  }
  return into.jobs >= into.rounds;
}

struct Row {
  std::unique_ptr<SimGrid> grid;
  std::vector<double> ns;  // a job, in each round
  SimGrid::Cost sum;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool measure(std::vector<Row>& rows, const Arguments& arguments) {
  const auto fits = [](const Row& row) {
    if (row.grid->problem().empty()) return true;
    std::fprintf(stderr, "bench_sim: with %zu workers: %s\n", row.grid->workers(),
                 row.grid->problem().c_str());
    return false;
  };
  const uint64_t share = arguments.jobs / arguments.rounds;
  for (Row& row : rows) {  // until as much is kept as ever will be
    row.grid->run(arguments.grid.retention_jobs);
    row.grid->take_cost();
  }
  for (uint64_t round = 0; round < arguments.rounds; ++round) {
    for (Row& row : rows) {
      if (!row.grid->run(share)) return fits(row);
      const auto cost = row.grid->take_cost();
      row.ns.push_back(static_cast<double>(cost.ns) * cost.cpu_share /
                       static_cast<double>(cost.jobs));
      row.sum.jobs += cost.jobs;
      row.sum.turns += cost.turns;
      row.sum.received += cost.received;
      row.sum.sent += cost.sent;
    }
  }
  return std::all_of(rows.begin(), rows.end(), [&](Row& row) {
    row.grid->finish();
    return fits(row);
  });
}

struct Summary {
  size_t workers = 0;
  unsigned long long jobs = 0;
  double ns = 0, received = 0, sent = 0;  // for a job
  std::vector<double> ratios;             // to the first grid, by round
};

Summary summary_of(const Row& row, const Row& first) {
  const auto jobs = static_cast<double>(row.sum.jobs);
  Summary out{row.grid->workers(),
              row.grid->ended(),
              median(row.ns),
              static_cast<double>(row.sum.received) / jobs,
              static_cast<double>(row.sum.sent) / jobs,
              {}};
  for (size_t i = 0; i < row.ns.size(); ++i) out.ratios.push_back(row.ns[i] / first.ns[i]);
  return out;
}

void print(const std::vector<Row>& rows) {
  std::printf("%8s %10s %10s %8s %15s %9s %9s\n", "workers", "jobs", "ns/job", "ratio", "min-max",
              "received", "sent");
  for (const Row& row : rows) {
    const Summary s = summary_of(row, rows[0]);
    const auto [low, high] = std::minmax_element(s.ratios.begin(), s.ratios.end());
    std::printf("%8zu %10llu %10.0f %8.2f %7.2f-%7.2f %9.2f %9.2f\n", s.workers, s.jobs, s.ns,
                median(s.ratios), *low, *high, s.received, s.sent);
  }
}

void print_json(const std::vector<Row>& rows) {
  std::printf("{\"schema\": \"zgrid-bench/1\", \"rows\": [");
  for (const Row& row : rows) {
    const Summary s = summary_of(row, rows[0]);
    std::printf("%s\n {\"workers\": %zu, \"jobs\": %llu, \"ns_per_job\": %.1f, \"ratios\": [",
                &row == rows.data() ? "" : ",", s.workers, s.jobs, s.ns);
    for (const double& ratio : s.ratios) {
      std::printf("%s%.4f", &ratio == s.ratios.data() ? "" : ", ", ratio);
    }
    std::printf("]}");
  }
  std::printf("]}\n");
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fputs(
        "usage: bench_sim [--workers N,N...] [--jobs N] [--per-turn N] [--rounds N] "
        "[--prefetch N] [--rules] [--json]\n",
        stderr);
    return 2;
  }
  arguments.grid.jobs_max = arguments.jobs + arguments.grid.retention_jobs;
  std::vector<Row> rows;
  for (const size_t workers : arguments.workers) {
    arguments.grid.workers = workers;
    rows.push_back({std::make_unique<SimGrid>(arguments.grid), {}, {}});
  }
  if (!measure(rows, arguments)) return 1;
  arguments.json ? print_json(rows) : print(rows);
  return 0;
}
