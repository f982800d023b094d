// broker, worker, up: the processes that stay.
#include <poll.h>

#include <algorithm>

#include "broker/run_broker.h"
#include "client/cli/processes.h"
#include "client/cli/signals.h"
#include "worker/run_worker.h"

namespace zgrid::cli {
namespace {

// A pipe that its reader closed must not end a process that serves others.
void ignore_closed_pipes() { ::signal(SIGPIPE, SIG_IGN); }

struct Prepared {
  conf::Settings settings;
  std::vector<protocol::Root> roots;
  std::unique_ptr<Log> log;
  bool json = false;  // the log's form, and then that of every line
};
Result<Prepared> prepare(const App& app) {
  auto settings = load_settings(app);
  if (!settings) return fail(settings.error());
  auto roots = load_roots(app, *settings);
  if (!roots) return fail(roots.error());
  auto log = Log::open(settings->grid.log_level, settings->grid.log_format);
  if (!log) return fail(log.error());
  const bool json = settings->grid.log_format == "json";
  return Prepared{std::move(*settings), std::move(*roots), std::move(*log), json};
}

bool logs_json(const App& app) {
  const auto& variables = app.env.variables;
  const auto variable = variables.find("ZGRID_GRID__LOG_FORMAT");
  if (!app.globals.log_format.empty()) return app.globals.log_format == "json";
  return variable != variables.end() && variable->second == "json";
}

// The last words of a process whose log is JSON are a line of that log.
int fail_logged(Log& log, const Error& error) {
  log.error(error.message, {{"code", std::string(errc_name(error.code))}, {"hint", error.hint}});
  return exit_code(error.code);
}

// Before there is a log, or instead of one.
int fail_early(App& app, const Error& error) {
  if (!logs_json(app)) return fail_with(app, error);
  auto log = Log::open("error", "json");
  return log ? fail_logged(**log, error) : fail_with(app, error);
}

int exit_with(App& app, bool json, Log& log, const Result<void>& outcome) {
  if (outcome) return 0;
  return json ? fail_logged(log, outcome.error()) : fail_with(app, outcome.error());
}

// Passes signals on to a service until it ends: the first TERM or INT drains, the second stops,
// HUP reloads.
void pass_signals(Signals& signals, int ended_fd, const std::function<void()>& drain,
                  const std::function<void()>& stop, const std::function<void()>& reload) {
  bool is_draining = false;
  while (true) {
    std::array<pollfd, 2> polled{{{signals.fd(), POLLIN, 0}, {ended_fd, POLLIN, 0}}};
    ::poll(polled.data(), polled.size(), -1);
    while (const auto signal = signals.next()) {
      if (*signal == SIGHUP) {
        reload();
      } else if (is_draining) {
        stop();
      } else {
        is_draining = true;
        drain();
      }
    }
    if (polled[1].revents != 0) return;
  }
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ", ") + value;
  return text;
}

}  // namespace

int run(App& app, const BrokerCommand& command) {
  auto prepared = prepare(app);
  if (!prepared) return fail_early(app, prepared.error());
  ignore_closed_pipes();
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  apply(command.broker, prepared->settings);
  broker::RunOptions options;
  options.store = store_of(app, prepared->settings);
  options.settings = std::move(prepared->settings);
  options.roots = std::move(prepared->roots);
  options.program_version = app.version;
  options.host = app.host;
  options.log = prepared->log.get();
  options.stop_fd = signals.fd();  // any of these signals stops it
  const bool json = prepared->json;
  options.on_ready = [&app, json](const std::vector<std::string>& endpoints) {
    if (!json) app.out.note("broker ready at " + joined(endpoints));
  };
  const Result<void> outcome = broker::run_broker(std::move(options));
  while (signals.next()) {
    // Obeyed: it must not end us a second time.
  }
  return exit_with(app, json, *prepared->log, outcome);
}

int run(App& app, const WorkerCommand& command) {
  auto prepared = prepare(app);
  if (!prepared) return fail_early(app, prepared.error());
  ignore_closed_pipes();
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  apply(command.worker, prepared->settings);
  complete_worker(app, prepared->settings);
  Flag drain, stop, reload, ended;
  worker::RunOptions options;
  options.settings = std::move(prepared->settings);
  options.roots = std::move(prepared->roots);
  options.brokers = app.globals.brokers;
  for (std::string& broker : options.brokers) {
    if (broker.find("://") == std::string::npos) broker = "tcp://" + broker;
  }
  options.host = app.host;
  options.program_version = app.version;
  options.log = prepared->log.get();
  options.environment = app.env.variables;
  options.drain_fd = drain.fd();
  options.stop_fd = stop.fd();
  options.reload_fd = reload.fd();
  const std::string name = options.settings.worker.name;
  const bool json = prepared->json;
  options.on_ready = [&app, name, json](const std::string& endpoint) {
    if (!json) app.out.note("worker " + name + " ready at " + endpoint);
  };
  Service service([&options] { return worker::run_worker(std::move(options)); }, ended);
  pass_signals(
      signals, ended.fd(), [&] { drain.set(); }, [&] { stop.set(); }, [&] { reload.set(); });
  return exit_with(app, json, *prepared->log, service.join());
}

namespace {

// Makes the default secret if nothing names another place.
Result<void> ensure_secret(App& app) {
  auto settings = load_settings(app);
  if (!settings) return fail(settings.error());
  const auto source = conf::find_secret(app.env, *settings, app.globals.secret_file);
  if (source.origin != "default" || source.file.empty()) return {};
  auto written = write_secret(source.file, protocol::new_secret());
  if (written) {
    if (!logs_json(app)) {
      app.out.note("made a new secret: " + source.file + "; copy it to machines that shall join");
    }
    return {};
  }
  // One that is there already is what we want.
  return load_secret(app, *settings) ? Result<void>{} : fail(written.error());
}

}  // namespace

int run(App& app, const UpCommand& command) {
  if (auto ok = ensure_secret(app); !ok) return fail_early(app, ok.error());
  auto prepared = prepare(app);
  if (!prepared) return fail_early(app, prepared.error());
  ignore_closed_pipes();
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  apply(command.broker, prepared->settings);
  apply(command.worker, prepared->settings);
  complete_worker(app, prepared->settings);
  LocalGrid::Options options;
  options.store = store_of(app, prepared->settings);
  options.settings = std::move(prepared->settings);
  options.roots = std::move(prepared->roots);
  options.log = prepared->log.get();
  auto grid = LocalGrid::start(app, std::move(options));
  const bool json = prepared->json;
  if (!grid) return exit_with(app, json, *prepared->log, fail(grid.error()));
  if (!json) {
    app.out.note("grid ready at " + joined((*grid)->endpoints()) +
                 "; try: zgrid submit workflow zgrid.echo --text hello");
  }
  LocalGrid& g = **grid;
  pass_signals(
      signals, g.ended_fd(), [&g] { g.drain(); }, [&g] { g.kill_worker(); }, [&g] { g.reload(); });
  return exit_with(app, json, *prepared->log, g.stop());
}

}  // namespace zgrid::cli
