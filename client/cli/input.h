// What users hand in: text, @files, stdin, JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/command.h"
#include "protocol/base/result.h"
#include "protocol/job.h"

namespace zgrid::cli {

// STRING, @FILE or - for stdin; @@x is the literal @x. Errc::not_found for a missing file,
// Errc::too_large for more than one payload may hold. A relative FILE counts from the current
// folder.
Result<std::string> read_argument(const std::string& argument);
// One id a line from stdin; blanks and empty lines are skipped. Errc::timeout if its end does not
// come in time. Nothing: it may take as long as it likes.
Result<std::vector<std::string>> read_ids_from_stdin(std::optional<Millis> within);

// {"text": bytes}, with {"$base64": …} for bytes that are not UTF-8.
Payload text_payload(std::string_view bytes);

// All of a command's jobs but their inputs.
Result<SpecRef> prepare_spec(const SubmitCommand& command);
// The one job of a command: its spec and input. Errc::bad_input for an --input that is no JSON.
struct PreparedJob {
  SpecRef spec;
  Payload input;
};
Result<PreparedJob> prepare_job(const SubmitCommand& command);

}  // namespace zgrid::cli
