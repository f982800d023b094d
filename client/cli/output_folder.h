// The folder of --out: INDEX.out is what the job printed, INDEX.json its whole result. Each file is
// written under another name and then renamed, so that who reads one never sees half of it.
// A folder holds the results of one run, so that nobody takes an older one's for this one's.
// It is not synced: after a power cut `zgrid result` has the results again.
// Threads: one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/cli/job_result.h"

namespace zgrid::cli {

class OutputFolder {
 public:
  // Of what is there, so many documents are read to learn whose they are, from the last index on.
  static constexpr size_t kLookedAt = 16;

  // Makes it, and those above it, if need be. Errc::cannot_create, also if it holds results of
  // another run than `run`, or documents of others under the names that ours would have.
  // `advice` says how to get at results that could not be written.
  static Result<OutputFolder> open(const std::string& path, const std::string& run,
                                   std::string advice);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // A job that did not succeed has no INDEX.out: one of an earlier run is removed.
  Result<void> write(uint64_t index, const JobResult& result);
  // Results that were there before and have not been written since, as indexes in order.
  [[nodiscard]] std::vector<uint64_t> untouched() const;

 private:
  OutputFolder(int fd, std::string path, std::string advice)
      : fd_(fd), path_(std::move(path)), advice_(std::move(advice)) {}
  // What INDEX.json of these indexes says of whose they are.
  [[nodiscard]] Result<void> check_owner(const std::string& run) const;
  Result<void> write_file(const std::string& name, std::string_view bytes);
  [[nodiscard]] Failure failure(const std::string& name) const;

  int fd_;
  std::string path_, advice_;
  std::vector<uint64_t> found_;  // at the beginning, ascending
  std::vector<bool> written_;    // of found_
};

}  // namespace zgrid::cli
