// run: a grid of one, inside this process and for one submit.
#include "client/cli/private_grid.h"
#include "client/cli/submit.h"

namespace zgrid::cli {

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

  // Blocks the signals before the first thread, so that a session's turn sees them all.
  Signals signals{SIGINT, SIGTERM, SIGHUP};
  auto grid = PrivateGrid::start(app, command.worker, "memory");
  if (!grid) return fail_with(app, grid.error());

  int exit = 0;
  int signal = 0;
  {
    auto session = Session::open_at(app, (*grid)->settings(), (*grid)->place());
    if (!session) return fail_with(app, session.error());
    exit = submit(app, **session, wanted, std::move(*prepared), true);
    signal = (*session)->signal();
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

}  // namespace zgrid::cli
