// run: a grid of one, inside this process and for one submit.
#include "client/cli/processes.h"
#include "client/cli/submit.h"

namespace zgrid::cli {
namespace {

struct Grid {
  TemporaryFolder folder;
  std::unique_ptr<Log> log;
  std::unique_ptr<LocalGrid> grid;  // goes first
};

// What configuration there is counts for the worker (its workflows and providers), nothing else.
Result<conf::Settings> private_settings(App& app, const RunCommand& command,
                                        const TemporaryFolder& folder) {
  auto settings = load_settings(app);
  if (!settings) return settings;
  settings->grid.lan = false;
  settings->grid.interfaces.clear();
  settings->grid.peers.clear();
  settings->broker = {};
  settings->broker.bind = {"ipc://" + folder.path() + "/broker"};
  settings->broker.beacon = false;
  settings->worker.name.clear();
  settings->worker.state_dir = folder.path() + "/worker";
  apply(command.worker, *settings);
  complete_worker(app, *settings);
  if (app.globals.log_level.empty()) settings->grid.log_level = "error";
  return settings;
}

}  // namespace

int run(App& app, const RunCommand& command) {
  SubmitCommand wanted = command.submit;
  if (wanted.detach) {
    return fail_with(app,
                     {Errc::usage, "--detach makes no sense with 'run'",
                      "the private grid ends with this command; see 'zgrid up'", Effect::none, 0});
  }
  // Nobody else will ever join: what this worker does not offer cannot run.
  wanted.no_queue = true;
  auto prepared = prepare(app, wanted);
  if (!prepared) return fail_with(app, prepared.error());
  auto folder = TemporaryFolder::make(app.env);
  if (!folder) return fail_with(app, folder.error());
  auto settings = private_settings(app, command, *folder);
  if (!settings) return fail_with(app, settings.error());
  auto log = Log::open(settings->grid.log_level, settings->grid.log_format);
  if (!log) return fail_with(app, log.error());
  auto root = protocol::derive_root(protocol::new_secret());
  if (!root) return fail_with(app, root.error());

  // Blocks the signals before the first thread, so that a session's turn sees them all.
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  LocalGrid::Options options;
  options.settings = *settings;
  options.roots = {*root};
  options.store = "memory";
  options.log = log->get();
  Grid grid{std::move(*folder), std::move(*log), nullptr};
  auto started = LocalGrid::start(app, std::move(options));
  if (!started) return fail_with(app, started.error());
  grid.grid = std::move(*started);

  int exit = 0;
  int signal = 0;
  {
    auto session = Session::open_at(app, *settings, Place{grid.grid->endpoints(), {*root}});
    if (!session) return fail_with(app, session.error());
    exit = submit(app, **session, wanted, std::move(*prepared), true);
    signal = (*session)->signal();
  }
  if (auto stopped = grid.grid->stop(); !stopped && exit == 0) {
    exit = fail_with(app, stopped.error());
  }
  if (signal != 0) {
    { const Grid gone = std::move(grid); }  // its folder must not stay behind
    Signals::die_by(signal);
  }
  return exit;
}

}  // namespace zgrid::cli
