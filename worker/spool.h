// Results that their broker has not acknowledged, on disk while it is away.
//
// A folder with a file for each result, named by its nonce. A file is written beside, synced and
// renamed, so that a crash leaves a whole one or none. The worker's id lies in the same state
// folder, so that a worker that is started again is the same worker.
// Threads: one.
#pragma once

#include <string>
#include <vector>

#include "worker/core/core.h"

namespace zgrid::worker {

class Spool {
 public:
  // Makes `folder` (mode 0700) and takes its lock: a second worker with the same folder is
  // Errc::name_taken. Errc::io otherwise.
  static Result<Spool> open(const std::string& folder);
  Spool(Spool&& other) noexcept;
  Spool& operator=(Spool&&) = delete;
  ~Spool();

  // The worker's id, made at the first start.
  Result<WorkerId> worker_id(const WorkerId& fresh);
  // What is there. Files that are damaged are set aside as *.bad and named in `damaged`.
  std::vector<Finished> load(std::vector<std::string>& damaged);
  // Durable when it returns.
  Result<void> put(const Finished& result);
  void drop(const Nonce& nonce);
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  Spool(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
  [[nodiscard]] std::string path_of(const Nonce& nonce) const;

  std::string folder_;
  int lock_ = -1;
};

}  // namespace zgrid::worker
