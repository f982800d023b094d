// The public client: a connection on a thread of its own, fed through a queue.
#include "zgrid/client.hpp"

#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "client/discover.h"
#include "client/public_values.h"
#include "protocol/base/wait.h"
#include "protocol/keys.h"

namespace zgrid::api {

// Shared by the handles of one job and the client's thread.
struct HandleState {
  std::string id;
  OnResult on_result;  // client's thread only
  OnEvent on_event;    // client's thread only
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::optional<Result<std::string>> accepted;  // guarded by mutex
  std::optional<Result<JobResult>> result;      // guarded by mutex

  void accept(Result<std::string> value) {
    const std::lock_guard lock(mutex);
    if (!accepted) accepted = std::move(value);
    changed.notify_all();
  }
  void finish(Result<JobResult> value) {
    if (on_result) on_result(value);
    const std::lock_guard lock(mutex);
    if (!accepted) accepted = value ? Result<std::string>(id) : tl::unexpected(value.error());
    if (!result) result = std::move(value);
    changed.notify_all();
  }
};

namespace {

Error late(const char* what, Effect effect) { return {"timeout", what, "", effect, true}; }

template <class T>
Result<T> wait_for(const HandleState& state, const std::optional<Result<T>>& value,
                   Duration timeout, const char* what) {
  std::unique_lock lock(state.mutex);
  if (!wait_at_most(state.changed, lock, timeout, [&value] { return value.has_value(); })) {
    return tl::unexpected(late(what, Effect::unknown));
  }
  return *value;
}

}  // namespace

std::string Handle::id() const { return state_->id; }
Result<std::string> Handle::wait_accepted(Duration timeout) const {
  return wait_for(*state_, state_->accepted, timeout, "the job was not acknowledged in time");
}
Result<JobResult> Handle::wait(Duration timeout) const {
  return wait_for(*state_, state_->result, timeout, "the job has not ended in time; it goes on");
}

struct Client::Impl final : client::Listener {
  using Command = std::function<void(client::Connection&)>;
  using Jobs = std::unordered_map<JobId, std::shared_ptr<HandleState>>;

  ~Impl() override { stop(); }

