#include "tests/sim/worker_node.h"

#include <algorithm>

namespace zgrid::sim {

using namespace protocol;

namespace {

constexpr Micros kWaitMax{1'000'000};

}  // namespace

WorkerNode::WorkerNode(World& world, Network& network, Oracle& oracle, std::string worker_name,
                       Options options)
    : Peer(std::move(worker_name), Role::worker),
      world_(world),
      network_(network),
      oracle_(oracle),
      options_(std::move(options)) {
  facts_.id = world_.random.id<WorkerId>();
  facts_.name = name;
  facts_.host = "host";
  facts_.version = "0.1.0";
}

void WorkerNode::start() {
  if (core_ || retired_) return;
  ++life_;
  worker::CoreConfig config;
  config.facts = facts_;
  config.boot = world_.random.id<BootId>();
  config.slots = options_.slots;
  config.tags = options_.tags;
  core_ = std::make_unique<worker::Core>(config);
  started_ = world_.now() - Micros{world_.random.between(0, 1'000'000'000)};
  world_.note(name + " starts");
  core_->begin(world_.clock(started_));
  core_->set_services(options_.services);
  for (const auto& [nonce, result] : spool_) core_->restore(result);
  wake_set_ = false;
  connecting_ = false;
  up_news_ = down_news_ = false;
  wake_at(world_.now());
}

void WorkerNode::crash() {
  if (!core_) return;
  world_.note(name + " dies");
  oracle_.on_worker_died(name);
  core_.reset();
  ++life_;
  running_.clear();
  lose_link(false);
}

void WorkerNode::leave() {
  if (!core_) return;
  world_.note(name + " leaves");
  core_->begin(world_.clock(started_));
  core_->leave();
  if (!carry_out(core_->finish())) return;
  oracle_.on_worker_died(name);
  core_.reset();
  ++life_;
  running_.clear();
  lose_link(true);
}

void WorkerNode::drain() {
  if (!core_) return;
  world_.note(name + " drains");
  core_->drain();
  wake_at(world_.now());
}

void WorkerNode::pause(Micros duration) {
  world_.note(name + " is stopped for " + std::to_string(duration.count() / 1000) + " ms");
  paused_until_ = std::max(paused_until_, world_.now() + duration);
}

bool WorkerNode::is_idle() const {
  if (!core_) return true;
  const worker::Core::Counts counts = core_->counts();
  return counts.welcomed && counts.queued == 0 && counts.running == 0 && counts.unacknowledged == 0;
}

// ---- the connection -------------------------------------------------------------------------

void WorkerNode::lose_link(bool gracefully) {
  if (link_) {
    link_->late = gracefully;  // what was sent still arrives
    network_.close(link_);
  }
  link_.reset();
  inbox_.clear();
  carried_over_.clear();
}

void WorkerNode::try_connect() {
  if (link_ || connecting_) return;
  connecting_ = true;
  world_.after(Micros{world_.random.between(1'000, 250'000)}, [this, life = life_] {
    if (life != life_ || !core_) return;
    connecting_ = false;
    link_ = network_.connect(*this);
    if (!link_) return try_connect();
    for (const Message& message : std::exchange(carried_over_, {})) send(message);
    up_news_ = true;
    wake_at(world_.now());
  });
}

void WorkerNode::on_frames(const LinkRef& link, const Frames& frames) {
  if (link != link_) return;
  inbox_.push_back(frames);
  wake_at(world_.now() + Micros{world_.random.between(0, 100)});
}

void WorkerNode::on_link_down(const LinkRef& link) {
  if (link != link_) return;
  link_.reset();
  inbox_.clear();
  down_news_ = true;
  wake_at(world_.now());
}

// ---- turns ----------------------------------------------------------------------------------

void WorkerNode::wake_at(Micros when) {
  when = std::max({when, world_.now(), paused_until_});
  if (wake_set_ && wake_at_ <= when) return;
  wake_set_ = true;
  wake_at_ = when;
  world_.at(when, [this, when, life = life_] {
    if (life != life_ || !core_ || !wake_set_ || wake_at_ != when) return;
    wake_set_ = false;
    if (paused_until_ > world_.now()) return wake_at(paused_until_);
    turn();
  });
}

void WorkerNode::turn() {
  const Now now = world_.clock(started_);
  core_->begin(now);
  if (std::exchange(down_news_, false)) core_->disconnected();
  if (std::exchange(up_news_, false) && link_) core_->connected();
  receive();
  while (auto start = core_->next_start()) start_attempt(std::move(*start));
  core_->set_activity(activity());
  if (!carry_out(core_->finish())) return;
  if (!link_) try_connect();
  const Micros left = std::max(Micros{1}, core_->next_wake() - now.mono);
  wake_at(world_.now() + std::min(left, kWaitMax));
}

void WorkerNode::receive() {
  while (!inbox_.empty()) {
    const Frames frames = std::move(inbox_.front());
    inbox_.pop_front();
    auto message = decode(frames);
    if (!message) return world_.violate("a message does not decode: " + message.error().message);
    world_.note("  " + name + " < " + describe(*message));
    note_discards(*message);
    core_->receive(std::move(*message));
  }
}

// What the broker does not want any more the worker may forget.
void WorkerNode::note_discards(const Message& message) {
  if (const auto* welcome = std::get_if<Welcome>(&message)) {
    for (const Token& token : welcome->discard) oracle_.on_attempt_disowned(token);
  }
  if (const auto* ack = std::get_if<FinalAck>(&message)) {
    for (const FinalAck::Item& item : ack->refused) oracle_.on_attempt_disowned(item.token);
  }
}

bool WorkerNode::carry_out(worker::Effects& effects) {
  for (const Message& message : effects.sends) send(message);
  for (worker::Finished& result : effects.spool_put) {
    const Nonce nonce = result.token.nonce;
    spool_.insert_or_assign(nonce, std::move(result));
  }
  for (const Nonce& nonce : effects.spool_drop) spool_.erase(nonce);
  const std::vector<worker::Effects::Stop> stops = std::move(effects.stops);
  if (effects.fatal) {
    world_.violate(name + " gives up: " + effects.fatal->message);
    return false;
  }
  if (effects.reconnect) lose_link(false);
  if (effects.finished) {
    world_.note(name + " is drained");
    oracle_.on_worker_died(name);
    core_.reset();
    ++life_;
    running_.clear();
    lose_link(true);
    world_.after(Micros{world_.random.between(100'000, 2'000'000)}, [this] { start(); });
    return false;
  }
  for (const auto& stop : stops) abort_attempt(stop.token, stop.reason);
  return true;
}

void WorkerNode::send(const Message& message) {
  world_.note("  " + name + " > " + describe(message));
  if (const auto* ready = std::get_if<Ready>(&message)) oracle_.on_ready_sent(name, *ready);
  if (!link_) return;
  if (const auto* final = std::get_if<Final>(&message)) {
    oracle_.on_final_sent(link_->id, *final);
    if (options_.bug == Bug::result_forgotten) {
      FinalAck ack;
      ack.batch = final->batch;
      core_->receive(ack);
    }
  }
  if (link_->up) {
    network_.send_up(link_, encode(message));
    const uint64_t repeats = network_.repeat_percent();
    if (repeats > 0 && std::holds_alternative<Final>(message) && world_.random.percent(repeats)) {
      network_.repeat_up(link_, encode(message), Micros{world_.random.between(1'000, 8'000'000)});
    }
  } else if (world_.random.percent(50)) {
    carried_over_.push_back(message);
  }
}

// ---- the runner -----------------------------------------------------------------------------

void WorkerNode::start_attempt(worker::Start start) {
  const Token token = start.token;
  oracle_.on_attempt_started(name, token);
  world_.note("  " + name + " runs " + brief(token));
  Random& r = world_.random;
  const std::string& service = start.spec->job.service;
  Running& running = running_[token.nonce];
  running = {token, world_.now(), false, false};
  Micros time{0};
  if (service == "deadly") {
    time = Micros{r.between(20'000, 400'000)};
    if (r.percent(options_.deadly_percent)) return kill_worker_after(time, token);
  }
  if (service == "quick") time = Micros{r.between(200, 20'000)};
  if (service == "slow") time = Micros{r.between(50'000, 3'000'000)};
  if (time > Micros{0} && options_.hang_percent > 0 && r.percent(options_.hang_percent)) {
    running.hangs = true;
    running.stopped = r.percent(30);
    time = Micros{r.between(2'000'000, 20'000'000)};
  }
  const JobStatus status = !r.percent(options_.failure_percent) ? JobStatus::succeeded
                           : r.percent(80)                      ? JobStatus::failed
                                                                : JobStatus::timed_out;
  Outcome outcome = make_outcome(status, time);
  if (time == Micros{0}) return end_attempt(token, std::move(outcome), true);
  world_.after(time, [this, token, outcome = std::move(outcome), life = life_] {
    if (life != life_ || !running_.contains(token.nonce)) return;
    // A stopped process hears of it when it goes on.
    if (paused_until_ > world_.now()) {
      return world_.at(paused_until_, [this, token, outcome, life] {
        if (life == life_ && running_.contains(token.nonce)) end_attempt(token, outcome, true);
      });
    }
    end_attempt(token, outcome, true);
  });
}

// The job takes its worker with it.
void WorkerNode::kill_worker_after(Micros time, const Token& token) {
  world_.after(time, [this, token, life = life_] {
    if (life != life_ || !running_.contains(token.nonce)) return;
    crash();
    world_.after(Micros{world_.random.between(50'000, 6'000'000)}, [this] { start(); });
  });
}

// What its heartbeats say of the attempts that run.
std::vector<InHand> WorkerNode::activity() const {
  std::vector<InHand> list;
  for (const auto& [nonce, one] : running_) {
    const Micros idle = one.hangs ? world_.now() - one.since : Micros{0};
    list.push_back({one.token, InHand::State::running, std::chrono::duration_cast<Millis>(idle), 1,
                    0, one.stopped});
  }
  return list;
}

Outcome WorkerNode::make_outcome(JobStatus status, Micros run) {
  Outcome outcome;
  outcome.status = status;
  outcome.run = run;
  if (status == JobStatus::succeeded) return outcome;
  JobError error;
  error.message = "simulated";
  error.retryable = world_.random.percent(70);
  outcome.error = std::move(error);
  return outcome;
}

void WorkerNode::end_attempt(const Token& token, Outcome outcome, bool with_output) {
  running_.erase(token.nonce);
  // The output names the attempt, so that the oracle knows whose result was accepted.
  std::string text = with_output ? token.nonce.str() : std::string();
  if (with_output && world_.random.percent(2))
    text.resize(limits::kInlinePayloadBytesMax + 100, 'x');
  oracle_.on_attempt_ended(name, token, outcome.status != JobStatus::succeeded);
  core_->attempt_ended(token, std::move(outcome), {PayloadTag::utf8, Bytes::own(std::move(text))});
  wake_at(world_.now());
}

void WorkerNode::abort_attempt(const Token& token, JobStatus reason) {
  const auto end = [this, token, reason] {
    if (!running_.contains(token.nonce)) return;
    end_attempt(token, make_outcome(reason, world_.now() - running_[token.nonce].since), false);
  };
  if (world_.random.percent(30)) return end();
  world_.after(Micros{world_.random.between(100, 200'000)}, [this, end, life = life_] {
    if (life == life_) end();
  });
}

}  // namespace zgrid::sim
