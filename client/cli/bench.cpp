// bench: how fast a grid is, a private one in this process or one that runs.
#include <algorithm>

#include "client/cli/bench_report.h"
#include "client/cli/input.h"
#include "client/cli/private_grid.h"
#include "protocol/codec.h"

namespace zgrid::cli {
namespace {

// Steps and prompts cost a thousand times what an echo does.
struct Defaults {
  uint64_t throughput_jobs, latency_jobs, window;
};
constexpr Defaults kOfEcho{100'000, 2000, 1000};
constexpr Defaults kOfOthers{1000, 100, 100};

struct Work {
  SpecRef spec;
  Payload input;
  bool is_echo = false;
  std::string name;
};

Result<Work> work_of(const BenchCommand& command) {
  SubmitCommand submit;
  submit.target = command.target;
  submit.no_queue = true;  // what nobody offers is an answer, not a wait
  submit.model = command.model;
  submit.provider = command.provider;
  Work work;
  if (!command.prompt.empty()) {
    submit.kind = JobKind::prompt;
    submit.subject = command.prompt;
    work.name = "prompt";
  } else {
    submit.subject = command.workflow.empty() ? std::string(kServiceEcho) : command.workflow;
    submit.text = std::string(command.payload, 'x');
    work.name = submit.subject;
    work.is_echo = submit.subject == kServiceEcho;
  }
  auto job = prepare_job(submit);
  if (!job) return fail(job.error());
  work.spec = std::move(job->spec);
  work.input = std::move(job->input);
  if (work.is_echo) {
    work.input = {PayloadTag::bytes, Bytes::own(std::string(command.payload, 'x'))};
  }
  return work;
}

bool has_private_options(const BenchCommand& command) {
  const WorkerFlags& worker = command.worker;
  return !command.store.empty() || worker.slots > 0 || !worker.tags.empty() ||
         !worker.workflows.empty();
}

LoadPlan base_plan(const BenchCommand& command, const Work& work) {
  LoadPlan plan;
  plan.spec = work.spec;
  plan.input = work.input;
  plan.compare = work.is_echo;
  plan.clients = command.clients;
  return plan;
}

// What is to be measured, in order.
Result<std::vector<BenchRow>> plan_rows(const BenchCommand& command, const Work& work) {
  const Defaults& defaults = work.is_echo ? kOfEcho : kOfOthers;
  const bool all = command.measure.empty();
  const auto wants = [&](const char* mode) {
    return all ||
           std::find(command.measure.begin(), command.measure.end(), mode) != command.measure.end();
  };
  std::vector<BenchRow> rows;
  const auto add = [&](const char* mode, uint64_t jobs, uint64_t window, uint64_t rate) {
    BenchRow row{mode, base_plan(command, work), work.input.data.size(), {}};
    row.plan.jobs = std::max(jobs, row.plan.clients);
    row.plan.window = window;
    row.plan.rate = rate;
    rows.push_back(std::move(row));
  };
  const auto jobs_or = [&](uint64_t other) { return command.jobs > 0 ? command.jobs : other; };
  if (command.rate > 0) {
    const double seconds = std::chrono::duration<double>(command.duration).count();
    const double jobs = static_cast<double>(command.rate) * seconds;
    if (jobs < 1 || jobs > static_cast<double>(BenchCommand::kJobsMax)) {
      return fail(Errc::usage, "--rate for --duration makes no whole job, or too many",
                  "at least 1 and at most " + std::to_string(BenchCommand::kJobsMax) + " jobs");
    }
    add("rate", static_cast<uint64_t>(jobs), 1, command.rate);
    return rows;
  }
  if (wants("throughput")) {
    add("throughput", jobs_or(defaults.throughput_jobs),
        command.window > 0 ? command.window : defaults.window, 0);
  }
  if (wants("latency")) add("latency", jobs_or(defaults.latency_jobs), 1, 0);
  return rows;
}

client::Connection::Options connect_options(const App& app, const std::string& endpoint,
                                            const std::vector<protocol::Root>& roots,
                                            protocol::Context& context) {
  client::Connection::Options options;
  options.endpoints = {endpoint};
  for (const protocol::Root& root : roots) options.keys.push_back(client::client_keys(root));
  options.user_host = app.user_host;
  options.program_version = app.version;
  options.open_dealer = [&context](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(context, std::move(dealer));
  };
  return options;
}

// Ends a load before its time. The jobs of a private grid end with it.
void stop(App& app, Load& load, bool is_private) {
  const uint64_t left = load.stop();
  if (left == 0 || is_private) return;
  app.out.note("the broker has not acknowledged in time that " + std::to_string(left) +
               (left == 1 ? " job is" : " jobs are") +
               " cancelled; what goes on: 'zgrid jobs --state queued,running'");
}

// Measures each row. The session waits beside it: for signals, --timeout and the end of the grid.
Result<void> measure(App& app, Session& session, const std::vector<protocol::Root>& roots,
                     std::vector<BenchRow>& rows, bool is_private) {
  protocol::Context context;
  for (BenchRow& row : rows) {
    app.out.note("measuring " + row.mode + ": " + std::to_string(row.plan.jobs) + " jobs");
    Load load(
        row.plan,
        [&] { return connect_options(app, session.connection().endpoint(), roots, context); },
        [&session] { session.connection().wake(); });
    const auto end = session.wait([&load] { return load.is_done(); });
    stop(app, load, is_private);
    switch (end) {
      case Session::End::done: break;
      case Session::End::lost: return fail(session.lost_error());
      case Session::End::signal: return {};  // the caller sees it
      case Session::End::timeout:
        return fail(Errc::timeout, "the measurement did not end within --timeout",
                    "fewer jobs: --jobs, --duration");
    }
    auto result = load.result();
    if (!result) return fail(result.error());
    row.result = std::move(*result);
  }
  return {};
}

int report(App& app, const BenchCommand& command, const BenchGrid& grid,
           const std::vector<BenchRow>& rows) {
  if (command.csv) {
    app.out.facts(bench_csv(grid, rows), {});
  } else {
    app.out.views(bench_views(grid, rows), bench_members(grid, rows));
  }
  int exit = 0;
  for (const BenchRow& row : rows) {
    const uint64_t failed = row.result.failed + row.result.missing;
    if (failed == 0) continue;
    exit = 1;
    app.out.note(row.mode + ": " + std::to_string(failed) + " jobs did not succeed: " +
                 (row.result.failed > 0 ? row.result.first_failure : "no result came"));
  }
  return exit;
}

// Connects, measures and reports. Sets `signal` if the caller must end by one.
int bench(App& app, const BenchCommand& command, const Work& work, std::vector<BenchRow> rows,
          Session& session, const std::vector<protocol::Root>& roots, bool is_private,
          int& signal) {
  const auto ok = measure(app, session, roots, rows, is_private);
  signal = session.signal();
  if (signal != 0) return 128 + signal;
  if (!ok) return fail_with(app, ok.error());
  const protocol::Welcome& welcome = session.connection().welcome();
  BenchGrid grid{is_private, session.connection().endpoint(), welcome.program_version,
                 welcome.durable ? "durable" : "memory", work.name};
  return report(app, command, grid, rows);
}

int on_private_grid(App& app, const BenchCommand& command, const Work& work,
                    std::vector<BenchRow> rows) {
  // Blocks the signals before the first thread, so that a session's turn sees them all.
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  auto grid =
      PrivateGrid::start(app, command.worker, command.store.empty() ? "memory" : command.store);
  if (!grid) return fail_with(app, grid.error());
  int exit = 0;
  int signal = 0;
  {
    const Place place = (*grid)->place();
    auto session = Session::open_at(app, (*grid)->settings(), place);
    if (!session) return fail_with(app, session.error());
    if ((*session)->wait([&] { return (*session)->connection().is_up(); }) != Session::End::done) {
      return fail_with(app, (*session)->lost_error());
    }
    exit = bench(app, command, work, std::move(rows), **session, place.roots, true, signal);
  }
  if (auto stopped = (*grid)->stop(); !stopped && exit == 0) {
    exit = fail_with(app, stopped.error());
  }
  if (signal != 0) {
    grid->reset();  // its folder must not stay behind
    Signals::die_by(signal);
  }
  return exit;
}

int on_running_grid(App& app, const BenchCommand& command, const Work& work,
                    std::vector<BenchRow> rows) {
  auto settings = load_settings(app);
  if (!settings) return fail_with(app, settings.error());
  auto roots = load_roots(app, *settings);
  if (!roots) return fail_with(app, roots.error());
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  int signal = 0;
  const int exit = bench(app, command, work, std::move(rows), **session, *roots, false, signal);
  if (signal != 0) Signals::die_by(signal);
  return exit;
}

}  // namespace

int run(App& app, const BenchCommand& command) {
  if (command.csv && app.globals.json) {
    return fail_with(
        app, {Errc::usage, "--csv and --json exclude each other", "choose one", Effect::none, 0});
  }
  const bool is_private = !command.discover && app.globals.brokers.empty();
  if (!is_private && has_private_options(command)) {
    return fail_with(app,
                     {Errc::usage, "--store, --slots, --tag and --workflows are for a private grid",
                      "leave --broker and --discover out, or these", Effect::none, 0});
  }
  auto work = work_of(command);
  if (!work) return fail_with(app, work.error());
  auto rows = plan_rows(command, *work);
  if (!rows) return fail_with(app, rows.error());
  return is_private ? on_private_grid(app, command, *work, std::move(*rows))
                    : on_running_grid(app, command, *work, std::move(*rows));
}

}  // namespace zgrid::cli
