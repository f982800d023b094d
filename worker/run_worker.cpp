#include "worker/run_worker.h"

#include <sodium.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "client/discover.h"
#include "protocol/base/units.h"
#include "worker/loop.h"

namespace zgrid::worker {

using namespace protocol;
namespace fs = std::filesystem;

namespace {

template <class T>
T random_id() {
  T id;
  randombytes_buf(id.bytes.data(), id.bytes.size());
  return id;
}

// VERSION_ID (or VERSION) and ID of /etc/os-release; the kernel's release where there is none.
std::pair<std::string, std::string> os_release() {
  utsname kernel{};
  ::uname(&kernel);
  std::string id = "linux";
  std::string version = kernel.release;
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    const size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    std::string value = line.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    const std::string key = line.substr(0, equals);
    if (key == "ID") id = value;
    if (key == "VERSION_ID") version = value;
  }
  return {id, version};
}

WorkerFacts facts_of(const RunOptions& options, const WorkerId& id) {
  utsname kernel{};
  ::uname(&kernel);
  WorkerFacts facts;
  facts.id = id;
  facts.name = options.settings.worker.name;
  facts.host = options.host;
  const auto [os, version] = os_release();
  facts.os = kernel.sysname;  // Linux
  facts.os_version = os + " " + version;
  facts.arch = kernel.machine;
  facts.version = options.program_version;
  return facts;
}

Runner::Options runner_options(const RunOptions& options, const std::string& scratch) {
  const conf::WorkerSettings& worker = options.settings.worker;
  Runner::Options out;
  out.worker_name = worker.name;
  out.slots = worker.slots;
  out.scratch_root = scratch;
  out.output_bytes_max = worker.output_bytes_max;
  out.kill_grace = worker.kill_grace;
  out.workflows = worker.workflows;
  out.providers = worker.providers;
  out.environment = options.environment;
  out.sole_parent = options.sole_parent;
  return out;
}

BrokerLink::Options link_options(const RunOptions& options) {
  BrokerLink::Options out;
  out.endpoints = options.brokers;
  for (const Root& root : options.roots) {
    out.keys.push_back({curve_keys(root, Role::worker), curve_keys(root, Role::broker).public_key});
  }
  out.jitter_seed = randombytes_random();
  if (!out.endpoints.empty()) return out;
  BeaconSocket::Options beacon;
  beacon.lan = options.settings.grid.lan;
  beacon.interfaces = options.settings.grid.interfaces;
  beacon.port = options.settings.grid.beacon_port;
  auto socket = BeaconSocket::open(beacon);
  if (!socket) options.log->warn("no discovery by beacons: " + socket.error().message);
  client::BeaconFinder::Options finder;
  finder.roots = options.roots;
  finder.peers = options.settings.grid.peers;
  out.finder = std::make_shared<client::BeaconFinder>(
      std::move(finder), socket ? std::move(*socket) : nullptr, client::system_now().mono);
  return out;
}

// Fills in what was left to us. What comes from files was checked there, flags and a program's own
// values were not.
Result<void> complete(RunOptions& options) {
  conf::WorkerSettings& worker = options.settings.worker;
  if (options.roots.empty()) {
    return fail(Errc::config, "a worker needs the grid's secret",
                "copy the secret from the broker's machine");
  }
  if (worker.name.empty()) worker.name = options.host;
  if (!is_name(worker.name)) {
    return fail(Errc::config, "'" + worker.name + "' is no name for a worker",
                "use 1 to 63 of A-Z a-z 0-9 . _ -");
  }
  if (worker.slots == 0) worker.slots = std::max(1u, std::thread::hardware_concurrency());
  if (worker.slots > limits::kSlotsMax) {
    return fail(Errc::config, "a worker with " + std::to_string(worker.slots) + " slots",
                "at most " + std::to_string(limits::kSlotsMax) + " are possible");
  }
  if (worker.output_bytes_max == 0 || worker.output_bytes_max > limits::kPayloadBytesMax) {
    return fail(Errc::config, "output_bytes_max is 0 or over 64 MiB", "choose a size between them");
  }
  if (const std::string problem = conf::tags_problem(worker.tags); !problem.empty()) {
    return fail(Errc::config, "the worker " + problem, "write NAME=VALUE, at most 64 of them");
  }
  for (std::string& endpoint : options.brokers) {
    if (endpoint.find("://") == std::string::npos) endpoint = "tcp://" + endpoint;
    if (auto checked = check_endpoint(endpoint); !checked) return checked;
  }
  return {};
}

}  // namespace

Result<void> run_worker(RunOptions options) {
  if (auto ready = complete(options); !ready) return ready;
  conf::WorkerSettings& worker = options.settings.worker;
  auto spool = Spool::open(worker.state_dir);
  if (!spool) return fail(std::move(spool.error()));
  const auto id = spool->worker_id(random_id<WorkerId>());
  if (!id) return fail(id.error());
  const std::string scratch = worker.state_dir + "/scratch";
  std::error_code error;
  fs::remove_all(scratch, error);  // of a life that ended badly
  fs::create_directories(scratch, error);
  if (error) return fail(Errc::io, "cannot make the folder " + scratch + ": " + error.message());

  CoreConfig config;
  config.facts = facts_of(options, *id);
  config.boot = random_id<BootId>();
  config.slots = worker.slots;
  config.tags.assign(worker.tags.begin(), worker.tags.end());

  Context context;
  Loop loop({std::move(config), BrokerLink(context, link_options(options)), std::move(*spool),
             runner_options(options, scratch), client::system_now, options.log, options.drain_fd,
             options.stop_fd, options.reload_fd, options.on_ready});
  if (auto prepared = loop.prepare(); !prepared) return prepared;
  return loop.run();
}

}  // namespace zgrid::worker
