// Records to store in tests, and a folder to store them in.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <vector>

#include "broker/store/job_store.h"
#include "protocol/codec.h"

namespace zgrid::broker::sample {

// A folder that goes away with the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "zgrid-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make " << pattern;
    path_ = pattern;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline JobId job_id(uint64_t n) {
  std::array<uint8_t, 10> random{};
  for (size_t i = 0; i < 8; ++i) random[i] = static_cast<uint8_t>(n * 0x9e3779b97f4a7c15 >> 8 * i);
  return make_job_id(1'700'000'000'000 + static_cast<int64_t>(n / 100), random);
}

template <class IdType>
IdType some_id(uint8_t fill) {
  IdType id;
  id.bytes.fill(fill);
  return id;
}

inline SpecRef spec(const std::string& run = "", JobKind kind = JobKind::workflow) {
  JobSpec job;
  job.kind = kind;
  job.service = "analyze";
  job.run = run;
  return protocol::make_spec(job);
}

inline WorkerFactsRef facts(const std::string& name) {
  WorkerFacts facts;
  facts.id = some_id<WorkerId>(static_cast<uint8_t>(name.size()));
  facts.name = name;
  facts.host = name + ".local";
  facts.os = "linux";
  return std::make_shared<const WorkerFacts>(facts);
}

inline PutJob put_job(uint64_t seq, SpecRef of = spec()) {
  PutJob job;
  job.id = job_id(seq);
  job.seq = seq;
  job.spec = std::move(of);
  job.input = Payload{PayloadTag::json, Bytes::copy_of("{\"n\":" + std::to_string(seq) + "}")};
  job.owner = "ada@desk";
  job.body = some_id<Hash128>(static_cast<uint8_t>(seq));
  job.submitted = WallTime{1'700'000'000'000'000 + static_cast<int64_t>(seq)};
  job.accepted = GridTime{1'600'000'000'000'000 + static_cast<int64_t>(seq)};
  return job;
}

inline PutState put_state(uint64_t seq, JobStatus status, WorkerFactsRef worker = nullptr) {
  PutState state;
  state.id = job_id(seq);
  state.seq = seq;
  state.status = status;
  state.attempt = 1;
  state.nonce = some_id<Nonce>(7);
  state.worker = std::move(worker);
  return state;
}

inline PutEnd put_end(uint64_t seq, JobStatus status = JobStatus::succeeded,
                      WorkerFactsRef worker = nullptr) {
  PutEnd end;
  end.id = job_id(seq);
  end.seq = seq;
  end.outcome.status = status;
  end.attempt = 1;
  end.worker = std::move(worker);
  end.output = Payload{PayloadTag::utf8, Bytes::copy_of("done " + std::to_string(seq))};
  end.started = WallTime{5};
  end.finished = WallTime{6};
  end.ended = GridTime{1'600'000'001'000'000 + static_cast<int64_t>(seq)};
  return end;
}

template <class... Records>
std::vector<Record> batch(Records... records) {
  std::vector<Record> all;
  all.reserve(sizeof...(records));
  (all.emplace_back(std::move(records)), ...);
  return all;
}

inline void expect_durable(JobStore& store, const std::vector<Record>& records) {
  const CommitResult result = store.commit(records);
  ASSERT_EQ(result.outcome, Commit::durable) << result.reason;
}

// The job, which must be there.
inline StoredJob stored(JobStore& store, const JobId& id, uint64_t seq) {
  Result<std::optional<StoredJob>> job = store.read(id, seq);
  if (!job || !*job) {
    ADD_FAILURE() << id.str() << ": " << (job ? "not found" : job.error().message);
    return {};
  }
  return std::move(**job);
}

inline StoredJob stored(JobStore& store, uint64_t seq) { return stored(store, job_id(seq), seq); }

inline void expect_same(const WorkerFactsRef& a, const WorkerFactsRef& b) {
  ASSERT_EQ(a == nullptr, b == nullptr);
  if (a) {
    EXPECT_EQ(*a, *b);
  }
}

inline void expect_same(const PutJob& a, const PutJob& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.seq, b.seq);
  ASSERT_TRUE(a.spec && b.spec);
  EXPECT_EQ(a.spec->job, b.spec->job);
  EXPECT_EQ(a.spec->raw, b.spec->raw);
  EXPECT_EQ(a.input, b.input);
  EXPECT_EQ(a.index, b.index);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.trace, b.trace);
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.retry_of, b.retry_of);
  EXPECT_EQ(a.parent, b.parent);
  EXPECT_EQ(a.pinned, b.pinned);
  EXPECT_EQ(a.children, b.children);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.submitted, b.submitted);
  EXPECT_EQ(a.accepted, b.accepted);
}

