#include "broker/run_broker.h"

#include <sodium.h>
#include <sys/resource.h>

#include <algorithm>
#include <map>

#include "broker/loop.h"
#include "protocol/base/units.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Nonces from the kernel's generator, drawn in blocks: a system call each would cost more than
// the rest of an assignment.
class SodiumEntropy final : public Entropy {
 public:
  void fill(std::span<uint8_t> into) override {
    if (pool_.size() - used_ < into.size()) {
      randombytes_buf(pool_.data(), pool_.size());
      used_ = 0;
    }
    std::copy_n(pool_.begin() + static_cast<ptrdiff_t>(used_), into.size(), into.begin());
    used_ += into.size();
  }

 private:
  std::array<uint8_t, 4096> pool_{};
  size_t used_ = pool_.size();
};

Authorize members_of(const std::vector<Root>& roots) {
  std::map<std::string, Principal, std::less<>> members;
  for (const Root& root : roots) {
    members[curve_keys(root, Role::worker).public_key] = {Role::worker, "secret"};
    members[curve_keys(root, Role::client).public_key] = {Role::client, "secret"};
  }
  return [members = std::move(members)](std::string_view key) -> std::optional<Principal> {
    const auto it = members.find(key);
    if (it == members.end()) return std::nullopt;
    return it->second;
  };
}

std::vector<std::string> wanted_endpoints(const conf::Settings& settings) {
  if (!settings.broker.bind.empty()) return settings.broker.bind;
  return {settings.grid.lan ? "tcp://*:5670" : "tcp://127.0.0.1:5670"};
}

uint16_t port_of(const std::vector<std::string>& endpoints) {
  for (const std::string& endpoint : endpoints) {
    if (endpoint.rfind("tcp://", 0) != 0) continue;
    const int port = std::atoi(endpoint.c_str() + endpoint.rfind(':') + 1);
    if (port > 0 && port <= 65535) return static_cast<uint16_t>(port);
  }
  return 0;
}

// A beacon carries only what is a name; a host may be called anything.
std::string beacon_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_name(std::string(1, c)); }, '-');
  return name.substr(0, limits::kNameBytesMax);
}

std::unique_ptr<Announcer> make_announcer(const RunOptions& options, const StoreInfo& store,
                                          uint16_t port) {
  if (!options.settings.broker.beacon || port == 0) return nullptr;
  BeaconSocket::Options beacon;
  beacon.lan = options.settings.grid.lan;
  beacon.interfaces = options.settings.grid.interfaces;
  beacon.port = options.settings.grid.beacon_port;
  auto socket = BeaconSocket::open(beacon);
  if (!socket) {
    // Members can still be told the address.
    options.log->warn("no beacons: " + socket.error().message);
    return nullptr;
  }
  std::vector<Announcer::Membership> members;
  for (const Root& root : options.roots) members.push_back({beacon_key(root), grid_id(root)});
  Beacon self;
  self.store = store.id;
  randombytes_buf(self.boot.bytes.data(), self.boot.bytes.size());
  self.epoch = store.epoch;
  self.port = port;
  self.name = beacon_name(options.settings.broker.name);
  return std::make_unique<Announcer>(std::move(*socket), std::move(members), std::move(self));
}

// Each connection takes a descriptor. The usual soft limit of 1024 is for programs that use
// select().
void raise_descriptor_limit() {
  constexpr rlim_t kWanted = 65'536;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= kWanted) return;
  limit.rlim_cur = std::min(limit.rlim_max, kWanted);
  // Without it the broker has fewer connections, and says so when they run out.
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

CoreConfig core_config(const RunOptions& options, const StoreInfo& store) {
  const conf::BrokerSettings& broker = options.settings.broker;
  CoreConfig config;
  config.broker_name = broker.name;
  config.program_version = options.program_version;
  config.store = store;
  config.heartbeat = broker.heartbeat;
  config.lease = broker.lease;
  config.default_time_limit = broker.default_time_limit;
  config.queue_jobs_max = broker.queue_jobs_max;
  config.queue_bytes_max = broker.queue_bytes_max;
  config.in_flight_max = broker.in_flight_max;
  config.memory_bytes = broker.memory_bytes;
  config.retention = broker.retention;
  config.retention_bytes = broker.retention_bytes;
  config.retention_jobs = broker.retention_jobs;
  config.retention_ids = broker.retention_ids;
  config.wedged_after = broker.wedged_after;
  return config;
}

}  // namespace

Result<void> run_broker(RunOptions options) {
  if (options.roots.empty()) {
    return fail(Errc::config, "a broker needs the grid's secret", "make one: zgrid secret new");
  }
  if (options.settings.broker.name.empty()) options.settings.broker.name = options.host;
  auto store = open_store(options.store);
  if (!store) return fail(std::move(store.error()));
  const StoreInfo info = (*store)->info();
  if (!info.notice.empty()) options.log->warn(info.notice, {{"hint", info.notice_hint}});

  raise_descriptor_limit();
  Context context(options.settings.broker.io_threads);
  Router::Options router_options;
  router_options.keys = curve_keys(options.roots.front(), Role::broker);
  router_options.authorize = members_of(options.roots);
#if ZGRID_TEST_HOOKS
  router_options.disable_zap_handler = options.disable_zap_handler;
#endif
  auto router = Router::open(context, std::move(router_options));
  if (!router) return fail(std::move(router.error()));

  SodiumEntropy entropy;
  Loop::Parts parts;
  parts.store = std::move(*store);
  parts.config = core_config(options, info);
  parts.entropy = &entropy;
  parts.clock = client::system_now;
  parts.log = options.log;
  parts.stop_fd = options.stop_fd;

  // Bound before the recovery, so that a port in use is known at once; clients that connect
  // meanwhile are answered after it.
  std::vector<std::string> endpoints;
  for (const std::string& endpoint : wanted_endpoints(options.settings)) {
    auto bound = (*router)->bind(endpoint);
    if (!bound) return fail(std::move(bound.error()));
    endpoints.push_back(*bound);
  }
  parts.router = std::move(*router);
  parts.announcer = make_announcer(options, info, port_of(endpoints));

  Loop loop(std::move(parts));
  if (auto recovered = loop.recover(); !recovered) return recovered;
  for (const std::string& endpoint : endpoints) {
    options.log->info("broker ready", {{"endpoint", endpoint},
                                       {"store", info.description},
                                       {"epoch", std::to_string(info.epoch)},
                                       {"grid", grid_id(options.roots.front())}});
  }
  if (options.on_ready) options.on_ready(endpoints);
  return loop.run();
}

}  // namespace zgrid::broker
