// Folders for what an attempt writes while it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/result.h"

namespace zgrid::worker {

// Removes a file or folder with all that is in it, however deep, also where permissions were
// taken away; never follows a link, never leaves the file system. Errc::io with the first thing
// that stays.
Result<void> remove_tree(const std::string& path);

// Hands out empty folders, for their owner only. One that comes back as it was given is kept for
// the next attempt: making and removing a folder costs a short step a tenth of its time, and far
// more on a disk that is busy with syncs.
// Threads: one.
class ScratchPool {
 public:
  static constexpr size_t kKeptMax = 64;

  // `root` is a folder that exists. Removes what processes that are dead left in it.
  explicit ScratchPool(std::string root);
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;
  ~ScratchPool();  // removes the folders it kept

  // An absolute path that nobody else has now. Errc::io.
  Result<std::string> take();
  // Nothing uses it any more.
  void give_back(std::string path);

 private:
  void remove_stale() const;

  std::string root_;
  std::vector<std::string> kept_;
  uint64_t next_ = 1;
};

}  // namespace zgrid::worker
