#include "tests/sim/simulation.h"

#include <algorithm>

namespace zgrid::sim {

using namespace protocol;

namespace {

constexpr Micros kActive{12'000'000};     // load and faults
constexpr Micros kPatience{900'000'000};  // then everything must come to rest
constexpr Micros kStep{500'000};
constexpr Micros kUndrain{20'000'000};

}  // namespace

Simulation::Simulation(Options options) : options_(options), world_(options.seed, options.tracing) {
  build();
}

void Simulation::build() {
  Random& r = world_.random;
  Network::Options net;
  Disk::Options disk;
  BrokerNode::Options broker;
  broker.bug = options_.bug;
  if (r.percent(20)) net.delay_max = Micros{100'000};
  if (r.percent(30)) disk.commit_max = Micros{200'000};
  broker_dies_ = options_.broker_restarts_only || r.percent(50);
  broker.overtake = r.percent(75);
  if (!options_.broker_restarts_only) {
    if (r.percent(25)) net.duplicate_percent = 3;
    if (r.percent(25)) net.late_percent = 40;
    if (r.percent(30)) disk.stall_percent = 2;
    if (r.percent(20)) disk.not_written_percent = 5;
    if (r.percent(20)) disk.unknown_percent = 5;
    if (r.percent(20)) disk.low_space_percent = 5;
    if (r.percent(15)) disk.fatal_permille = 5;
    if (r.percent(30)) broker.small_batch_percent = 30;
    if (r.percent(10)) broker.queue_jobs_max = 20;
    broker_pauses_ = r.percent(25);
    workers_die_ = r.percent(50);
    workers_pause_ = r.percent(30);
    workers_drain_ = r.percent(25);
    links_break_ = r.percent(40);
    partitions_ = r.percent(25);
    cancels_ = r.percent(50);
    if (r.percent(20)) net.repeat_percent = 20;
    build_limits(broker);
  }
  if (r.percent(35)) {
    static constexpr uint64_t kMemory[] = {0, 64, 4096};
    broker.memory_bytes = kMemory[r.below(3)];
    inputs_vary_ = true;
    if (r.percent(50)) disk.read_max = Micros{300'000};
  }
  limits_ = broker;
  network_ = std::make_unique<Network>(world_, net);
  disk_ = std::make_unique<Disk>(world_, oracle_, disk);
  broker_ = std::make_unique<BrokerNode>(world_, *network_, *disk_, oracle_, broker);
  broker_->start();
  add_workers();
  const auto count = static_cast<size_t>(r.between(1, 3));
  for (size_t i = 0; i < count; ++i) {
    clients_.push_back(
        std::make_unique<ClientNode>(world_, *network_, oracle_, "client" + std::to_string(i + 1)));
    clients_.back()->start();
  }
  if (options_.broker_restarts_only) oracle_.expect_no_second_run();
  plan_load();
  plan_faults();
}

void Simulation::build_limits(BrokerNode::Options& broker) {
  Random& r = world_.random;
  if (r.percent(10)) broker.in_flight_max = static_cast<uint64_t>(r.between(8, 30));
  if (r.percent(15)) broker.retention_jobs = static_cast<uint64_t>(r.between(0, 30));
  if (r.percent(15)) broker.retention_bytes = static_cast<uint64_t>(r.between(1000, 20'000));
  if (r.percent(20)) broker.retention = Millis{r.between(500, 6000)};
  if (r.percent(40)) broker.retention_ids = Millis{r.between(1000, 8000)};
  wall_jumps_ = r.percent(30);
  hangs_ = r.percent(20);
  deadly_ = r.percent(20);
  reruns_ = r.percent(50);
  if (hangs_) broker.wedged_after = Millis{r.between(2000, 5000)};
}

void Simulation::add_workers() {
  Random& r = world_.random;
  const auto count = static_cast<size_t>(r.between(2, 4));
  for (size_t i = 0; i < count; ++i) {
    WorkerNode::Options options;
    options.slots = static_cast<uint32_t>(r.between(1, 3));
    options.services = {"instant", "quick", "slow", "deadly"};
    if (hangs_) options.hang_percent = 15;
    if (i == 0) options.tags = {{"gpu", "yes"}};
    options.failure_percent = options_.broker_restarts_only ? 5 : 10;
    options.bug = options_.bug;
    workers_.push_back(std::make_unique<WorkerNode>(world_, *network_, oracle_,
                                                    "worker" + std::to_string(i + 1), options));
    world_.after(Micros{r.between(0, 1'000'000)}, [w = workers_.back().get()] { w->start(); });
  }
}

void Simulation::plan_load() {
  const int64_t actions = world_.random.between(15, 45);
  for (int64_t i = 0; i < actions; ++i) {
    world_.at(Micros{world_.random.between(0, kActive.count())}, [this] { act(); });
  }
}

void Simulation::plan_faults() {
  const int64_t faults = world_.random.between(2, 10);
  for (int64_t i = 0; i < faults; ++i) {
    world_.at(Micros{world_.random.between(0, kActive.count())}, [this] { fault(); });
  }
}

// ---- load -----------------------------------------------------------------------------------

SpecRef Simulation::make_spec() {
  Random& r = world_.random;
  static const char* const kServices[] = {"instant", "instant", "quick", "quick", "slow"};
  JobSpec spec;
  spec.service = deadly_ && r.percent(12) ? "deadly" : kServices[r.below(5)];
  if (hangs_) spec.on_wedged = static_cast<WedgedAction>(r.below(3));
  if (r.percent(30)) spec.priority = static_cast<uint8_t>(r.below(10));
  if (r.percent(40)) spec.retries = static_cast<uint32_t>(r.between(1, 2));
  if (r.percent(30)) spec.run = r.percent(50) ? "red" : "blue";
  if (r.percent(10)) spec.no_queue = true;
  if (r.percent(10)) spec.delay = Millis{r.between(1, 3000)};
  if (r.percent(inputs_vary_ ? 25 : 10)) {
    spec.deadline = Millis{r.between(100, inputs_vary_ ? 2000 : 10'000)};
  }
  const uint64_t where = r.below(100);
  if (where < 8) {
    spec.target.mode = Target::Mode::all;
  } else if (where < 20) {
    spec.target.mode = Target::Mode::names;
    spec.target.names = {any(workers_).name};
  } else if (where < 28) {
    spec.target.mode = Target::Mode::tags;
    spec.target.tags = {{"gpu", "yes"}};
  }
  return protocol::make_spec(std::move(spec));
}

std::string Simulation::make_input() {
  Random& r = world_.random;
  std::string input = std::to_string(r.below(inputs_vary_ ? 1000 : 3));
  if (inputs_vary_ && r.percent(70)) input.resize(r.below(600), 'i');
  if (r.percent(1)) input.resize(limits::kInlinePayloadBytesMax + 1, 'i');
  return input;
}

void Simulation::submit(ClientNode& client) {
  Random& r = world_.random;
  std::vector<SpecRef> specs;
  std::vector<JobEntry> jobs;
  const auto spec_count = static_cast<size_t>(r.between(1, 3));
  for (size_t i = 0; i < spec_count; ++i) specs.push_back(make_spec());
  const int64_t count = r.percent(15) ? r.between(10, 30) : r.between(1, 5);
  for (int64_t i = 0; i < count; ++i) {
    JobEntry entry;
    entry.id = r.id<JobId>();
    entry.spec = static_cast<uint32_t>(r.below(specs.size()));
    entry.index = static_cast<uint64_t>(i);
    // Few keys, so that they meet again, with the same body or another one.
    if (r.percent(15)) entry.key = "key" + std::to_string(r.below(6));
    entry.input = {PayloadTag::json, Bytes::own(make_input())};
    jobs.push_back(std::move(entry));
  }
  client.submit(std::move(specs), std::move(jobs), r.percent(20));
}

void Simulation::submit_again(ClientNode& client) {
  Random& r = world_.random;
  ClientNode& other = any(clients_);
  if (other.history().empty()) return submit(client);
  ClientNode::Submitted old = other.history()[r.below(other.history().size())];
  old.entry.spec = 0;
  if (r.percent(30)) old.entry.input = {PayloadTag::json, Bytes::copy_of("\"other\"")};
  if (r.percent(20)) old.entry.id = r.id<JobId>();  // by its key, if it has one
  client.submit({old.spec}, {old.entry}, false);
}

// Ended jobs mostly; the others are refused. Often the same once more, under the same new id.
void Simulation::run_again(ClientNode& client) {
  Random& r = world_.random;
  ClientNode& other = any(clients_);
  if (!other.reruns().empty() && r.percent(35)) {
    return client.retry({other.reruns()[r.below(other.reruns().size())]});
  }
  std::vector<Retry::Item> items;
  std::vector<JobId> jobs;
  const int64_t count = r.between(1, 4);
  for (int64_t i = 0; i < count && !oracle_.rows().empty(); ++i) {
    auto row = oracle_.rows().begin();
    std::advance(row, static_cast<ptrdiff_t>(r.below(oracle_.rows().size())));
    items.push_back({row->first, r.id<JobId>()});
    jobs.push_back(row->first);
  }
  if (r.percent(35)) return client.purge(std::move(jobs));
  client.retry(std::move(items));
}

void Simulation::act() {
  if (is_over_) return;
  Random& r = world_.random;
  ClientNode& client = any(clients_);
  const uint64_t what = r.below(100);
  if (what < 55) return submit(client);
  if (what < 65) return submit_again(client);
  if (reruns_ && what >= 82) return run_again(client);
  ClientNode& other = any(clients_);
  if (what < 78 && !other.history().empty()) {
    const JobId id = other.history()[r.below(other.history().size())].entry.id;
    if (cancels_ && r.percent(60)) return client.cancel({id});
    return client.watch({id}, r.percent(30));
  }
  Query query;
  query.what = static_cast<Query::What>(r.below(5));
  if (query.what == Query::What::resolve || query.what == Query::What::explain) {
    query.selectors = {"last"};
  }
  client.query(query);
}

// ---- faults ---------------------------------------------------------------------------------

void Simulation::set_wall() {
  Random& r = world_.random;
  const int64_t hour = 3600LL * 1'000'000;
  const int64_t by = r.percent(50) ? hour : hour * 24 * 365;
  world_.note("the wall clock is set");
  world_.set_wall(Micros{r.percent(50) ? by : -by});
}

void Simulation::restart_broker() {
  Random& r = world_.random;
  if (!broker_dies_ || !broker_->is_listening()) return;
  r.percent(75) ? broker_->crash() : broker_->stop();
  const Micros absence{r.between(50'000, 2'000'000)};
  if (wall_jumps_ && r.percent(40)) world_.after(absence / 2, [this] { set_wall(); });
  world_.after(absence, [this] {
    broker_->start();
    if (world_.random.percent(40)) submit(any(clients_));  // while the workers come back
  });
}

void Simulation::fault() {
  if (is_over_) return;
  Random& r = world_.random;
  if (wall_jumps_ && r.percent(25)) return set_wall();
  switch (r.below(8)) {
    case 0: return restart_broker();
    case 1:
      if (broker_pauses_) broker_->pause(Micros{r.between(100'000, 30'000'000)});
      return;
    case 2:
    case 3: {
      WorkerNode& worker = any(workers_);
      if (!workers_die_ || !worker.is_alive()) return;
      r.percent(80) ? worker.crash() : worker.leave();
      // The first worker alone has a tag; of the others one may be gone for good.
      if (!gone_ && &worker != workers_.front().get() && r.percent(15)) {
        gone_ = &worker;
        return worker.retire();
      }
      world_.after(Micros{r.between(50'000, 8'000'000)}, [&worker] { worker.start(); });
      return;
    }
    case 4:
      if (workers_pause_) any(workers_).pause(Micros{r.between(100'000, 9'000'000)});
      return;
    case 5: {
      if (!workers_drain_) return;
      if (r.percent(50)) return any(workers_).drain();
      const auto op = r.percent(50) ? Control::Op::drain : Control::Op::undrain;
      return any(clients_).control(op, any(workers_).name);
    }
    case 6: {
      if (!links_break_) return;
      const LinkRef link = r.percent(60) ? any(workers_).link() : any(clients_).link();
      if (link) network_->cut(link);
      return;
    }
    default: {
      if (!partitions_) return;
      const Micros time{r.between(100'000, 8'000'000)};
      if (r.percent(60)) return network_->partition(any(workers_), time);
      return network_->partition(any(clients_), time);
    }
  }
}

// ---- the verdict ----------------------------------------------------------------------------

void Simulation::calm_down() {
  world_.note("from now on all is well");
  is_over_ = true;
  network_->calm();
  disk_->calm();
  broker_->calm();
}

// Again and again, since a drain that a client asked for earlier may arrive late.
void Simulation::undrain_all() {
  for (const auto& worker : workers_) {
    if (worker.get() == gone_) continue;
    clients_.front()->control(Control::Op::undrain, worker->name);
  }
  // What only the worker could run that is gone waits for it, unless somebody cancels it.
  std::vector<JobId> waiting;
  for (const auto& [id, row] : oracle_.rows()) {
    const Target& target = row.job.spec->job.target;
    const bool is_named = gone_ && target.mode == Target::Mode::names;
    if (!row.end && is_named && target.names.front() == gone_->name) waiting.push_back(id);
  }
  if (!waiting.empty()) clients_.front()->cancel(std::move(waiting));
  world_.after(kUndrain, [this] { undrain_all(); });
}

bool Simulation::is_at_rest() const {
  if (broker_->core() == nullptr || broker_->core()->counts().unfinished > 0) return false;
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const auto& w) { return w->is_idle(); }) &&
         std::all_of(clients_.begin(), clients_.end(), [](const auto& c) { return c->is_idle(); });
}

std::string Simulation::what_is_missing() const {
  std::string text = "not at rest after " + std::to_string(kPatience.count() / 1'000'000) + " s:";
  if (const broker::Core* core = broker_->core()) {
    text += " " + std::to_string(core->counts().unfinished) + " unfinished";
  }
  for (const auto& [id, row] : oracle_.rows()) {
    if (!row.end) text += " " + brief(id) + ":" + std::string(status_name(row.status()));
  }
  for (const auto& worker : workers_) {
    if (!worker->is_idle()) text += "; " + worker->name + " is not idle";
  }
  for (const auto& client : clients_) {
    if (!client->is_idle()) text += "; " + client->what_is_missing();
  }
  return text;
}

// Asks the broker why jobs do not end, for the trace.
void Simulation::explain() {
  Query query;
  query.what = Query::What::explain;
  for (const auto& [id, row] : oracle_.rows()) {
    if (!row.end) query.selectors.push_back(id.str());
  }
  clients_.front()->query(query);
  world_.run_until(world_.now() + Micros{2'000'000});
}

// Nobody may be kept from work by what is over: each worker gets one more job.
void Simulation::probe_workers() {
  for (const auto& worker : workers_) {
    if (worker.get() == gone_) continue;
    JobSpec spec;
    spec.service = "instant";
    spec.target.mode = Target::Mode::names;
    spec.target.names = {worker->name};
    JobEntry entry;
    entry.id = world_.random.id<JobId>();
    clients_.front()->submit({protocol::make_spec(std::move(spec))}, {entry}, false);
  }
}

bool Simulation::rest_until(Micros time) {
  while (!is_at_rest() && world_.violation().empty() && world_.now() < time) {
    world_.run_until(world_.now() + kStep);
  }
  if (!world_.violation().empty()) return false;
  if (is_at_rest()) return true;
  explain();
  world_.violate(what_is_missing());
  return false;
}

void Simulation::check_end() {
  world_.run_until(world_.now() + Micros{2'000'000});  // for what is still to be purged
  oracle_.check_end(disk_->store());
  // Jobs may be forgotten while the answer is on its way.
  Query query;
  query.what = Query::What::status;
  for (int i = 0; i < 3; ++i) {
    clients_.front()->query(query);
    world_.run_until(world_.now() + Micros{300'000});
    if (oracle_.counts_as(clients_.front()->counts())) break;
  }
  oracle_.check_counts(clients_.front()->counts());
  const broker::Core::Counts counts = broker_->core()->counts();
  if (counts.input_bytes != 0 || counts.queued_bytes != 0 || counts.in_flight != 0) {
    world_.violate("all jobs have ended, but the broker counts " +
                   std::to_string(counts.input_bytes) + " bytes of inputs in memory, " +
                   std::to_string(counts.queued_bytes) + " in the queue, and " +
                   std::to_string(counts.in_flight) + " jobs in flight");
  }
  if (counts.kept > limits_.retention_jobs) {
    world_.violate("the broker keeps " + std::to_string(counts.kept) + " results, its limit is " +
                   std::to_string(limits_.retention_jobs));
  }
}

Verdict Simulation::run() {
  world_.run_until(kActive);
  if (world_.violation().empty()) {
    calm_down();
    undrain_all();
    if (rest_until(kActive + kPatience)) {
      probe_workers();
      if (rest_until(world_.now() + kPatience)) check_end();
    }
  }
  return {options_.seed, world_.violation(), world_.digest(), oracle_.tally(),
          oracle_.rules().tally()};
}

}  // namespace zgrid::sim
