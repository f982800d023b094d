// The public worker: run_worker() on a thread of its own.
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "client/public_values.h"
#include "conf/settings.h"
#include "protocol/base/wait.h"
#include "protocol/transport/event_fd.h"
#include "worker/run_worker.h"
#include "zgrid/worker.hpp"

namespace zgrid::api {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

zgrid::Result<worker::RunOptions> run_options(const WorkerOptions& options) {
  if (options.state_dir.empty()) {
    return fail(Errc::config, "a worker needs a folder for its identity and results",
                "set WorkerOptions::state_dir");
  }
  auto root = root_of(options.secret, options.secret_file, options.cache_dir);
  if (!root) return fail(root.error());
  worker::RunOptions out;
  out.roots = {*root};
  out.brokers = options.brokers;
  out.host = host_name();
  out.program_version = ZGRID_VERSION;
  out.sole_parent = false;
  out.environment = conf::Environment::current().variables;
  out.settings.grid.lan = options.lan;
  conf::WorkerSettings& settings = out.settings.worker;
  settings.name = options.name;
  settings.slots = options.slots;
  settings.tags.insert(options.tags.begin(), options.tags.end());
  settings.workflows = options.workflows;
  settings.state_dir = options.state_dir;
  settings.output_bytes_max = options.output_bytes_max;
  return out;
}

}  // namespace

struct EmbeddedWorker::Impl {
  Impl(worker::RunOptions run_options, std::unique_ptr<Log> its_log)
      : options(std::move(run_options)), log(std::move(its_log)) {
    options.log = log.get();
    options.drain_fd = drain.fd();
    options.stop_fd = stop.fd();
    options.reload_fd = reload.fd();
    options.on_ready = [this](const std::string&) {
      const std::lock_guard lock(mutex);
      was_ready = true;
      changed.notify_all();
    };
  }
  ~Impl() {
    stop.signal();
    if (thread.joinable()) thread.join();
  }
  void run() {
    auto ended = worker::run_worker(std::move(options));
    const std::lock_guard lock(mutex);
    end = ended ? Result<void>() : Result<void>(tl::unexpected(public_error(ended.error())));
    changed.notify_all();
  }
  Result<void> wait(Duration timeout, bool for_end) {
    std::unique_lock lock(mutex);
    const auto there = [&] { return end.has_value() || (was_ready && !for_end); };
    if (!wait_at_most(changed, lock, timeout, there)) {
      return tl::unexpected(Error{"timeout",
                                  for_end ? "the worker has not ended in time; it goes on"
                                          : "no broker has welcomed the worker in time",
                                  "", Effect::none, true});
    }
    if (for_end || !was_ready) return *end;
    return {};
  }

  worker::RunOptions options;
  std::unique_ptr<Log> log;
  protocol::EventFd drain, stop, reload;
  std::mutex mutex;
  std::condition_variable changed;
  bool was_ready = false;           // guarded by mutex
  std::optional<Result<void>> end;  // guarded by mutex
  std::thread thread;
};

Result<EmbeddedWorker> EmbeddedWorker::start(WorkerOptions options) {
  auto log = Log::open(options.log_level, "text");
  if (!log) return tl::unexpected(public_error(log.error()));
  auto prepared = run_options(options);
  if (!prepared) return tl::unexpected(public_error(prepared.error()));
  auto impl = std::make_unique<Impl>(std::move(*prepared), std::move(*log));
  if (!impl->drain.ok() || !impl->stop.ok() || !impl->reload.ok()) {
    return tl::unexpected(
        Error{"io", "this process has no file descriptor left", "", Effect::none, true});
  }
  impl->thread = std::thread([raw = impl.get()] { raw->run(); });
  return EmbeddedWorker(std::move(impl));
}

EmbeddedWorker::EmbeddedWorker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EmbeddedWorker::EmbeddedWorker(EmbeddedWorker&&) noexcept = default;
EmbeddedWorker& EmbeddedWorker::operator=(EmbeddedWorker&&) noexcept = default;
EmbeddedWorker::~EmbeddedWorker() = default;

Result<void> EmbeddedWorker::wait_ready(Duration timeout) const {
  return impl_->wait(timeout, false);
}
Result<void> EmbeddedWorker::wait(Duration timeout) const { return impl_->wait(timeout, true); }
void EmbeddedWorker::drain() { impl_->drain.signal(); }
void EmbeddedWorker::stop() { impl_->stop.signal(); }
void EmbeddedWorker::reload() { impl_->reload.signal(); }

}  // namespace zgrid::api
