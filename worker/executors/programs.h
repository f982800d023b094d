// Where the programs of steps are. A search asks the disk once for each folder of the PATH, which
// costs a short step a fiftieth of its time, so what was found is remembered for a moment.
// Threads: one.
#pragma once

#include <map>
#include <string>

#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid::worker {

class Programs {
 public:
  // So late may a program be noticed that was put before another one of its name.
  static constexpr Millis kRemembered{1000};

  explicit Programs(std::string path) : path_(std::move(path)) {}

  // find_program() of spawn.h. One that is gone is sought again at once.
  Result<std::string> find(const std::string& name, const std::string& folder, MonoTime now);

 private:
  struct Found {
    std::string full;
    MonoTime until;
  };
  std::string path_;
  std::map<std::string, Found> found_;  // as many as the workflows and providers name
};

}  // namespace zgrid::worker
