// Folders for what an attempt writes while it runs.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/base/time.h"
#include "worker/executors/fd.h"

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
  // Whatever is done to a folder sets its time of change. If that was so long ago when the folder
  // was taken, the same time afterwards says that nothing was done: one call instead of seven.
  static constexpr Millis kSettled{1000};

  // `root` is a folder that exists. Removes what processes that are dead left in it.
  explicit ScratchPool(std::string root);
  ScratchPool(const ScratchPool&) = delete;
  ScratchPool& operator=(const ScratchPool&) = delete;
  ~ScratchPool();  // removes the folders it kept

  // An absolute path that nobody else has now. Errc::io. `now` is the wall clock's.
  Result<std::string> take(WallTime now);
  // Nothing uses it any more.
  void give_back(std::string path);

 private:
  struct Kept {
    std::string path;
    int64_t changed_ns = 0;
  };

  void remove_stale() const;

  [[nodiscard]] bool is_unchanged(const std::string& path, int64_t since_ns) const;

  std::string root_;
  Fd root_fd_;  // not open if the root could not be
  std::vector<Kept> kept_;
  std::unordered_map<std::string, int64_t> settled_;  // taken ones, and when they were changed last
  uint64_t next_ = 1;
};

}  // namespace zgrid::worker
