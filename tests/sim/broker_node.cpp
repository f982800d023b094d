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

void BrokerNode::start() {
  if (core_) return;
  broker::CoreConfig config;
  config.broker_name = "broker";
  config.program_version = "0.1.0";
  config.store = {store_id_, ++epoch_, true, "simulated"};
  config.overtake = options_.overtake;
  config.queue_jobs_max = options_.queue_jobs_max;
  config.memory_bytes = options_.memory_bytes;
  config.retention_jobs = options_.retention_jobs;
  core_ = std::make_unique<broker::Core>(config, world_.random);
  world_.note("broker starts, epoch " + std::to_string(epoch_));
  broker::JobStore::Recovered into;
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
  broker::Effects& effects = core_->shut_down(world_.clock(started_));
  handle(effects);
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
  core_->begin(now);
  collect(done);
  if (done.refusing != refusing_) {
    refusing_ = done.refusing;
    core_->set_refusing(refusing_ ? "the disk is full" : "");
  }
  receive_batch();
  finish_turn(now);
  deliver();
  if (life != life_) return;
  MonoTime until = std::min(core_->next_wake(), now.mono + kWaitMax);
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
  if (left < workers) oracle_.on_leases_ended(workers - left, forget_silent(now.mono));
  handle(effects);
}

void BrokerNode::hear(const Peer& peer, SessionId session, const Message& message) {
  const MonoTime now = world_.clock(started_).mono;
  if (is<Ready>(message)) heard_[peer.name] = {session, now};
  const auto it = heard_.find(peer.name);
  if (it == heard_.end() || it->second.session != session) return;
  it->second.at = now;
  if (is<Disconnect>(message)) heard_.erase(it);
}

size_t BrokerNode::forget_silent(MonoTime now) {
  return std::erase_if(
      heard_, [&](const auto& one) { return now - one.second.at > Micros(limits::kLease); });
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

void BrokerNode::handle(broker::Effects& effects) {
  oracle_.on_issued(effects.records);
  plant(effects.sends);
  const bool has_records = !effects.records.empty() || inputs_due_ > 0;
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
  auto shared = std::make_shared<const broker::StoreRead>(std::move(read));
  disk_.read([this, shared, has_inputs](broker::JobStore& store) -> std::function<void()> {
    auto answer = std::make_shared<broker::StoreAnswer>(broker::answer_from_store(store, *shared));
    return [this, shared, answer, has_inputs] {
      if (has_inputs) --inputs_due_;
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

void BrokerNode::plant(std::vector<Send>& sends) {
  for (Send& send : sends) {
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
