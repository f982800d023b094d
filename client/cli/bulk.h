// Submitting many jobs: reading their inputs while results come back, within bounded memory.
#pragma once

#include <optional>
#include <string>

#include "client/cli/bulk_source.h"
#include "client/cli/input_maker.h"
#include "client/cli/output_folder.h"
#include "client/cli/session.h"

namespace zgrid::cli {

// Errc::usage for options that make no sense together; also of a submit of one job.
Result<void> check_options(const SubmitCommand& command);

// A name for a run that was given none: bulk-20260131-081500-k3xq.
std::string new_run_name(WallTime now, uint32_t random);
// The same for each submit with this key, since the run is part of what a key stands for: the key
// itself if it can be one.
std::string run_name_of_key(const std::string& key);

// All that can be found wrong without a broker was.
struct PreparedBulk {
  SubmitCommand command;  // with its run's name
  SpecRef spec;
  InputMaker maker;
  BulkSource source;
  std::optional<OutputFolder> folder;
};
// Looks through a regular file first: a line that cannot be right means that nothing is submitted.
Result<PreparedBulk> prepare_bulk(App& app, SubmitCommand command);

// Submits, waits and shows as the command says. Returns the exit code; after a signal the caller
// must end the process by session.signal(). `is_private`: the jobs end with this process.
int submit_bulk(App& app, Session& session, PreparedBulk bulk, bool is_private);

}  // namespace zgrid::cli
