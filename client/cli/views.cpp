// jobs, workers, status, drain, undrain, discover: what the grid looks like.
#include <poll.h>

#include <algorithm>
#include <tuple>

#include "client/cli/session.h"
#include "client/discover.h"

namespace zgrid::cli {
namespace {

// Opens a session, asks one question and shows its answer.
int show_answer(App& app, protocol::Query query,
                const std::function<void(const protocol::Answer&, Session&)>& show) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  auto answer = (*session)->ask(std::move(query));
  if (!answer) return fail_with(app, answer.error());
  show(*answer, **session);
  return 0;
}

}  // namespace

int run(App& app, const JobsCommand& command) {
  protocol::Query query;
  query.what = protocol::Query::What::jobs;
  query.limit = command.limit;
  query.run = command.run;
  query.states = command.states;
  return show_answer(app, std::move(query), [&app](const protocol::Answer& answer, Session&) {
    app.out.jobs(answer.jobs);
  });
}

int run(App& app, const WorkersCommand&) {
  protocol::Query query;
  query.what = protocol::Query::What::workers;
  return show_answer(app, std::move(query), [&app](const protocol::Answer& answer, Session&) {
    auto workers = answer.workers;
    std::sort(workers.begin(), workers.end(), [](const auto& a, const auto& b) {
      return std::tie(a.facts.name, a.facts.id) < std::tie(b.facts.name, b.facts.id);
    });
    app.out.workers(workers);
  });
}

int run(App& app, const StatusCommand&) {
  protocol::Query query;
  query.what = protocol::Query::What::status;
  return show_answer(app, std::move(query),
                     [&app](const protocol::Answer& answer, Session& session) {
                       if (!answer.status) return;
                       app.out.status(*answer.status, session.connection().endpoint());
                     });
}

int run(App& app, const DrainCommand& command) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  protocol::Control control;
  control.op = command.undo ? protocol::Control::Op::undrain : protocol::Control::Op::drain;
  control.worker = command.worker;
  auto answer = (*session)->tell(std::move(control));
  if (!answer) return fail_with(app, answer.error());
  if (app.globals.json) {
    app.out.workers(answer->workers);
  } else {
    app.out.note("worker " + command.worker +
                 (command.undo ? " takes work again" : " finishes what it has, and takes no more"));
  }
  return 0;
}

int run(App& app, const DiscoverCommand&) {
  auto settings = load_settings(app);
  if (!settings) return fail_with(app, settings.error());
  auto roots = load_roots(app, *settings);
  if (!roots) return fail_with(app, roots.error());
  protocol::BeaconSocket::Options beacons;
  beacons.lan = settings->grid.lan;
  beacons.interfaces = settings->grid.interfaces;
  beacons.port = settings->grid.beacon_port;
  auto socket = protocol::BeaconSocket::open(beacons);
  if (!socket) return fail_with(app, socket.error());
  client::BeaconFinder::Options options;
  options.roots = *roots;
  options.peers = settings->grid.peers;
  MonoTime now = client::system_now().mono;
  client::BeaconFinder finder(std::move(options), std::move(*socket), now);

  Signals signals{SIGINT, SIGTERM, SIGHUP};
  // All of them, so the whole time is waited for.
  const Micros patience = std::min<Micros>(client::BeaconFinder::kSettled,
                                           app.globals.timeout.value_or(Millis{3'600'000}));
  const MonoTime end = now + patience;
  while (now < end) {
    finder.turn(now);
    std::vector<pollfd> polled{{signals.fd(), POLLIN, 0}};
    for (const int fd : finder.fds()) polled.push_back({fd, POLLIN, 0});
    ::poll(polled.data(), polled.size(), 50);
    if (const auto signal = signals.next()) Signals::die_by(*signal);
    now = client::system_now().mono;
  }
  finder.turn(now);
  const auto found = finder.found(now);
  app.out.brokers(found, finder.other_grids());
  const bool any_heard = std::any_of(found.begin(), found.end(),
                                     [](const auto& broker) { return !broker.store.is_nil(); });
  if (any_heard) return 0;
  if (!finder.other_grids().empty()) {
    return fail_with(app, {Errc::wrong_grid, "only other grids were heard",
                           "their secret is another one: check yours with 'zgrid secret check'",
                           Effect::none, 0});
  }
  return fail_with(app, {Errc::no_broker, "no broker was heard",
                         "beacons stay on this host without --lan; a broker may run with "
                         "--no-beacon, or a firewall may block UDP port " +
                             std::to_string(settings->grid.beacon_port),
                         Effect::none, 0});
}

}  // namespace zgrid::cli
