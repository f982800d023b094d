// The part of doctor that looks for the grid: beacons, brokers, and what the broker knows.
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "client/cli/doctor.h"
#include "client/cli/session.h"
#include "client/cli/tcp_probe.h"
#include "client/discover.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

constexpr Millis kConnectPatience{3000};
constexpr Millis kTcpPatience{1500};
// Clocks that differ by more make logs and times of jobs hard to read.
constexpr Millis kSkewMax{2000};
// Of the brokers that were heard or named at most so many are tried.
constexpr size_t kTriedMax = 8;

std::string skew_text(int64_t ms) {
  const Millis size{std::abs(ms)};
  return format_duration(size < Seconds{10} ? size : Millis{std::chrono::round<Seconds>(size)}) +
         (ms > 0 ? " ahead of" : " behind");
}

std::string with_scheme(const std::string& endpoint) {
  return endpoint.find("://") == std::string::npos ? "tcp://" + endpoint : endpoint;
}

// ---- beacons --------------------------------------------------------------------------

struct Heard {
  std::vector<protocol::FoundBroker> brokers;  // those that answered our probe
  std::vector<std::string> other_grids;
};

void judge_interfaces(const protocol::BeaconSocket& socket, uint16_t port, Findings& findings) {
  const auto interfaces = socket.interfaces();
  if (interfaces.empty()) {
    findings.problem("beacon", "no interface for beacons is up",
                     "bring one up, or name brokers with --broker or grid.peers");
  }
  for (const auto& one : interfaces) {
    const std::string place =
        "interface " + one.name + " (" + one.broadcast + ", UDP port " + std::to_string(port) + ")";
    if (one.sent == 0 && one.send_failed > 0) {
      findings.problem(
          "beacon",
          place + ": broadcasts cannot be sent: " + std::string(std::strerror(one.last_errno)),
          "let UDP port " + std::to_string(port) + " pass outwards on " + one.name +
              ", or name brokers with --broker or grid.peers");
    } else if (one.sent > 0 && one.received == 0) {
      // A sender hears its own broadcasts, unless something drops them.
      findings.problem("beacon", place + ": broadcasts are blocked: not even our own come back",
                       "let UDP port " + std::to_string(port) + " in on " + one.name +
                           " (such as: nft insert rule inet filter input udp dport " +
                           std::to_string(port) +
                           " accept), or name brokers with --broker or "
                           "grid.peers");
    } else {
      findings.ok("beacon", place + ": broadcasts pass");
    }
  }
}

Heard listen(const conf::Settings& settings, const std::vector<protocol::Root>& roots,
             Findings& findings) {
  protocol::BeaconSocket::Options options;
  options.lan = settings.grid.lan;
  options.interfaces = settings.grid.interfaces;
  options.port = settings.grid.beacon_port;
  auto socket = protocol::BeaconSocket::open(options);
  if (!socket) {
    findings.problem("beacon", socket.error(), "name brokers with --broker or grid.peers");
    return {};
  }
  const protocol::BeaconSocket& watched = **socket;  // lives as long as the finder
  client::BeaconFinder::Options finding;
  finding.roots = roots;
  MonoTime now = client::system_now().mono;
  const MonoTime end = now + Micros(client::BeaconFinder::kSettled);
  client::BeaconFinder finder(std::move(finding), std::move(*socket), now);
  while (now < end) {
    finder.turn(now);
    std::vector<pollfd> polled;
    for (const int fd : finder.fds()) polled.push_back({fd, POLLIN, 0});
    ::poll(polled.data(), polled.size(), 50);
    now = client::system_now().mono;
  }
  finder.turn(now);
  judge_interfaces(watched, options.port, findings);
  return {finder.found(now), finder.other_grids()};
}

void judge_heard(const Heard& heard, const std::vector<protocol::Root>& roots, bool are_named,
                 Findings& findings) {
  if (heard.brokers.empty() && !heard.other_grids.empty()) {
    findings.problem("grid",
                     "only another grid is heard: " + heard.other_grids.front() +
                         "; the secret here is of grid " + protocol::grid_id(roots.front()),
                     "to join that grid copy its secret here; `zgrid secret check` on both "
                     "machines must name the same grid");
  }
  std::set<StoreId> stores;
  std::string names;
  for (const auto& broker : heard.brokers) {
    if (!stores.insert(broker.store).second) continue;
    names += (names.empty() ? "" : ", ") + broker.name + " at " + broker.endpoint;
  }
  if (stores.size() > 1) {
    findings.warning("grid",
                     std::to_string(stores.size()) +
                         " brokers with stores of their own are on this grid: " + names,
                     "stop all but one, or clients find now this and now that one");
  }
  if (heard.brokers.empty() && heard.other_grids.empty() && !are_named) {
    findings.problem("grid", "no broker is heard",
                     "start one (zgrid broker, or zgrid up); if it runs on another machine both "
                     "need --lan, or name it with --broker ADDR");
  }
}

// ---- the broker -----------------------------------------------------------------------

// Where a broker listens that would welcome us, for an address at which nobody does.
std::string better_address(const Heard& heard, const std::string& endpoint) {
  for (const auto& broker : heard.brokers) {
    if (broker.endpoint != endpoint) {
      return "; a broker of this grid is heard at " + broker.endpoint;
    }
  }
  return {};
}