  // ---- any thread ---------------------------------------------------------------------
  void post(Command command) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex);
      was_empty = commands.empty();
      commands.push_back(std::move(command));
    }
    if (!was_empty) return;  // it is awake, or was woken for the first one
    connection->wake();
    posted.notify_one();
  }
  void stop() {
    if (!thread.joinable()) return;
    post([this](client::Connection&) { is_stopping = true; });
    thread.join();
  }
  // Waits for what `start` will deliver; the call has its deadline in the connection.
  template <class T>
  Result<T> call(const std::function<void(client::Connection&, MonoTime,
                                          std::function<void(Result<T>)>)>& start,
                 Duration timeout) {
    auto promise = std::make_shared<std::promise<Result<T>>>();
    auto future = promise->get_future();
    post([promise, start, timeout](client::Connection& c) {
      start(c, c.deadline_in(timeout),
            [promise](Result<T> value) { promise->set_value(std::move(value)); });
    });
    return future.get();
  }

  // ---- the client's thread ------------------------------------------------------------
  void loop() {
    while (!is_stopping) {
      take_commands();
      connection->run(is_stopping ? Millis{0} : Millis{1000});
      if (!connection->is_over()) continue;
      std::unique_lock lock(mutex);  // nothing but new commands can happen now
      posted.wait(lock, [this] { return is_stopping || !commands.empty(); });
    }
    fail_open({Errc::connection_lost, "the client was closed", "", zgrid::Effect::unknown, 0});
  }
  void take_commands() {
    std::vector<Command> taken;
    {
      const std::lock_guard lock(mutex);
      taken.swap(commands);
    }
    for (const Command& command : taken) command(*connection);
  }
  void fail_open(const zgrid::Error& error) {
    for (auto& [id, state] : std::exchange(open, {})) {
      state->finish(tl::unexpected(public_error(error)));
    }
  }
  std::shared_ptr<HandleState> take(const JobId& id) {
    const auto found = open.find(id);
    if (found == open.end()) return nullptr;
    auto state = std::move(found->second);
    open.erase(found);
    return state;
  }

  void on_accepted(const client::Accepted& accepted) override {
    const auto found = open.find(accepted.submitted);
    if (found == open.end()) return;
    found->second->accept(accepted.job.str());
    if (accepted.job == accepted.submitted) return;
    // Known by its key: the result will come under that id. Two handles may share it.
    auto state = take(accepted.submitted);
    const auto [other, is_new] = open.try_emplace(accepted.job, state);
    if (is_new) return;
    state->on_result = [first = other->second,
                        mine = state->on_result](const Result<JobResult>& result) {
      if (mine) mine(result);
      first->finish(result);
    };
    other->second = std::move(state);
  }
  void on_refused(const JobId& job, const zgrid::Error& error) override {
    if (auto state = take(job)) state->finish(tl::unexpected(public_error(error)));
  }
  void on_result(const client::ResultView& view) override {
    auto state = take(view.entry.job);
    if (!state) return;
    if (view.entry.purged) {
      return state->finish(tl::unexpected(public_error(client::purged_error(view.entry))));
    }
    state->finish(public_result(view));
  }
  void on_event(const JobId& job, uint32_t attempt, JobEvent& event) override {
    const auto found = open.find(job);
    if (found == open.end() || !found->second->on_event) return;
    found->second->on_event(public_event(job, attempt, event));
  }
  void on_unknown(const JobId& job) override {
    on_refused(job, {Errc::not_found, "no job " + job.str(), "", zgrid::Effect::none, 0});
  }
  void on_lost(const zgrid::Error& error) override { fail_open(error); }

  protocol::Context context;
  std::unique_ptr<client::Connection> connection;
  Duration submit_timeout{60'000};
  std::mutex mutex;
  std::condition_variable posted;
  std::vector<Command> commands;  // guarded by mutex
  client::JobIds ids;             // guarded by mutex
  Jobs open;
  bool is_stopping = false;
  std::thread thread;
};

namespace {

zgrid::Result<client::Connection::Options> connection_options(const Options& options) {
  auto root = root_of(options.secret, options.secret_file, options.cache_dir);
  if (!root) return fail(root.error());
  client::Connection::Options out;
  out.endpoints = options.brokers;
  out.keys = {client::client_keys(*root)};
  out.user_host = options.user_host;
  out.connect_timeout = options.connect_timeout;
  out.reconnect = options.reconnect;
  if (options.brokers.empty()) {
    protocol::BeaconSocket::Options beacons;
    beacons.lan = options.lan;
    auto socket = protocol::BeaconSocket::open(beacons);
    if (!socket) return fail(socket.error());
    client::BeaconFinder::Options finder;
    finder.roots = {*root};
    if (!options.cache_dir.empty()) finder.cache_file = options.cache_dir + "/last-broker";
    out.finder = std::make_shared<client::BeaconFinder>(std::move(finder), std::move(*socket),
                                                        client::system_now().mono);
  }
  return out;
}

}  // namespace