inline void expect_same(const PutState& a, const PutState& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.attempt, b.attempt);
  EXPECT_EQ(a.nonce, b.nonce);
  expect_same(a.worker, b.worker);
  EXPECT_EQ(a.failures, b.failures);
  EXPECT_EQ(a.losses, b.losses);
  EXPECT_EQ(a.cancel_requested, b.cancel_requested);
  EXPECT_EQ(a.not_before, b.not_before);
  EXPECT_EQ(a.assigned, b.assigned);
  EXPECT_EQ(a.lost, b.lost);
  EXPECT_EQ(a.spent, b.spent);
}

inline void expect_same(const PutEnd& a, const PutEnd& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.attempt, b.attempt);
  expect_same(a.worker, b.worker);
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.started, b.started);
  EXPECT_EQ(a.finished, b.finished);
  EXPECT_EQ(a.ended, b.ended);
}

// What the core remembers of a job that ended so.
inline EndedJob ended_job(const PutJob& job, const PutEnd& end) {
  EndedJob ended;
  ended.id = job.id;
  ended.seq = job.seq;
  ended.body = job.body;
  ended.status = end.outcome.status;
  ended.attempt = end.attempt;
  ended.ended = end.ended;
  ended.bytes = stored_bytes(job.input.data.size(), end.output.data.size());
  ended.key = job.key;
  ended.owner = job.owner;
  ended.children = job.children;
  return ended;
}
inline EndedJob ended_job(uint64_t seq) { return ended_job(put_job(seq), put_end(seq)); }

inline void expect_same(const EndedJob& a, const EndedJob& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.body, b.body);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.attempt, b.attempt);
  EXPECT_EQ(a.ended, b.ended);
  EXPECT_EQ(a.bytes, b.bytes);
  EXPECT_EQ(a.key, b.key);
  EXPECT_EQ(a.owner, b.owner);
  EXPECT_EQ(a.children, b.children);
}

inline Purge purge(uint64_t number, std::vector<EndedJob> jobs) {
  return Purge{number, GridTime{1'650'000'000'000'000}, std::move(jobs)};
}

// All that recover() gives, in its order.
struct Recovery {
  std::vector<StoredJob> unfinished;
  std::vector<EndedJob> ended;
  std::vector<Purge> purged;
  std::vector<WorkerId> draining;
  std::vector<std::string> draining_names;
  std::optional<PutClock> clock;
  std::vector<uint64_t> order;   // of jobs, by seq
  std::vector<uint64_t> purges;  // by number
};

inline Result<Recovery> recovered(JobStore& store, uint64_t input_bytes_max = UINT64_MAX) {
  Recovery all;
  JobStore::Recovered into;
  into.input_bytes_max = input_bytes_max;
  into.unfinished = [&](StoredJob&& job) {
    all.order.push_back(job.accepted.seq);
    all.unfinished.push_back(std::move(job));
  };
  into.ended = [&](EndedJob&& job) {
    all.order.push_back(job.seq);
    all.ended.push_back(std::move(job));
  };
  into.purged = [&](Purge&& purge) {
    all.purges.push_back(purge.number);
    all.purged.push_back(std::move(purge));
  };
  into.drain = [&](const PutDrain& drain) {
    EXPECT_TRUE(drain.draining);
    all.draining.push_back(drain.worker);
    all.draining_names.push_back(drain.name);
  };
  into.clock = [&](const PutClock& clock) { all.clock = clock; };
  if (Result<void> done = store.recover(into); !done) return fail(std::move(done.error()));
  return all;
}

inline std::vector<uint64_t> listed(JobStore& store, const JobFilter& filter) {
  Result<std::vector<StoredJob>> jobs = store.list(filter);
  std::vector<uint64_t> seqs;
  if (!jobs) {
    ADD_FAILURE() << jobs.error().message;
    return seqs;
  }
  for (const StoredJob& job : *jobs) seqs.push_back(job.accepted.seq);
  return seqs;
}

}  // namespace zgrid::broker::sample
