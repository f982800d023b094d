// A broker's core between fake peers that must be emptied: a test ends by checking that nothing
// was sent that it did not look at. Heartbeats of the broker are not kept.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "broker/core/core.h"
#include "broker/store/memory_store.h"
#include "broker/store_answers.h"
#include "protocol/codec.h"
#include "protocol/hash.h"

namespace zgrid::broker {

using namespace protocol;

class CountingEntropy final : public Entropy {
 public:
  void fill(std::span<uint8_t> into) override {
    ++count_;
    for (size_t i = 0; i < into.size(); ++i)
      into[i] = static_cast<uint8_t>(count_ >> (8 * (i % 8)));
  }

 private:
  uint64_t count_ = 0;
};

class CoreTest : public testing::Test {
 protected:
  static constexpr SessionId kClient{1}, kOther{2};

  CoreTest() {
    config_.broker_name = "broker";
    config_.store.id.bytes[0] = 7;
    config_.store.epoch = 1;
    start_core();
  }

  void TearDown() override {
    for (const auto& [session, messages] : inbox_) {
      for (const Send& send : messages) {
        ADD_FAILURE() << "session " << static_cast<uint64_t>(session) << " was also sent "
                      << message_name(kind_of(send.message));
      }
    }
  }

  // ---- the broker ----
  void start_core() {
    core_ = std::make_unique<Core>(config_, entropy_);
    JobStore::Recovered into;
    into.unfinished = [this](StoredJob&& job) { core_->restore(std::move(job)); };
    into.ended = [this](EndedJob&& job) { core_->restore(std::move(job)); };
    into.purged = [this](Purge&& purge) { core_->restore(std::move(purge)); };
    into.drain = [this](const PutDrain& drain) { core_->restore(drain); };
    into.clock = [this](const PutClock& clock) { core_->restore(clock); };
    into.input_bytes_max = config_.memory_bytes;
    ASSERT_TRUE(store_.recover(into));
  }
  // Everything committed survives; every session is over.
  void restart() {
    ++config_.store.epoch;
    inbox_.clear();
    workers_.clear();
    start_core();
    turn();
  }
  // Several events in one turn.
  template <class Events>
  void turn(Events events, bool drained = true) {
    core_->begin(now());
    events();
    take(core_->finish(drained));
  }
  void turn() {
    turn([] {});
  }
  void say(SessionId from, Role role, Message message) {
    turn([&] { core_->receive(from, role, std::move(message)); });
  }
  // Time passes in small steps, in which living workers send heartbeats.
  void pass(Millis time) {
    for (Millis step{50}; time.count() > 0; time -= step) {
      now_ = now_ + Micros(std::min(step, time));
      turn([&] {
        for (const SessionId worker : workers_) core_->receive(worker, Role::worker, Heartbeat{});
      });
    }
  }
  [[nodiscard]] Now now() const {
    return {MonoTime{now_}, WallTime{1'000'000'000'000'000 + now_.count()} + wall_offset_};
  }

  // ---- what was sent ----
  // The next message to that session, which must be an M.
  template <class M>
  M next(SessionId session, Gate gate = Gate::after_commit) {
    auto& messages = inbox_[session];
    if (messages.empty()) {
      ADD_FAILURE() << "nothing was sent to session " << static_cast<uint64_t>(session);
      return {};
    }
    const Send send = std::move(messages.front());
    messages.pop_front();
    EXPECT_EQ(send.gate, gate) << message_name(kind_of(send.message));
    if (const M* m = std::get_if<M>(&send.message)) return *m;
    ADD_FAILURE() << "sent was " << message_name(kind_of(send.message));
    return {};
  }
  [[nodiscard]] bool silent(SessionId session) { return inbox_[session].empty(); }
  // The tokens of the next REQUEST.
  std::vector<Token> assigned(SessionId worker, Gate gate = Gate::after_commit) {
    std::vector<Token> tokens;
    for (const Assignment& item : next<Request>(worker, gate).items) tokens.push_back(item.token);
    return tokens;
  }
  Token assigned_one(SessionId worker, Gate gate = Gate::after_commit) {
    const auto tokens = assigned(worker, gate);
    EXPECT_EQ(tokens.size(), 1u);
    return tokens.empty() ? Token{} : tokens.front();
  }
  ResultEntry result(SessionId client) {
    const auto results = next<Results>(client);
    EXPECT_EQ(results.items.size(), 1u);
    return results.items.empty() ? ResultEntry{} : results.items.front();
  }

  // ---- clients ----
  void hello(SessionId client = kClient, const std::string& who = "ann@host") {
    Hello m;
    m.user_host = who;
    say(client, Role::client, m);
    next<Welcome>(client, Gate::free);
  }
  static JobSpec spec(const std::string& service = "echo") {
    JobSpec job;
    job.service = service;
    return job;
  }
  JobEntry entry(const std::string& input = "1") {
    JobEntry e;
    const uint64_t number = ++jobs_made_;
    for (size_t i = 0; i < 8; ++i) e.id.bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
    e.id.bytes[0] = 1;
    e.input = {PayloadTag::json, Bytes::copy_of(input)};
    return e;
  }
  Submit submission(const JobSpec& job, std::vector<JobEntry> entries) {
    Submit m;
    m.request = ++requests_;
    m.specs = {make_spec(job)};
    m.jobs = std::move(entries);
    return m;
  }
  // One job; its acknowledgement is still to be looked at.
  JobId submit(const JobSpec& job, SessionId client = kClient) {
    const JobEntry e = entry();
    say(client, Role::client, submission(job, {e}));
    return e.id;
  }
  // One job that is accepted as it is.
  JobId accepted(const JobSpec& job, SessionId client = kClient) {
    const JobId id = submit(job, client);
    EXPECT_TRUE(next<SubmitAck>(client).items.empty());
    return id;
  }
  // Why the only job of a submission was refused.
  Error refusal(Gate gate = Gate::after_commit) {
    const auto ack = next<SubmitAck>(kClient, gate);
    if (ack.items.size() != 1 || !ack.items.front().error) {
      ADD_FAILURE() << "it was not refused";
      return {};
    }
    return *ack.items.front().error;
  }
  JobStatus watch(const JobId& id, SessionId client = kClient) {
    Watch m;
    m.jobs = {id};
    say(client, Role::client, m);
    const auto ack = next<WatchAck>(client);
    EXPECT_TRUE(ack.items.front().known);
    return ack.items.front().status;
  }
  void cancel(const JobId& id, SessionId client = kClient) {
    Cancel m;
    m.jobs = {id};
    say(client, Role::client, m);
  }
  Answer ask(Query::What what, std::vector<std::string> selectors = {}) {
    Query m;
    m.what = what;
    m.selectors = std::move(selectors);
    say(kClient, Role::client, m);
    return next<Answer>(kClient);
  }

  // ---- workers ----
  static Ready ready(const std::string& name, uint32_t slots = 1) {
    Ready m;
    m.facts.name = name;
    m.facts.id.bytes[0] = 9;
    for (size_t i = 0; i < name.size() && i < 15; ++i)
      m.facts.id.bytes[i + 1] = static_cast<uint8_t>(name[i]);
    m.facts.host = "host-of-" + name;
    m.facts.version = "0.1.0";
    m.boot.bytes[0] = 1;
    m.slots = m.window = slots;
    m.services = {"echo"};
    return m;
  }
  Welcome join(SessionId session, Ready m) {
    workers_.insert(session);
    say(session, Role::worker, std::move(m));
    return next<Welcome>(session, Gate::free);
  }
  // Its heartbeats end.
  void die(SessionId session) { workers_.erase(session); }
  static FinalEntry final_entry(const Token& token, JobStatus status = JobStatus::succeeded) {
    FinalEntry e;
    e.token = token;
    e.outcome.status = status;
    e.output = {PayloadTag::utf8, Bytes::copy_of("out")};
    if (status == JobStatus::failed) {
      e.outcome.error = JobError{};
      e.outcome.error->kind = JobErrorKind::workflow;
      e.outcome.error->retryable = true;
    }
    return e;
  }
  void finish(SessionId worker, const Token& token, JobStatus status = JobStatus::succeeded) {
    Final m;
    m.batch = ++batches_;
    m.items = {final_entry(token, status)};
    say(worker, Role::worker, std::move(m));
  }
  // The acknowledgement refuses nothing.
  void expect_final_ack(SessionId worker) { EXPECT_TRUE(next<FinalAck>(worker).refused.empty()); }
  FinalAck::Verdict verdict(SessionId worker) {
    const auto ack = next<FinalAck>(worker);
    EXPECT_EQ(ack.refused.size(), 1u);
    return ack.refused.empty() ? FinalAck::Verdict::unknown : ack.refused.front().verdict;
  }
  void start(SessionId worker, const Token& token) { say(worker, Role::worker, Started{{token}}); }

  // A job that runs on its worker.
  Token running(const JobSpec& job, SessionId worker) {
    submit(job);
    const Token token = assigned_one(worker, Gate::overtake);
    next<SubmitAck>(kClient);
    start(worker, token);
    return token;
  }

  void take(Effects& effects) {
    for (const Record& record : effects.records) {  // the clock's are no test's business
      if (!std::holds_alternative<PutClock>(record)) records_.push_back(record);
    }
    if (!effects.records.empty()) {
      EXPECT_EQ(store_.commit(effects.records).outcome, Commit::durable);
    }
    for (Send& send : effects.sends) {
      if (std::holds_alternative<Heartbeat>(send.message)) continue;
      inbox_[send.to].push_back(std::move(send));
    }
    for (StoreRead& read : effects.reads) {
      number_jobs(*core_, read);
      reads_.push_back(read);
    }
    notes_.insert(notes_.end(), effects.notes.begin(), effects.notes.end());
  }
  Result<std::optional<StoredJob>> read_stored(const JobId& id) {
    return store_.read(id, core_->number_of(id));
  }
  StoredJob stored(const JobId& id) { return read_stored(id)->value(); }

  CoreConfig config_;
  CountingEntropy entropy_;
  MemoryStore store_;
  std::unique_ptr<Core> core_;
  Micros now_{1'000'000};
  Micros wall_offset_{0};  // somebody set the wall clock
  std::map<SessionId, std::deque<Send>> inbox_;
  std::vector<Record> records_;
  std::vector<StoreRead> reads_;
  std::vector<Note> notes_;
  std::set<SessionId> workers_;
  uint64_t jobs_made_ = 0, requests_ = 0, batches_ = 0;
};

}  // namespace zgrid::broker