Result<Client> Client::connect(Options options) {
  auto prepared = connection_options(options);
  if (!prepared) return tl::unexpected(public_error(prepared.error()));
  auto impl = std::make_unique<Impl>();
  prepared->open_dealer = [context = &impl->context](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(*context, std::move(dealer));
  };
  impl->submit_timeout = options.submit_timeout;
  impl->connection = std::make_unique<client::Connection>(std::move(*prepared), *impl);
  while (!impl->connection->is_up() && !impl->connection->is_over()) {
    impl->connection->run(Millis{1000});
  }
  if (impl->connection->is_over()) {
    return tl::unexpected(public_error(impl->connection->error()));
  }
  impl->thread = std::thread([raw = impl.get()] { raw->loop(); });
  return Client(std::move(impl));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Handle Client::submit(const Job& job, OnResult on_result, OnEvent on_event) {
  auto state = std::make_shared<HandleState>();
  JobId id;
  {
    const std::lock_guard lock(impl_->mutex);
    id = impl_->ids.next(client::system_now().wall);
  }
  state->id = id.str();
  state->on_result = std::move(on_result);
  state->on_event = std::move(on_event);
  auto submission = to_submission(job, id);
  Impl* impl = impl_.get();
  if (!submission) {
    impl->post([state, error = submission.error()](client::Connection&) {
      state->finish(tl::unexpected(public_error(error)));
    });
    return Handle(state);
  }
  client::SubmitFlags flags;
  flags.events = static_cast<bool>(state->on_event);
  flags.rerun_failed = job.rerun_failed;
  impl->post([impl, state, id, flags, s = std::move(*submission)](client::Connection& c) {
    impl->open.emplace(id, state);
    c.submit(s, flags, c.deadline_in(impl->submit_timeout));
  });
  return Handle(state);
}

std::vector<Handle> Client::submit(const std::vector<Job>& jobs, const OnResult& on_result) {
  std::vector<Handle> handles;
  handles.reserve(jobs.size());
  for (const Job& job : jobs) handles.push_back(submit(job, on_result));
  return handles;
}

Handle Client::attach(const std::string& job, OnResult on_result, OnEvent on_event) {
  auto state = std::make_shared<HandleState>();
  state->id = job;
  state->on_result = std::move(on_result);
  state->on_event = std::move(on_event);
  state->accepted = Result<std::string>(job);
  const auto id = JobId::parse(job);
  Impl* impl = impl_.get();
  impl->post([impl, state, id](client::Connection& c) {
    if (!id || !impl->open.emplace(*id, state).second) {
      return state->finish(
          tl::unexpected(Error{"bad_input", "not a full job id, or one that is attached already",
                               "", Effect::none, false}));
    }
    c.watch({*id}, static_cast<bool>(state->on_event), MonoTime::never(), nullptr);
  });
  return Handle(state);
}

Result<bool> Client::cancel(const std::string& job, Duration timeout) {
  const auto id = JobId::parse(job);
  const Error unknown{"not_found", "no job " + job, "", Effect::none, false};
  if (!id) return tl::unexpected(unknown);
  return impl_->call<bool>(
      [id, unknown](client::Connection& c, MonoTime deadline, auto done) {
        c.cancel({*id}, deadline, [done, unknown](auto items) {
          if (!items) return done(tl::unexpected(public_error(items.error())));
          if (items->empty() || !items->front().known) return done(tl::unexpected(unknown));
          const JobStatus status = items->front().status;
          done(!is_terminal(status) || status == JobStatus::cancelled);
        });
      },
      timeout);
}

Result<std::vector<JobInfo>> Client::jobs(const JobFilter& filter, Duration timeout) {
  protocol::Query query;
  query.limit = filter.limit;
  query.run = filter.run;
  return impl_->call<std::vector<JobInfo>>(
      [query](client::Connection& c, MonoTime deadline, auto done) {
        c.query(query, deadline, [done](auto answer) {
          if (!answer) return done(tl::unexpected(public_error(answer.error())));
          std::vector<JobInfo> jobs;
          for (const auto& job : answer->jobs) jobs.push_back(public_job(job));
          done(std::move(jobs));
        });
      },
      timeout);
}

Result<std::vector<WorkerInfo>> Client::workers(Duration timeout) {
  protocol::Query query;
  query.what = protocol::Query::What::workers;
  return impl_->call<std::vector<WorkerInfo>>(
      [query](client::Connection& c, MonoTime deadline, auto done) {
        c.query(query, deadline, [done](auto answer) {
          if (!answer) return done(tl::unexpected(public_error(answer.error())));
          std::vector<WorkerInfo> workers;
          for (const auto& worker : answer->workers) workers.push_back(public_worker(worker));
          done(std::move(workers));
        });
      },
      timeout);
}

}  // namespace zgrid::api
