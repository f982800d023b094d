// What a commit costs, by its size: jobs per second through their whole life, and the start of a
// store with many jobs. Run it alone; the folder of ZGRID_BENCH_DIR (default: the one for temporary
// files) should be on the disk that is meant.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <random>
#include <string>

#include "broker/store/job_store.h"
#include "protocol/codec.h"

namespace zgrid::broker {
namespace {

class Folder {
 public:
  Folder() {
    const char* base = getenv("ZGRID_BENCH_DIR");
    path_ = base ? base : std::filesystem::temp_directory_path().string();
    path_ += "/zgrid-bench-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string store() const { return path_ + "/broker.db"; }

 private:
  std::string path_;
};

// Jobs of the size that the speed goals speak of: 100 bytes in and out.
class Jobs {
 public:
  Jobs() {
    JobSpec job;
    job.service = std::string(kServiceEcho);
    spec_ = protocol::make_spec(job);
    WorkerFacts facts;
    facts.name = facts.host = "worker-1";
    facts.os = "linux";
    facts.os_version = "Debian GNU/Linux 12 (bookworm)";
    facts_ = std::make_shared<const WorkerFacts>(facts);
  }
  PutJob accept(uint64_t seq) {
    PutJob job;
    std::array<uint8_t, 10> random{};
    for (uint8_t& byte : random) byte = static_cast<uint8_t>(random_());
    job.id = make_job_id(1'700'000'000'000 + static_cast<int64_t>(seq / 200), random);
    job.seq = seq;
    job.spec = spec_;
    job.input = payload_;
    job.owner = "ada@desk";
    return job;
  }
  PutState start(const JobId& id) {
    PutState state;
    state.id = id;
    state.status = JobStatus::running;
    state.attempt = 1;
    state.worker = facts_;
    return state;
  }
  PutEnd end(const JobId& id) {
    PutEnd end;
    end.id = id;
    end.attempt = 1;
    end.worker = facts_;
    end.output = payload_;
    return end;
  }

 private:
  SpecRef spec_;
  WorkerFactsRef facts_;
  Payload payload_{PayloadTag::json, Bytes::own(std::string(100, 'x'))};
  std::mt19937_64 random_{1};
};

void must(const CommitResult& result) {
  if (result.outcome != Commit::durable) abort();
}

// A commit of n jobs that begin, then one of the same that end. With folded: one of both.
void whole_life(benchmark::State& state, const std::string& kind, bool folded) {
  const auto per_commit = static_cast<size_t>(state.range(0));
  Folder folder;
  auto store = open_store(kind == "memory" ? kind : folder.store());
  if (!store) return state.SkipWithError(store.error().message.c_str());
  Jobs jobs;
  uint64_t seq = 0;
  for (auto _ : state) {
    std::vector<Record> begin, end;
    for (size_t i = 0; i < per_commit; ++i) {
      PutJob job = jobs.accept(++seq);
      const JobId id = job.id;
      begin.emplace_back(std::move(job));
      begin.emplace_back(jobs.start(id));
      (folded ? begin : end).emplace_back(jobs.end(id));
    }
    must((*store)->commit(begin));
    must((*store)->tend());
    if (folded) continue;
    must((*store)->commit(end));
    must((*store)->tend());
  }
  state.SetItemsProcessed(static_cast<int64_t>(seq));
}

void BM_SqliteBeginThenEnd(benchmark::State& state) { whole_life(state, "sqlite", false); }
void BM_SqliteBeginWithEnd(benchmark::State& state) { whole_life(state, "sqlite", true); }
void BM_MemoryBeginThenEnd(benchmark::State& state) { whole_life(state, "memory", false); }
BENCHMARK(BM_SqliteBeginThenEnd)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();
BENCHMARK(BM_SqliteBeginWithEnd)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();
BENCHMARK(BM_MemoryBeginThenEnd)->Arg(1)->Arg(1000)->UseRealTime();

// Opening and recovering a store with so many queued jobs, after an orderly stop and after a kill.
void start(benchmark::State& state, bool killed) {
  const auto count = static_cast<uint64_t>(state.range(0));
  Folder folder;
  {
    auto store = open_store(folder.store());
    if (!store) return state.SkipWithError(store.error().message.c_str());
    Jobs jobs;
    std::vector<Record> records;
    for (uint64_t seq = 1; seq <= count; ++seq) {
      records.emplace_back(jobs.accept(seq));
      if (records.size() < 1000 && seq < count) continue;
      must((*store)->commit(records));
      must((*store)->tend());
      records.clear();
    }
  }
  for (auto _ : state) {
    if (killed) {
      state.PauseTiming();
      std::filesystem::remove(folder.store() + "-wal");
      FILE* log = fopen((folder.store() + "-wal").c_str(), "w");
      fputs("what is left of a log", log);
      fclose(log);
      state.ResumeTiming();
    }
    auto store = open_store(folder.store());
    if (!store) return state.SkipWithError(store.error().message.c_str());
    uint64_t seen = 0;
    JobStore::Recovered into;
    into.unfinished = [&](StoredJob&&) { ++seen; };
    into.ended = [](EndedJob&&) {};
    into.drain = [](const PutDrain&) {};
    if (!(*store)->recover(into) || seen != count) state.SkipWithError("recovery failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_StartAfterStop(benchmark::State& state) { start(state, false); }
void BM_StartAfterKill(benchmark::State& state) { start(state, true); }
BENCHMARK(BM_StartAfterStop)->Arg(1'000'000)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(BM_StartAfterKill)->Arg(1'000'000)->Unit(benchmark::kMillisecond)->UseRealTime();

void BM_ListNewest50(benchmark::State& state) {
  Folder folder;
  auto store = open_store(folder.store());
  if (!store) return state.SkipWithError(store.error().message.c_str());
  Jobs jobs;
  std::vector<Record> records;
  for (uint64_t seq = 1; seq <= 1'000'000; ++seq) {
    records.emplace_back(jobs.accept(seq));
    if (records.size() < 1000) continue;
    must((*store)->commit(records));
    must((*store)->tend());
    records.clear();
  }
  JobFilter filter;
  if (state.range(0) != 0) filter.states = {static_cast<JobStatus>(state.range(0))};
  for (auto _ : state) benchmark::DoNotOptimize((*store)->list(filter));
}
BENCHMARK(BM_ListNewest50)->Arg(0)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace zgrid::broker
