// The JSON documents of the command line, schema "zgrid/1". Every field is always there, null
// when unknown; names and order are a public contract, pinned by tests/unit/client.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "client/cli/job_result.h"
#include "protocol/beacon.h"
#include "protocol/json.h"

namespace zgrid::cli {

inline constexpr std::string_view kSchema = "zgrid/1";

Json result_document(const JobResult& result);
Json event_document(const JobId& job, uint32_t attempt, const JobEvent& event);
Json jobs_document(const std::vector<protocol::JobSummary>& jobs);
Json workers_document(const std::vector<protocol::WorkerView>& workers);
Json status_document(const protocol::StatusView& status);
Json brokers_document(const std::vector<protocol::FoundBroker>& brokers,
                      const std::vector<std::string>& other_grids);
// Of jobs without their results: what `submit --detach`, `retry --detach` and `cancel` print.
struct JobState {
  JobId job;
  JobStatus status = JobStatus::queued;
  JobId retry_of{};    // nil, and then not a member: it is no retry
  uint64_t index = 0;  // 0, and then not a member: it is not one of many
};
Json states_document(const std::vector<JobState>& states);
Json error_document(const Error& error);

}  // namespace zgrid::cli
