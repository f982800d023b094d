// Between the values of the public header and our own.
#pragma once

#include "client/connection.h"
#include "protocol/keys.h"
#include "zgrid/client.hpp"

namespace zgrid::api {

Error public_error(const zgrid::Error& error);
// The root of a secret, or of the file that holds it. Errc::config without either.
zgrid::Result<protocol::Root> root_of(std::string secret, const std::string& secret_file,
                                      const std::string& cache_dir);
// Errc::bad_input for a target, name or input that cannot be right.
zgrid::Result<client::Submission> to_submission(const Job& job, const JobId& id);
JobResult public_result(const client::ResultView& view);
Event public_event(const JobId& job, uint32_t attempt, const JobEvent& event);
JobInfo public_job(const protocol::JobSummary& job);
WorkerInfo public_worker(const protocol::WorkerView& worker);

}  // namespace zgrid::api
