// The broker's core by itself: jobs from submit to result without sockets, disk or codec, by batch
// and by the number of workers among which it chooses.
#include <benchmark/benchmark.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/core/core.h"
#include "protocol/codec.h"

namespace zgrid::broker {
namespace {

using namespace protocol;

// Numbers instead of chance, so that runs are alike.
class Counting final : public Entropy {
 public:
  void fill(std::span<uint8_t> into) override {
    ++count_;
    for (size_t i = 0; i < into.size(); ++i) {
      into[i] = static_cast<uint8_t>(count_ >> (8 * (i % 8)));
    }
  }

 private:
  uint64_t count_ = 0;
};

// A core between one client and some workers that answer each assignment in the next turn.
class Grid {
 public:
  Grid(size_t workers, uint32_t slots, uint32_t window) : core_(config(), entropy_) {
    JobSpec job;
    job.service = kServiceEcho;
    spec_ = make_spec(job);
    Hello hello;
    hello.user_host = "ann@desk";
    say(kClient, Role::client, std::move(hello));
    for (size_t i = 0; i < workers; ++i) {
      Ready ready;
      ready.facts.id.bytes[0] = 1;
      const uint64_t number = i + 1;
      std::memcpy(ready.facts.id.bytes.data() + 8, &number, sizeof number);
      ready.facts.name = "worker-" + std::to_string(i);
      ready.facts.host = ready.facts.name;
      ready.boot.bytes[0] = 1;
      ready.slots = slots;
      ready.window = window;
      ready.services = {std::string(kServiceEcho)};
      say(session(i), Role::worker, std::move(ready));
    }
  }

  // Submits so many and turns until all results are there. False if some never come.
  bool run(size_t jobs) {
    results_ = 0;
    Submit submit;
    submit.request = ++requests_;
    submit.specs.push_back(spec_);
    submit.jobs.reserve(jobs);
    for (size_t i = 0; i < jobs; ++i) submit.jobs.push_back(entry());
    say(kClient, Role::client, std::move(submit));
    while (results_ < jobs) {
      if (finals_.empty()) return false;
      core_.begin(now_);
      for (auto& [from, final] : std::exchange(finals_, {})) {
        core_.receive(from, Role::worker, std::move(final));
      }
      take(core_.finish(true));
    }
    return true;
  }

 private:
  static constexpr SessionId kClient{1};
  static SessionId session(size_t worker) { return SessionId{worker + 2}; }

  static CoreConfig config() {
    CoreConfig config;
    config.broker_name = "broker";
    config.store.id.bytes[0] = 7;
    config.store.epoch = 1;
    config.retention_jobs = 10'000;  // so that memory does not grow with the length of the run
    return config;
  }
  JobEntry entry() {
    JobEntry entry;
    ++jobs_;
    entry.id.bytes[0] = 1;
    for (size_t i = 0; i < 8; ++i) entry.id.bytes[15 - i] = static_cast<uint8_t>(jobs_ >> (8 * i));
    entry.input = payload_;
    return entry;
  }
  void say(SessionId from, Role role, Message message) {
    core_.begin(now_);
    core_.receive(from, role, std::move(message));
    take(core_.finish(true));
  }
  void take(Effects& effects) {
    for (Send& send : effects.sends) {
      if (const auto* request = std::get_if<Request>(&send.message)) {
        Final final;
        final.batch = ++batches_[send.to];
        final.items.reserve(request->items.size());
        for (const Assignment& assigned : request->items) {
          final.items.push_back({assigned.token, Outcome{}, payload_});
        }
        finals_.emplace_back(send.to, std::move(final));
      } else if (const auto* results = std::get_if<Results>(&send.message)) {
        results_ += results->items.size();
      }
    }
  }

  Counting entropy_;
  Core core_;
  SpecRef spec_;
  Payload payload_{PayloadTag::bytes, Bytes::own(std::string(100, 'x'))};
  Now now_{MonoTime{Micros{1'000'000}}, WallTime{1'700'000'000'000'000}};
  std::vector<std::pair<SessionId, Final>> finals_;
  std::map<SessionId, uint64_t> batches_;
  uint64_t requests_ = 0, jobs_ = 0;
  size_t results_ = 0;
};

void measure(benchmark::State& state, Grid& grid, size_t jobs) {
  for (auto _ : state) {
    if (!grid.run(jobs)) return state.SkipWithError("some results never came");
  }
  state.SetItemsProcessed(static_cast<int64_t>(jobs) * state.iterations());
}

// One worker with much ahead; lists of that many jobs.
void BM_SubmitAssignResult(benchmark::State& state) {
  Grid grid(1, 2, 4096);
  measure(state, grid, static_cast<size_t>(state.range(0)));
}
BENCHMARK(BM_SubmitAssignResult)->Arg(1)->Arg(10)->Arg(100)->Arg(1000);

// One job at a time, and that many idle workers to choose from.
void BM_Workers(benchmark::State& state) {
  Grid grid(static_cast<size_t>(state.range(0)), 1, 1);
  measure(state, grid, 1);
}
BENCHMARK(BM_Workers)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

// As many jobs at a time as there are workers, one for each.
void BM_WorkersAllBusy(benchmark::State& state) {
  const auto workers = static_cast<size_t>(state.range(0));
  Grid grid(workers, 1, 1);
  measure(state, grid, workers);
}
BENCHMARK(BM_WorkersAllBusy)->Arg(10)->Arg(100)->Arg(1000)->Arg(10'000);

}  // namespace
}  // namespace zgrid::broker
