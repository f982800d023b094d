#include "tests/sim/broker_node.h"

#include <algorithm>

#include "broker/store_answers.h"
#include "protocol/base/check.h"

namespace zgrid::sim {

using namespace protocol;
using broker::Gate;
using broker::Send;

namespace {

constexpr Micros kGap{200'000};
constexpr Micros kWaitMax{1'000'000};
constexpr int kBatch = 1000;

void swap_inputs(broker::StoreAnswer& answer) {
  for (Message& message : answer.messages) {
    auto* request = std::get_if<Request>(&message);
    if (request == nullptr || request->items.size() < 2) continue;
    std::swap(request->items.front().input, request->items.back().input);
  }
}

template <class M>
bool is(const Message& message) {
  return std::holds_alternative<M>(message);
}

}  // namespace

BrokerNode::BrokerNode(World& world, Network& network, Disk& disk, Oracle& oracle, Options options)
    : world_(world), network_(network), disk_(disk), oracle_(oracle), options_(options) {
  store_id_ = world_.random.id<StoreId>();
  network_.set_broker(this);
}

broker::CoreConfig BrokerNode::make_config() {
  broker::CoreConfig config;
  config.broker_name = "broker";
  config.program_version = "0.1.0";
  config.store = {store_id_, ++epoch_, true, "simulated"};
  config.overtake = options_.overtake;
  config.queue_jobs_max = options_.queue_jobs_max;
  config.memory_bytes = options_.memory_bytes;
  config.in_flight_max = options_.in_flight_max;
  config.retention_jobs = options_.retention_jobs;
  config.retention_bytes = options_.retention_bytes;
  config.retention = options_.retention;
  config.retention_ids = options_.retention_ids;
  config.wedged_after = options_.wedged_after;
  return config;
}

void BrokerNode::start() {
  if (core_) return;
  broker::CoreConfig config = make_config();
  oracle_.rules().configure(config);
  if (options_.bug == Bug::purge_early) config.retention /= 2;
  if (options_.bug == Bug::ids_early) config.retention_ids /= 2;
  core_ = std::make_unique<broker::Core>(config, world_.random);
  world_.note("broker starts, epoch " + std::to_string(epoch_));
  broker::JobStore::Recovered into;
  into.input_bytes_max = config.memory_bytes;
  into.unfinished = [this](broker::StoredJob&& job) { core_->restore(std::move(job)); };
  into.ended = [this](broker::EndedJob&& job) { core_->restore(std::move(job)); };
  into.purged = [this](broker::Purge&& purge) { core_->restore(std::move(purge)); };
  into.drain = [this](const broker::PutDrain& drain) { core_->restore(drain); };
  into.clock = [this](const broker::PutClock& clock) { core_->restore(clock); };
  ZGRID_CHECK(disk_.store().recover(into).has_value());
  oracle_.on_broker_start();
  ++life_;
  started_ = world_.now() - Micros{world_.random.between(0, 1'000'000'000)};
  gate_ = {};
  sessions_.clear();
  heard_.clear();
  links_.clear();
  inbox_.clear();
  outgoing_.clear();
  turn_ = 0;
  drained_ = true;
  refusing_ = false;
  inputs_due_ = 0;
  wake_set_ = false;
  slept_until_ = world_.clock(started_).mono;
  wall_seen_ = world_.wall_offset();
  wall_added_ = Micros{0};
  disk_.open([this, life = life_] {
    if (life == life_ && core_) wake_at(world_.now());
  });
  wake_at(world_.now());
}

void BrokerNode::crash() {
  if (!core_) return;
  world_.note("broker dies");
  core_.reset();
  ++life_;
  disk_.crash();
  network_.cut_all();
}

void BrokerNode::stop() {
  if (!core_) return;
  world_.note("broker stops");
  ++turn_;
  oracle_.rules().begin(world_.clock(started_));
  broker::Effects& effects = core_->shut_down(core_clock());
  handle(effects, true);
  deliver();
  // The last commit is waited for; what was handed over is durable after a good stop or, when the
  // wait is cut short, as after a crash.
  crash();
}

void BrokerNode::pause(Micros duration) {
  world_.note("broker is stopped for " + std::to_string(duration.count() / 1000) + " ms");
  paused_until_ = std::max(paused_until_, world_.now() + duration);
}

void BrokerNode::calm() { options_.small_batch_percent = 0; }

// ---- turns ----------------------------------------------------------------------------------

void BrokerNode::wake_at(Micros when) {
  when = std::max({when, world_.now(), paused_until_});
  if (wake_set_ && wake_at_ <= when) return;
  wake_set_ = true;
  wake_at_ = when;
  world_.at(when, [this, when, life = life_] {
    if (life != life_ || !core_ || !wake_set_ || wake_at_ != when) return;
    if (paused_until_ > world_.now()) {
      wake_set_ = false;
      return wake_at(paused_until_);
    }
    wake_set_ = false;
    turn(life);
  });
}

void BrokerNode::turn(uint64_t life) {
  const Now now = world_.clock(started_);
  if (const Micros gap = now.mono - slept_until_; gap > kGap) extend(gap);
  Disk::Done done = disk_.poll();
  if (done.fatal) {
    world_.note("broker stops: the store failed");
    crash();
    world_.after(Micros{world_.random.between(100'000, 1'500'000)}, [this] { start(); });
    return;
  }
  ++turn_;
  oracle_.rules().begin(now);
  core_->begin(core_clock());
  collect(done);
  if (done.refusing != refusing_) {
    refusing_ = done.refusing;
    core_->set_refusing(refusing_ ? "the disk is full" : "");
  }
  receive_batch();
  finish_turn(now);
  deliver();
  if (life != life_) return;
  MonoTime until = std::min(core_->next_wake() - wall_added_, now.mono + kWaitMax);
  if (!drained_) until = now.mono + Micros{1};
  const Micros left = std::max(Micros{0}, until - now.mono);
  const Micros timeout = std::chrono::ceil<Millis>(left);
  slept_until_ = now.mono + timeout;
  wake_at(world_.now() + (drained_ ? std::max(timeout, Micros{1}) : Micros{1}));
}

void BrokerNode::finish_turn(Now now) {
  const uint64_t workers = core_->counts().workers;
  broker::Effects& effects = core_->finish(drained_);
  const uint64_t left = core_->counts().workers;
  if (left < workers) on_workers_lost(workers - left, now.mono);
  handle(effects);
}

void BrokerNode::hear(const Peer& peer, SessionId session, const Message& message) {
  const MonoTime now = world_.clock(started_).mono;
  if (const auto* ready = std::get_if<Ready>(&message)) {
    heard_[peer.name] = {session, ready->facts.id, now};
  }
  const auto it = heard_.find(peer.name);
  const bool is_current = it != heard_.end() && it->second.session == session;
  oracle_.rules().hear(is_current ? it->second.worker : WorkerId{}, is_current, message);
  if (!is_current) return;
  it->second.at = now;
  if (is<Disconnect>(message)) heard_.erase(it);
}

void BrokerNode::on_workers_lost(size_t lost, MonoTime now) {
  const size_t silent = std::erase_if(heard_, [&](const auto& one) {
    if (now - one.second.at <= Micros(limits::kLease)) return false;
    oracle_.rules().on_lease_ended(one.second.worker);
    return true;
  });
  oracle_.on_leases_ended(lost, silent);
}

void BrokerNode::extend(Micros gap) {
  core_->extend_leases(gap);
  for (auto& [name, heard] : heard_) heard.at = heard.at + gap;
}

void BrokerNode::on_frames(const LinkRef& link, const Frames& frames) {
  inbox_.emplace_back(link, frames);
  wake_at(world_.now() + Micros{world_.random.between(0, 150)});
}

void BrokerNode::receive_batch() {
  int most = kBatch;
  if (options_.small_batch_percent > 0 && world_.random.percent(options_.small_batch_percent)) {
    most = static_cast<int>(world_.random.between(1, 3));
  }
  while (most-- > 0 && !inbox_.empty()) {
    const auto [link, frames] = std::move(inbox_.front());
    inbox_.pop_front();
    receive_one(link, frames);
  }
  drained_ = inbox_.empty();
}

void BrokerNode::receive_one(const LinkRef& link, const Frames& frames) {
  SessionId& session = sessions_[link->id];
  if (session == SessionId::none) {
    session = static_cast<SessionId>(next_session_++);
    links_[session] = link;
  }
  auto message = decode(frames);
  if (!message) return world_.violate("a message does not decode: " + message.error().message);
  world_.note("  broker < " + link->peer->name + " " + describe(*message));
  world_.mix(static_cast<uint64_t>(kind_of(*message)));
  if (!may_send(link->peer->role, kind_of(*message))) {
    return world_.violate("a message is sent in the wrong role");
  }
  const bool is_goodbye = is<Disconnect>(*message);
  const SessionId id = session;
  hear(*link->peer, id, *message);
  plant(*message);
  core_->receive(id, link->peer->role, std::move(*message));
  if (is_goodbye) {
    links_.erase(id);
    sessions_.erase(link->id);
  }
}

void BrokerNode::handle(broker::Effects& effects, bool is_last) {
  plant(effects);
  oracle_.on_issued(effects.records);
  oracle_.rules().end(effects, is_last);
  const bool is_reading = inputs_due_ > 0 && options_.bug != Bug::abort_overtakes;
  const bool has_records = !effects.records.empty() || is_reading;
  if (has_records) {
    disk_.commit(turn_, std::move(effects.records));
    effects.records = {};
  }
  gate_.add(turn_, has_records, effects.sends, outgoing_);
  for (broker::StoreRead& read : effects.reads) run_read(std::move(read));
}

void BrokerNode::run_read(broker::StoreRead read) {
  const bool has_inputs = read.what == broker::StoreRead::What::inputs;
  if (has_inputs) ++inputs_due_;
  broker::number_jobs(*core_, read);
  auto shared = std::make_shared<const broker::StoreRead>(std::move(read));
  disk_.read([this, shared, has_inputs](broker::JobStore& store) -> std::function<void()> {
    auto answer = std::make_shared<broker::StoreAnswer>(broker::answer_from_store(store, *shared));
    return [this, shared, answer, has_inputs] {
      if (has_inputs) --inputs_due_;
      if (options_.bug == Bug::inputs_swapped) swap_inputs(*answer);
      broker::deliver_answer(*core_, *shared, std::move(*answer), outgoing_);
    };
  });
}

void BrokerNode::collect(Disk::Done& done) {
  for (const Disk::Done::Ready& ready : done.ready) {
    gate_.durable(ready.after, outgoing_);
    ready.run();
  }
  gate_.durable(done.durable_up_to, outgoing_);
}

void BrokerNode::deliver() {
  std::vector<Send> sends;
  sends.swap(outgoing_);
  for (const Send& one : sends) {
    const auto it = links_.find(one.to);
    if (it == links_.end()) continue;
    const LinkRef link = it->second;
    world_.note("  broker > " + link->peer->name + " " + describe(one.message));
    oracle_.on_broker_sends(link->id, one.message);
    if (!network_.send_down(link, encode(one.message))) drop(one.to);
  }
}

void BrokerNode::drop(SessionId id) {
  core_->session_lost(id);
  sessions_.erase(links_.at(id)->id);
  links_.erase(id);
}

// ---- planted bugs ---------------------------------------------------------------------------

// A core that takes the wall clock for its own, but for steps back.
Now BrokerNode::core_clock() {
  Now now = world_.clock(started_);
  if (options_.bug != Bug::wall_deadline) return now;
  const Micros step = world_.wall_offset() - std::exchange(wall_seen_, world_.wall_offset());
  if (step > Micros{0}) {
    wall_added_ += step;
    core_->extend_leases(step);
  }
  now.mono = now.mono + wall_added_;
  return now;
}

// What goes to another worker goes where a job must be alone.
void BrokerNode::plant_second_job(broker::Effects& effects) {
  const WorkerFactsRef alone = oracle_.rules().alone_worker();
  if (!alone) return;
  for (broker::Record& record : effects.records) {
    auto* state = std::get_if<broker::PutState>(&record);
    const bool is_assigned = state != nullptr && state->worker && !state->nonce.is_nil();
    if (is_assigned && !oracle_.current(state->id)) state->worker = alone;
  }
}

void BrokerNode::plant(broker::Effects& effects) {
  if (options_.bug == Bug::alone_ignored) plant_second_job(effects);
  for (broker::Record& record : effects.records) {
    auto* state = std::get_if<broker::PutState>(&record);
    if (options_.bug != Bug::wedged_uncounted || state == nullptr) continue;
    if (oracle_.rules().is_wedged_now(state->id) && state->losses > 0) --state->losses;
  }
  for (Send& send : effects.sends) {
    const bool is_ack = is<SubmitAck>(send.message);
    const bool reveals =
        is<WatchAck>(send.message) || is<CancelAck>(send.message) || is<Results>(send.message);
    if (options_.bug == Bug::early_ack && is_ack) send.gate = Gate::free;
    if (options_.bug == Bug::early_reveal && reveals) send.gate = Gate::free;
  }
}

void BrokerNode::plant(Message& message) {
  if (options_.bug != Bug::stale_accepted) return;
  auto* final = std::get_if<Final>(&message);
  if (final == nullptr) return;
  for (FinalEntry& entry : final->items) {
    if (const auto current = oracle_.current(entry.token.job)) entry.token = *current;
  }
}

}  // namespace zgrid::sim
