// What a commit costs, by its size: jobs per second through their whole life, and the start of a
// store with many jobs. Run it alone; the folder of ZGRID_BENCH_DIR (default: the one for temporary
// files) should be on the disk that is meant.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <random>
#include <string>

#include "broker/store/job_store.h"
#include "broker/store/store_files.h"
#include "protocol/base/limits.h"
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
  PutState start(const JobId& id, uint64_t seq) {
    PutState state;
    state.id = id;
    state.seq = seq;
    state.status = JobStatus::running;
    state.attempt = 1;
    state.worker = facts_;
    return state;
  }
  PutEnd end(const JobId& id, uint64_t seq) {
    PutEnd end;
    end.id = id;
    end.seq = seq;
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
      begin.emplace_back(jobs.start(id, seq));
      (folded ? begin : end).emplace_back(jobs.end(id, seq));
    }
    must((*store)->commit(begin));
    must((*store)->tend());
    if (folded) continue;
    must((*store)->commit(end));
    must((*store)->tend());
  }
  state.SetItemsProcessed(static_cast<int64_t>(seq));
}

// Whole lives in commits of 256; with each, what ended that many commits ago is purged. The second
// range: 0 without purges, 1 with them. `file` is the size of the store at the end.
void BM_Retention(benchmark::State& state) {
  constexpr size_t kPerCommit = limits::kPurgeBatch;
  const auto kept = static_cast<size_t>(state.range(0));
  Folder folder;
  auto store = open_store(folder.store());
  if (!store) return state.SkipWithError(store.error().message.c_str());
  Jobs jobs;
  uint64_t seq = 0;
  uint64_t purges = 0;
  std::deque<std::vector<EndedJob>> ended;
  for (auto _ : state) {
    std::vector<Record> begin, end;
    std::vector<EndedJob>& batch = ended.emplace_back();
    for (size_t i = 0; i < kPerCommit; ++i) {
      PutJob job = jobs.accept(++seq);
      EndedJob old;
      old.id = job.id;
      old.seq = seq;
      old.owner = job.owner;
      batch.push_back(std::move(old));
      begin.emplace_back(jobs.start(job.id, seq));
      end.emplace_back(jobs.end(job.id, seq));
      begin.emplace_back(std::move(job));
    }
    if (state.range(1) != 0 && ended.size() > kept) {
      end.emplace_back(Purge{++purges, GridTime{}, std::move(ended.front())});
      ended.pop_front();
      if (purges > kept) end.emplace_back(Forget{purges - kept});
    }
    must((*store)->commit(begin));
    must((*store)->tend());
    must((*store)->commit(end));
    must((*store)->tend());
  }
  state.SetItemsProcessed(static_cast<int64_t>(seq));
  state.counters["file"] = static_cast<double>(std::filesystem::file_size(folder.store()));
}
BENCHMARK(BM_Retention)->Args({100, 0})->Args({100, 1})->UseRealTime()->Iterations(2000);

void BM_SqliteBeginThenEnd(benchmark::State& state) { whole_life(state, "sqlite", false); }
void BM_SqliteBeginWithEnd(benchmark::State& state) { whole_life(state, "sqlite", true); }
void BM_MemoryBeginThenEnd(benchmark::State& state) { whole_life(state, "memory", false); }
BENCHMARK(BM_SqliteBeginThenEnd)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();
BENCHMARK(BM_SqliteBeginWithEnd)->Arg(1)->Arg(10)->Arg(100)->Arg(1000)->UseRealTime();
BENCHMARK(BM_MemoryBeginThenEnd)->Arg(1)->Arg(1000)->UseRealTime();

// A store with so many queued jobs; its files as a kill leaves them if `killed`, then `path` and
// its log are copies.
std::string fill(const Folder& folder, uint64_t count, bool killed) {
  auto store = open_store(folder.store());
  if (!store) abort();
  Jobs jobs;
  std::vector<Record> records;
  for (uint64_t seq = 1; seq <= count; ++seq) {
    records.emplace_back(jobs.accept(seq));
    if (records.size() < 1000 && seq < count) continue;
    must((*store)->commit(records));
    must((*store)->tend());
    records.clear();
  }
  const std::string copy = folder.store() + "-killed";
  for (const char* suffix : {"", "-wal"}) {
    if (killed) std::filesystem::copy_file(folder.store() + suffix, copy + suffix);
  }
  return killed ? copy : folder.store();
}

// Opening and recovering a store with so many queued jobs, after an orderly stop and after a kill.
// After a kill every page is read from the disk.
void start(benchmark::State& state, bool killed) {
  const auto count = static_cast<uint64_t>(state.range(0));
  Folder folder;
  const std::string path = fill(folder, count, killed);
  for (auto _ : state) {
    std::string used = path;
    if (killed) {
      state.PauseTiming();
      used += "-used";
      for (const char* suffix : {"", "-wal"}) {
        std::filesystem::remove(used + suffix);
        std::filesystem::copy_file(path + suffix, used + suffix);
        // A page that is not written cannot leave the cache.
        if (!sync_file(used + suffix)) abort();
      }
      state.ResumeTiming();
    }
    const auto begun = std::chrono::steady_clock::now();
    auto store = open_store(used);
    if (!store) return state.SkipWithError(store.error().message.c_str());
    const std::chrono::duration<double> open = std::chrono::steady_clock::now() - begun;
    state.counters["open_s"] = open.count();
    uint64_t seen = 0;
    JobStore::Recovered into;
    into.unfinished = [&](StoredJob&&) { ++seen; };
    into.ended = [](EndedJob&&) {};
    into.purged = [](Purge&&) {};
    into.drain = [](const PutDrain&) {};
    into.clock = [](const PutClock&) {};
    if (!(*store)->recover(into) || seen != count) state.SkipWithError("recovery failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void BM_StartAfterStop(benchmark::State& state) { start(state, false); }
void BM_StartAfterKill(benchmark::State& state) { start(state, true); }
BENCHMARK(BM_StartAfterStop)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_StartAfterKill)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime()
    ->Iterations(3);

void BM_ListNewest50(benchmark::State& state) {
  Folder folder;
  fill(folder, 1'000'000, false);
  auto store = open_store(folder.store());
  if (!store) return state.SkipWithError(store.error().message.c_str());
  JobFilter filter;
  if (state.range(0) != 0) filter.states = {static_cast<JobStatus>(state.range(0))};
  for (auto _ : state) benchmark::DoNotOptimize((*store)->list(filter));
}
BENCHMARK(BM_ListNewest50)->Arg(0)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace zgrid::broker
