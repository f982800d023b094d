#include "bench/sim/grid.h"

#include <time.h>

#include <cstring>

#include "protocol/codec.h"
#include "tests/sim/oracle.h"

namespace zgrid::bench {

using namespace protocol;

namespace {

// What the outside has seen of a job.
enum State : uint8_t { kNew, kSubmitted, kAssigned, kEnded, kTold };
// Its records.
enum : uint8_t { kAccepted = 1, kRuns = 2, kHasEnded = 4 };

constexpr Micros kRunTime{15'000};
constexpr SessionId kClient{1};
SessionId session_of(size_t worker) { return SessionId{worker + 2}; }
size_t worker_of(SessionId session) { return static_cast<size_t>(session) - 2; }

uint64_t ns_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}
// Read without a call of the kernel, which would cost more than a turn.
uint64_t wall_ns() { return ns_of(CLOCK_MONOTONIC); }

// What two looks at the clock cost, which every turn pays.
uint64_t cost_of_looking() {
  constexpr int kTimes = 10'000;
  const uint64_t begun = wall_ns();
  for (int i = 1; i < kTimes; ++i) wall_ns();
  return (wall_ns() - begun) / kTimes;
}

JobId id_of(uint64_t number) {
  JobId id;
  id.bytes[0] = 1;
  for (size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>((number + 1) >> (8 * i));
  return id;
}
uint64_t number_of(const JobId& id) {
  uint64_t number = 0;
  for (size_t i = 8; i < 16; ++i) number = number << 8 | id.bytes[i];
  return number - 1;
}

WorkerId worker_id(size_t worker) {
  WorkerId id;
  id.bytes[0] = 1;
  const uint64_t number = worker + 1;
  std::memcpy(id.bytes.data() + 8, &number, sizeof number);
  return id;
}

broker::CoreConfig config_of(const SimGrid::Options& options) {
  broker::CoreConfig config;
  config.broker_name = "broker";
  config.store.id.bytes[0] = 7;
  config.store.epoch = 1;
  config.retention_jobs = options.retention_jobs;
  config.retention_ids = Millis{5000};  // or the ids of all jobs that ever were would be kept
  return config;
}

}  // namespace

void Counting::fill(std::span<uint8_t> into) {
  ++count_;
  for (size_t i = 0; i < into.size(); ++i) {
    into[i] = static_cast<uint8_t>(count_ >> (8 * (i % 8)));
  }
}

// What the simulation tests demand of every turn, with a world in which nothing goes wrong.
struct SimGrid::Rules {
  sim::World world{1, false};
  sim::TurnRules turns{world};
};

SimGrid::SimGrid(const Options& options)
    : options_(options),
      core_(config_of(options), entropy_),
      payload_{PayloadTag::bytes, Bytes::own(std::string(100, 'x'))},
      now_{MonoTime{Micros{1'000'000}}, WallTime{1'700'000'000'000'000}},
      turn_time_(kRunTime * static_cast<int64_t>(options.jobs_per_turn) /
                 static_cast<int64_t>(options.in_hand)),
      finals_(options.workers),
      in_hand_(options.workers),
      batches_(options.workers),
      life_(options.jobs_max),
      records_(options.jobs_max) {
  JobSpec job;
  job.service = kServiceEcho;
  spec_ = make_spec(job);
  if (options.rules) {
    rules_ = std::make_unique<Rules>();
    rules_->turns.configure(config_of(options));
    rules_->turns.on_broker_start({});
  }
  Hello hello;
  hello.user_host = "ann@desk";
  inbox_.push_back({kClient, Role::client, std::move(hello)});
  for (size_t i = 0; i < options.workers; ++i) join(i);
  turn();
  cost_ = {};
}
SimGrid::~SimGrid() = default;

void SimGrid::join(size_t worker) {
  // A third more than are needed at once, so that nothing queues for long.
  const size_t slots = options_.in_hand * 4 / 3 / options_.workers;
  Ready ready;
  ready.facts.id = worker_id(worker);
  ready.facts.name = "worker-" + std::to_string(worker);
  ready.facts.host = ready.facts.name;
  ready.boot.bytes[0] = 1;
  ready.slots = static_cast<uint32_t>(std::clamp<size_t>(slots, 1, limits::kSlotsMax));
  ready.window = ready.slots * options_.prefetch;
  ready.services = {std::string(kServiceEcho)};
  window_ = std::max(ready.slots, std::min(ready.window, limits::kWindowMax));
  inbox_.push_back({session_of(worker), Role::worker, std::move(ready)});
}

bool SimGrid::run(uint64_t jobs) {
  const uint64_t until = submitted_ + jobs;
  if (until > options_.jobs_max) fail("more jobs than there is room for");
  const uint64_t wall = wall_ns();
  const uint64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
  while (submitted_ < until && problem_.empty()) {
    submit(std::min<uint64_t>(options_.jobs_per_turn, until - submitted_));
    turn();
  }
  // The share of this time that we had the processor.
  cost_.cpu_share = static_cast<double>(ns_of(CLOCK_THREAD_CPUTIME_ID) - cpu) /
                    static_cast<double>(std::max<uint64_t>(wall_ns() - wall, 1));
  return problem_.empty();
}

bool SimGrid::finish() {
  for (int turns = 0; ended_ < submitted_ && problem_.empty(); ++turns) {
    if (turns > 1'000'000) fail("some jobs never ended");
    turn();
  }
  turn();
  const auto counts = core_.counts();
  if (counts.accepted != submitted_ || counts.ended != submitted_ || acknowledged_ != submitted_) {
    fail("not every job was accepted, acknowledged and ended");
  }
  if (counts.unfinished != 0 || counts.queued != 0 || counts.input_bytes != 0) {
    fail("the core still holds jobs that have ended");
  }
  if (counts.kept > options_.retention_jobs + limits::kPurgeBatch) fail("too much is kept");
  if (counts.workers != options_.workers) fail("workers were lost");
  if (counts.stale + counts.duplicate + counts.requeued != 0) fail("a result was refused");
  for (uint64_t job = 0; job < submitted_; ++job) {
    if (records_[job] != (kAccepted | kRuns | kHasEnded)) fail("a job without all of its records");
  }
  return problem_.empty();
}

void SimGrid::submit(size_t jobs) {
  Submit submit;
  submit.request = ++requests_;
  submit.specs.push_back(spec_);
  submit.jobs.reserve(jobs);
  for (size_t i = 0; i < jobs; ++i) {
    step(submitted_, kNew, kSubmitted, "submitted");
    JobEntry entry;
    entry.id = id_of(submitted_++);
    entry.input = payload_;
    submit.jobs.push_back(std::move(entry));
  }
  inbox_.push_back({kClient, Role::client, std::move(submit)});
}

// What one worker has ended comes as one list.
void SimGrid::end_what_is_due() {
  while (!due_.empty() && due_.front().at <= now_.mono) {
    for (auto& [worker, entry] : due_.front().ends) {
      if (finals_[worker].items.empty()) has_final_.push_back(worker);
      step(number_of(entry.token.job), kAssigned, kEnded, "ended");
      finals_[worker].items.push_back(std::move(entry));
      --in_hand_[worker];
    }
    due_.pop_front();
  }
  for (const uint32_t worker : has_final_) {
    Final& final = finals_[worker];
    final.batch = ++batches_[worker];
    inbox_.push_back({session_of(worker), Role::worker, std::exchange(final, {})});
  }
  has_final_.clear();
}

void SimGrid::turn() {
  now_.mono = now_.mono + turn_time_;
  now_.wall = now_.wall + turn_time_;
  end_what_is_due();
  if (rules_) {
    rules_->turns.begin(now_);
    for (const Arrival& one : inbox_) {
      const WorkerId id = one.role == Role::worker ? worker_id(worker_of(one.from)) : WorkerId{};
      rules_->turns.hear(id, one.role == Role::worker, one.message);
    }
  }
  static const uint64_t kLooking = cost_of_looking();
  cost_.received += inbox_.size();
  const uint64_t begun = wall_ns();
  core_.begin(now_);
  for (Arrival& one : inbox_) core_.receive(one.from, one.role, std::move(one.message));
  broker::Effects& effects = core_.finish(true);
  const uint64_t used = wall_ns() - begun;
  cost_.ns += used - std::min(used, kLooking);
  cost_.sent += effects.sends.size();
  ++cost_.turns;
  inbox_.clear();
  if (rules_) {
    rules_->turns.end(effects, false);
    rules_->turns.on_committed(effects.records);
    if (!rules_->world.violation().empty()) fail(rules_->world.violation());
  }
  take(effects);
}

// ---- what leaves the core -----------------------------------------------------------------------

void SimGrid::take(broker::Effects& effects) {
  for (const broker::Record& record : effects.records) on(record);
  due_.push_back({now_.mono + kRunTime, {}});
  for (broker::Send& send : effects.sends) {
    if (auto* request = std::get_if<Request>(&send.message)) {
      on(worker_of(send.to), *request);
    } else if (const auto* results = std::get_if<Results>(&send.message)) {
      on(*results);
    } else if (const auto* ack = std::get_if<SubmitAck>(&send.message)) {
      on(*ack);
    } else if (const auto* final_ack = std::get_if<FinalAck>(&send.message)) {
      on(*final_ack);
    } else if (std::holds_alternative<Heartbeat>(send.message)) {
      Heartbeat beat;
      beat.window = window_;
      inbox_.push_back({send.to, Role::worker, std::move(beat)});
    } else if (!std::holds_alternative<Welcome>(send.message)) {
      fail("the broker sent what nothing here asks for");
    }
  }
}

void SimGrid::on(size_t worker, Request& request) {
  if (worker >= options_.workers) return fail("an assignment for nobody");
  for (Assignment& assigned : request.items) {
    const uint64_t job = number_of(assigned.token.job);
    step(job, kSubmitted, kAssigned, "assigned");
    if (assigned.token.attempt != 1) fail("a second attempt, though nothing failed");
    if (assigned.input.data.size() != payload_.data.size()) fail("not the input of the job");
    if (++in_hand_[worker] > window_) fail("a worker has more in hand than it asked for");
    ++assigned_;
    due_.back().ends.emplace_back(worker,
                                  FinalEntry{assigned.token, Outcome{}, std::move(assigned.input)});
  }
}

void SimGrid::on(const Results& results) {
  for (const ResultEntry& entry : results.items) {
    step(number_of(entry.job), kEnded, kTold, "told");
    if (entry.outcome.status != JobStatus::succeeded) fail("a job did not succeed");
    if (entry.output.data.size() != payload_.data.size()) fail("not the output of the job");
    ++ended_;
    ++cost_.jobs;
  }
}

void SimGrid::on(const SubmitAck& ack) {
  if (!ack.items.empty()) fail("a submit was not taken as it was");
  // Requests are of equal size, but for the last one of a run.
  acknowledged_ = std::min<uint64_t>(submitted_, acknowledged_ + options_.jobs_per_turn);
}

void SimGrid::on(const FinalAck& ack) {
  if (!ack.refused.empty()) fail("a result was refused");
}

void SimGrid::on(const broker::Record& record) {
  const auto mark = [this](const JobId& id, uint8_t bit, bool once) {
    uint8_t& records = records_.at(number_of(id));
    if (once && (records & bit) != 0) fail("a record that came twice");
    records = static_cast<uint8_t>(records | bit);
  };
  if (const auto* job = std::get_if<broker::PutJob>(&record)) mark(job->id, kAccepted, true);
  if (const auto* state = std::get_if<broker::PutState>(&record)) mark(state->id, kRuns, true);
  if (const auto* end = std::get_if<broker::PutEnd>(&record)) mark(end->id, kHasEnded, true);
}

void SimGrid::step(uint64_t job, uint8_t from, uint8_t to, const char* what) {
  if (job >= life_.size()) return fail(std::string("a job that nobody knows was ") + what);
  if (life_[job] != from) fail("job " + std::to_string(job) + " was " + what + " out of turn");
  life_[job] = to;
}

void SimGrid::fail(std::string what) {
  if (problem_.empty()) problem_ = std::move(what);
}

}  // namespace zgrid::bench
