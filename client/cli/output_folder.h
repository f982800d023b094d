// The folder of --out: INDEX.out is what the job printed, INDEX.json its whole result. Each file is
// written under another name and then renamed, so that who reads one never sees half of it.
// It is not synced: after a power cut `zgrid result` has the results again.
// Threads: one thread.
#pragma once

#include <string>
#include <string_view>

#include "client/cli/job_result.h"

namespace zgrid::cli {

class OutputFolder {
 public:
  // Makes it, and those above it, if need be. Errc::cannot_create.
  // `advice` says how to get at results that could not be written.
  static Result<OutputFolder> open(const std::string& path, std::string advice);
  OutputFolder(OutputFolder&& other) noexcept;
  OutputFolder& operator=(OutputFolder&&) = delete;
  ~OutputFolder();

  // A job that did not succeed has no INDEX.out: one of an earlier run is removed.
  Result<void> write(uint64_t index, const JobResult& result);

 private:
  OutputFolder(int fd, std::string path, std::string advice)
      : fd_(fd), path_(std::move(path)), advice_(std::move(advice)) {}
  Result<void> write_file(const std::string& name, std::string_view bytes);
  [[nodiscard]] Failure failure(const std::string& name) const;

  int fd_;
  std::string path_, advice_;
};

}  // namespace zgrid::cli
