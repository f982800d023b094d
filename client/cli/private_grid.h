// A grid of one inside this process, for one command: nobody else can join it, and nothing of it
// stays behind.
// Threads: one thread. Block the signals that the command handles before start(), which makes
// threads.
#pragma once

#include <memory>
#include <string>

#include "client/cli/processes.h"
#include "client/cli/session.h"

namespace zgrid::cli {

class PrivateGrid {
 public:
  // What configuration there is counts for the worker (its workflows and providers), nothing else.
  // `store`: "memory"; "sqlite" for a database in the grid's folder, which goes with it; or a path.
  static Result<std::unique_ptr<PrivateGrid>> start(App& app, const WorkerFlags& worker,
                                                    const std::string& store);

  [[nodiscard]] Place place() const { return {grid_->endpoints(), {root_}}; }
  [[nodiscard]] const conf::Settings& settings() const { return settings_; }
  Result<void> stop() { return grid_->stop(); }

 private:
  PrivateGrid(TemporaryFolder folder, conf::Settings settings, const protocol::Root& root,
              std::unique_ptr<Log> log)
      : folder_(std::move(folder)),
        settings_(std::move(settings)),
        root_(root),
        log_(std::move(log)) {}

  TemporaryFolder folder_;
  conf::Settings settings_;
  protocol::Root root_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<LocalGrid> grid_;  // goes first
};

}  // namespace zgrid::cli