void judge_welcome(const App& app, const client::Connection& connection, Findings& findings) {
  const protocol::Welcome& welcome = connection.welcome();
  const std::string who = "broker " + welcome.broker_name + " at " + connection.endpoint();
  findings.ok("broker", who + " welcomes us");
  if (welcome.program_version != app.version) {
    findings.warning("version",
                     who + " is version " + welcome.program_version + ", this is " + app.version,
                     "install the same release on both machines");
  }
  const auto skew = std::chrono::duration_cast<Millis>(welcome.now - connection.now().wall).count();
  if (std::abs(skew) > kSkewMax.count()) {
    findings.warning("clock", who + ": its clock is " + skew_text(skew) + " this machine's",
                     "let both get their time from NTP (timedatectl set-ntp true)");
  } else {
    findings.ok("clock", "the broker's clock and this one agree");
  }
  if (!welcome.durable) {
    findings.warning("store", who + " keeps jobs in memory: they are lost when it stops",
                     "start it with --store PATH");
  }
}

void judge_status(const protocol::StatusView& status, Findings& findings) {
  if (status.admitting) return;
  findings.problem(
      "broker",
      "the broker takes no new jobs: " +
          (status.refusing_reason.empty() ? "its store cannot write" : status.refusing_reason),
      "make room on the disk of its store; it goes on by itself");
}

void judge_worker(const protocol::WorkerView& worker, const std::string& version,
                  Findings& findings) {
  const std::string who = "worker " + worker.facts.name + " on " + worker.facts.host;
  if (!worker.online) {
    return findings.warning(
        "worker",
        who + " is offline, last seen " +
            format_duration(std::chrono::floor<Seconds>(worker.last_seen)) + " ago",
        "start it again there; `zgrid doctor` on that machine tells what is wrong");
  }
  if (worker.facts.version != version) {
    findings.warning("version",
                     who + " is version " + worker.facts.version + ", the broker " + version,
                     "install the same release on both machines");
  }
  if (worker.skew_ms && std::abs(int64_t{*worker.skew_ms}) > kSkewMax.count()) {
    findings.warning("clock",
                     who + ": its clock is " + skew_text(*worker.skew_ms) + " the broker's",
                     "let both get their time from NTP (timedatectl set-ntp true)");
  }
  if (worker.wedged > 0) {
    findings.warning(
        "worker", who + ": " + std::to_string(worker.wedged) + " of its jobs show no sign of life",
        "zgrid jobs --state running, then zgrid explain JOB");
  }
}

void judge_workers(Session& session, Findings& findings) {
  protocol::Query query;
  query.what = protocol::Query::What::status;
  if (const auto answer = session.ask(query); answer && answer->status) {
    judge_status(*answer->status, findings);
  }
  query.what = protocol::Query::What::workers;
  const auto answer = session.ask(query);
  if (!answer) return findings.problem("broker", answer.error(), "look at the log of the broker");
  const std::string version = session.connection().welcome().program_version;
  size_t online = 0;
  for (const protocol::WorkerView& worker : answer->workers) {
    online += worker.online ? 1 : 0;
    judge_worker(worker, version, findings);
  }
  if (online > 0) {
    findings.ok("worker",
                std::to_string(online) + (online == 1 ? " worker is" : " workers are") + " online");
  } else {
    findings.warning("worker", "no worker is online: every job waits",
                     "start one: zgrid worker --workflows FILE");
  }
}

// True: it welcomed us.
bool try_broker(App& app, conf::Settings settings, const std::vector<protocol::Root>& roots,
                const std::string& endpoint, const Heard& heard, Findings& findings) {
  const auto address = address_of(endpoint);
  if (address) {
    const Reached reached = try_tcp(*address, kTcpPatience);
    if (reached.reach != Reach::ok) {
      findings.problem("broker",
                       "at " + endpoint + ": " + reached.reason + better_address(heard, endpoint),
                       reached.reach == Reach::silent
                           ? "let TCP port " + address->port + " in on that machine"
                           : "start the broker there, or mend the address (--broker, grid.peers, "
                             "broker.bind)");
      return false;
    }
  }
  settings.client.connect_timeout = kConnectPatience;
  auto session = Session::open_at(app, settings, Place{{endpoint}, roots});
  if (!session) {
    findings.problem("broker", session.error(), "look at the log of the broker");
    return false;
  }
  Session& s = **session;
  const auto end = s.wait([&] { return s.connection().is_up(); });
  if (end == Session::End::signal) Signals::die_by(s.signal());
  if (end != Session::End::done) {
    const Error& error = s.lost_error();
    if (error.code != Errc::no_broker) {
      findings.problem("broker", error, "look at the log of the broker");
    } else {
      findings.problem("broker", error.message,
                       "something listens there that does not answer as a broker: mend the "
                       "address, or see whether the broker is stopped or starved");
    }
    return false;
  }
  judge_welcome(app, s.connection(), findings);
  judge_workers(s, findings);
  return true;
}

}  // namespace

void check_grid(App& app, const conf::Settings& settings, const std::vector<protocol::Root>& roots,
                Findings& findings) {
  if (roots.empty()) {
    return findings.skipped("grid", "without a secret no broker can be looked for");
  }
  std::vector<std::string> named = app.globals.brokers;
  if (named.empty()) named = settings.grid.peers;
  Heard heard = listen(settings, roots, findings);
  judge_heard(heard, roots, !named.empty(), findings);
  for (const auto& broker : heard.brokers) {
    if (app.globals.brokers.empty()) named.push_back(broker.endpoint);
  }
  std::set<std::string> tried;
  for (const std::string& endpoint : named) {
    if (tried.size() == kTriedMax || !tried.insert(with_scheme(endpoint)).second) continue;
    // The first that welcomes us tells all there is to know.
    if (try_broker(app, settings, roots, with_scheme(endpoint), heard, findings)) break;
  }
}

}  // namespace zgrid::cli
