// Lists of jobs to bytes and back: what a message costs by the number of its entries.
#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "protocol/codec.h"

namespace zgrid::protocol {
namespace {

JobId id_of(size_t number) {
  JobId id;
  for (size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  id.bytes[0] = 1;
  return id;
}

Payload payload() { return {PayloadTag::bytes, Bytes::own(std::string(100, 'x'))}; }

SpecRef spec() {
  JobSpec job;
  job.service = kServiceEcho;
  return make_spec(job);
}

WorkerFactsRef facts() {
  WorkerFacts facts;
  facts.name = facts.host = "worker-1";
  facts.os = "linux";
  facts.os_version = "Debian GNU/Linux 12 (bookworm)";
  facts.arch = "x86_64";
  facts.version = "0.1.0";
  return std::make_shared<const WorkerFacts>(facts);
}

Message submit(size_t jobs) {
  Submit m;
  m.request = 1;
  m.specs.push_back(spec());
  for (size_t i = 0; i < jobs; ++i) {
    JobEntry entry;
    entry.id = id_of(i);
    entry.input = payload();
    m.jobs.push_back(std::move(entry));
  }
  return m;
}

Message request(size_t jobs) {
  Request m;
  m.specs.push_back(spec());
  for (size_t i = 0; i < jobs; ++i) {
    Assignment item;
    item.token = {id_of(i), 1, {}};
    item.input = payload();
    m.items.push_back(std::move(item));
  }
  return m;
}

Message finals(size_t jobs) {
  Final m;
  m.batch = 1;
  for (size_t i = 0; i < jobs; ++i) {
    Outcome outcome;
    outcome.run = Micros{12};
    m.items.push_back({{id_of(i), 1, {}}, std::move(outcome), payload()});
  }
  return m;
}

Message results(size_t jobs) {
  Results m;
  m.workers.push_back(facts());
  m.heads.push_back({JobKind::workflow, std::string(kServiceEcho), ""});
  for (size_t i = 0; i < jobs; ++i) {
    ResultEntry item;
    item.job = id_of(i);
    item.attempt = 1;
    item.worker = 0;
    item.outcome.run = Micros{12};
    item.output = payload();
    item.submitted = item.started = item.finished = WallTime{1'700'000'000'000'000};
    m.items.push_back(std::move(item));
  }
  return m;
}

using Make = Message (*)(size_t);

void BM_Encode(benchmark::State& state, Make make) {
  const Message message = make(static_cast<size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(encode(message));
  state.SetItemsProcessed(state.range(0) * state.iterations());
}

void BM_Decode(benchmark::State& state, Make make) {
  const Frames frames = encode(make(static_cast<size_t>(state.range(0))));
  size_t bytes = 0;
  for (const Bytes& frame : frames) bytes += frame.size();
  for (auto _ : state) {
    auto message = decode(frames);
    if (!message) return state.SkipWithError(message.error().message.c_str());
    benchmark::DoNotOptimize(message);
  }
  state.SetItemsProcessed(state.range(0) * state.iterations());
  state.counters["bytes"] = static_cast<double>(bytes);
}

#define ZGRID_LISTS(what)                                                \
  BENCHMARK_CAPTURE(BM_Encode, what, what)->Arg(1)->Arg(100)->Arg(1000); \
  BENCHMARK_CAPTURE(BM_Decode, what, what)->Arg(1)->Arg(100)->Arg(1000)

ZGRID_LISTS(submit);
ZGRID_LISTS(request);
ZGRID_LISTS(finals);
ZGRID_LISTS(results);

}  // namespace
}  // namespace zgrid::protocol
