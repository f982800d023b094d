// The options of bench.
#include <algorithm>

#include "client/cli/parser.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

template <class Int>
void add_positive(CLI::App* app, const std::string& name, Int& into, uint64_t max,
                  const std::string& help) {
  app->add_option_function<std::string>(
         name,
         [&into, name, max](const std::string& text) {
           into = static_cast<Int>(number(name, text, max));
           if (into == 0) reject(name, text, "at least 1");
         },
         help)
      ->type_name("N");
}

void load_options(CLI::App* app, BenchCommand& bench) {
  app->add_option_function<std::vector<std::string>>(
         "--measure",
         [&bench](const std::vector<std::string>& modes) {
           for (const std::string& mode : modes) {
             if (mode != "throughput" && mode != "latency") {
               reject("--measure", mode, "throughput or latency");
             }
           }
           bench.measure = modes;
         },
         "throughput (a window of jobs in flight) or latency (one at a time); default: both")
      ->allow_extra_args(false)
      ->type_name("WHAT");
  add_positive(app, "--jobs", bench.jobs, BenchCommand::kJobsMax,
               "of all clients together (default: 100,000 and 2,000 for the two; of a workflow or "
               "prompt 1,000 and 100)");
  add_positive(app, "--window", bench.window, BenchCommand::kJobsMax,
               "jobs in flight of each client (default 1000; of a workflow or prompt 100)");
  app->add_option_function<std::string>(
         "--payload",
         [&bench](const std::string& text) {
           bench.payload = value_of("--payload", parse_size(text));
           if (bench.payload > limits::kPayloadBytesMax) reject("--payload", text, "below 64MiB");
         },
         "bytes of input (default 100)")
      ->type_name("SIZE");
  add_positive(app, "--clients", bench.clients, BenchCommand::kClientsMax,
               "connections at the same time");
  add_positive(app, "--rate", bench.rate, BenchCommand::kJobsMax,
               "submit so many jobs a second whatever becomes of them; latencies count from when "
               "each was due");
  app->add_option_function<std::string>(
         "--duration",
         [&bench](const std::string& text) {
           bench.duration = value_of("--duration", parse_duration(text));
         },
         "of --rate (default 10s)")
      ->type_name("D");
}

}  // namespace

void Parser::add_bench() {
  CLI::App* bench = verb("bench", "measure throughput and latency",
                         "  zgrid bench\n"
                         "  zgrid bench --store sqlite --json\n"
                         "  zgrid bench --broker desk.example:5670 --rate 2000 --duration 30s\n"
                         "  zgrid bench --workflow hash --workflows jobs.toml --payload 10KiB\n"
                         "  zgrid bench --prompt 'Say hello' --jobs 20 --window 2\n"
                         "Without --broker and --discover it measures a private grid in this "
                         "process.");
  load_options(bench, bench_);
  CLI::Option* workflow =
      bench->add_option("--workflow", bench_.workflow, "what runs (default zgrid.echo)");
  bench->add_option("--prompt", bench_.prompt, "a prompt; @FILE reads one")
      ->type_name("TEXT")
      ->excludes(workflow);
  bench->add_option("--model", bench_.model, "the prompt's model");
  bench->add_option("--provider", bench_.provider, "the prompt's provider");
  bench
      ->add_option_function<std::string>(
          "--on",
          [this](const std::string& text) {
            auto target = parse_target(text);
            if (!target || target->mode == Target::Mode::all) {
              reject("--on", text, "any, NAME[,NAME] or tag:k=v[,…]");
            }
            bench_.target = std::move(*target);
          },
          "where: any, NAME[,NAME], tag:k=v[,…]")
      ->type_name("WHERE");
  bench->add_flag("--discover", bench_.discover, "measure the grid that commands would use");
  bench->add_flag("--csv", bench_.csv, "comma-separated values with a line of names");
  bench
      ->add_option("--store", bench_.store,
                   "of the private grid: memory (default), sqlite (a temporary file) or a path")
      ->type_name("PATH");
  worker_flags(bench, bench_.worker, false);
  makes(bench, bench_);
}

}  // namespace zgrid::cli
