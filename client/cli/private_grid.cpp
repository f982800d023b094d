#include "client/cli/private_grid.h"

namespace zgrid::cli {
namespace {

Result<conf::Settings> private_settings(App& app, const WorkerFlags& worker,
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
  apply(worker, *settings);
  complete_worker(app, *settings);
  if (app.globals.log_level.empty()) settings->grid.log_level = "error";
  return settings;
}

}  // namespace

Result<std::unique_ptr<PrivateGrid>> PrivateGrid::start(App& app, const WorkerFlags& worker,
                                                        const std::string& store) {
  auto folder = TemporaryFolder::make(app.env);
  if (!folder) return fail(folder.error());
  auto settings = private_settings(app, worker, *folder);
  if (!settings) return fail(settings.error());
  auto log = Log::open(settings->grid.log_level, settings->grid.log_format);
  if (!log) return fail(log.error());
  auto root = protocol::derive_root(protocol::new_secret());
  if (!root) return fail(root.error());

  std::unique_ptr<PrivateGrid> grid(
      new PrivateGrid(std::move(*folder), std::move(*settings), *root, std::move(*log)));
  LocalGrid::Options options;
  options.settings = grid->settings_;
  options.roots = {grid->root_};
  options.store = store == "sqlite" ? grid->folder_.path() + "/broker.db" : store;
  options.log = grid->log_.get();
  auto started = LocalGrid::start(app, std::move(options));
  if (!started) return fail(started.error());
  grid->grid_ = std::move(*started);
  return grid;
}

}  // namespace zgrid::cli
