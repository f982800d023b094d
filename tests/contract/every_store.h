// The stores that have to pass the contract tests, each opened anew for each test.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/contract/store_sample.h"

namespace zgrid::broker::sample {

class EveryStore : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    Result<std::unique_ptr<JobStore>> opened =
        open_store(kind == "memory" ? kind : folder_.file("broker.db"));
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }

  TempFolder folder_;
  std::unique_ptr<JobStore> store_;
};

// For INSTANTIATE_TEST_SUITE_P, with name_of_store.
inline auto every_store() { return testing::Values("memory", "sqlite"); }
inline std::string name_of_store(const testing::TestParamInfo<const char*>& one) {
  return one.param;
}

// Records with every field set.
inline PutJob full_job() {
  PutJob job = put_job(3, spec("nightly"));
  job.index = 17;
  job.key = std::string("k\0\xff\x01 key", 9);
  job.trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  job.retry_of = job_id(1);
  job.parent = job_id(2);
  job.pinned = some_id<WorkerId>(9);
  job.children = {job_id(10), job_id(11)};
  job.input = Payload{PayloadTag::bytes, Bytes::copy_of(std::string("\0\x01\xfe", 3))};
  return job;
}

inline PutState full_state() {
  PutState state = put_state(3, JobStatus::waiting_input, facts("gpu-box"));
  state.attempt = 4;
  state.failures = 2;
  state.losses = 1;
  state.cancel_requested = true;
  state.not_before = GridTime{99};
  state.assigned = WallTime{98};
  state.lost = {"the worker went away", "", std::string("a\0b", 3)};
  state.spent =
      Spent{Micros{1'000'000}, Micros{2'500'000}, Micros{7}, GridTime{1'600'000'000'000'000}};
  return state;
}

inline PutEnd full_end() {
  PutEnd end = put_end(3, JobStatus::failed, facts("laptop"));
  end.outcome.usage = Usage{12, 34, 0.5, true};
  JobError error;
  error.kind = JobErrorKind::workflow;
  error.message = "the step fell over";
  error.exit_code = 139;
  error.stderr_tail = std::string("a\0b", 3);
  end.outcome.error = error;
  return end;
}

}  // namespace zgrid::broker::sample
