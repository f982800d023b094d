#include "client/cli/processes.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "broker/run_broker.h"
#include "client/clock.h"
#include "protocol/base/check.h"
#include "worker/run_worker.h"

namespace zgrid::cli {
namespace {

// A broker in this process answers within moments; an unclean store may need checking first.
constexpr Seconds kStartMax{60};

}  // namespace

Flag::Flag() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { ZGRID_CHECK(fd_ >= 0); }
Flag::~Flag() { ::close(fd_); }
void Flag::set() const {
  const uint64_t one = 1;
  ZGRID_CHECK(::write(fd_, &one, sizeof one) == static_cast<ssize_t>(sizeof one));
}
void Flag::clear() const {
  uint64_t count = 0;
  // Fails only if it is not set.
  static_cast<void>(::read(fd_, &count, sizeof count) > 0);
}

std::string store_of(const App& app, const conf::Settings& settings) {
  return settings.broker.store.empty() ? app.env.state_dir() + "/broker.db" : settings.broker.store;
}

void complete_worker(const App& app, conf::Settings& settings) {
  conf::WorkerSettings& worker = settings.worker;
  if (worker.name.empty()) worker.name = app.host;
  if (worker.slots == 0) worker.slots = std::max(1u, std::thread::hardware_concurrency());
  if (worker.state_dir.empty()) {
    worker.state_dir = app.env.state_dir() + "/worker-" + worker.name;
  }
}

Service::Service(std::function<Result<void>()> body, const Flag& ended)
    : thread_([this, body = std::move(body), &ended] {
        result_ = body();
        ended.set();
      }) {}
Service::~Service() { join(); }
Result<void> Service::join() {
  if (thread_.joinable()) thread_.join();
  return result_.value_or(Result<void>{});
}

Result<std::unique_ptr<LocalGrid>> LocalGrid::start(const App& app, Options options) {
  std::unique_ptr<LocalGrid> grid(new LocalGrid);
  LocalGrid& g = *grid;
  broker::RunOptions broker;
  broker.settings = options.settings;
  broker.roots = options.roots;
  broker.store = options.store;
  broker.program_version = app.version;
  broker.host = app.host;
  broker.log = options.log;
  broker.stop_fd = g.broker_stop_.fd();
  broker.on_ready = [&g](const std::vector<std::string>& endpoints) {
    const std::lock_guard lock(g.mutex_);
    g.endpoints_ = endpoints;
    g.progress_.set();
  };
  g.broker_ = std::make_unique<Service>(
      [broker = std::move(broker)] { return broker::run_broker(broker); }, g.ended_);
  if (auto ok = g.await([&g] { return !g.endpoints_.empty(); }); !ok) return fail(ok.error());

  worker::RunOptions worker;
  worker.settings = std::move(options.settings);
  worker.roots = std::move(options.roots);
  // One of several names of the same broker; any of them will do.
  worker.brokers = {g.endpoints_.front()};
  worker.host = app.host;
  worker.program_version = app.version;
  worker.log = options.log;
  worker.environment = app.env.variables;
  worker.drain_fd = g.worker_drain_.fd();
  worker.stop_fd = g.worker_stop_.fd();
  worker.reload_fd = g.worker_reload_.fd();
  worker.on_ready = [&g](const std::string&) {
    const std::lock_guard lock(g.mutex_);
    g.is_welcomed_ = true;
    g.progress_.set();
  };
  g.worker_ = std::make_unique<Service>(
      [worker = std::move(worker)] { return worker::run_worker(worker); }, g.ended_);
  if (auto ok = g.await([&g] { return g.is_welcomed_; }); !ok) return fail(ok.error());
  return grid;
}

Result<void> LocalGrid::await(const std::function<bool()>& ready) {
  const MonoTime end = client::system_now().mono + kStartMax;
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (ready()) return {};
      progress_.clear();
    }
    const auto left = std::chrono::ceil<Millis>(end - client::system_now().mono);
    std::array<pollfd, 2> polled{{{progress_.fd(), POLLIN, 0}, {ended_.fd(), POLLIN, 0}}};
    const int count =
        ::poll(polled.data(), polled.size(), static_cast<int>(std::max(left, Millis{0}).count()));
    if (polled[1].revents != 0) {
      if (auto stopped = stop(); !stopped) return stopped;
      return fail(Errc::internal, "the broker or the worker in this process ended at once");
    }
    if (count == 0) return fail(Errc::timeout, "the grid in this process did not start in time");
  }
}

Result<void> LocalGrid::stop() {
  Result<void> outcome;
  if (worker_) {
    worker_stop_.set();
    outcome = worker_->join();
  }
  if (broker_) {
    broker_stop_.set();
    if (auto broker = broker_->join(); !broker) outcome = broker;
  }
  return outcome;
}

LocalGrid::~LocalGrid() {
  // Its failures were told by stop(), or nobody waits for them.
  static_cast<void>(stop());
}

}  // namespace zgrid::cli
