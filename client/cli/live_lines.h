// What jobs say as they say it, word by word: a line belongs to one job from its beginning to its
// end, whoever else has something to say meanwhile.
// Threads: one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/ids.h"

namespace zgrid::cli {

class LiveLines {
 public:
  // Of all jobs that wait for the end of another's line; then that line is broken.
  static constexpr size_t kHeldBytesMax = 64 << 10;

  // What to write now that a job has said this. The first that speaks is heard at once, the others
  // line by line.
  // Each line begins with `label`.
  std::string add(const JobId& job, std::string_view text, std::string_view label = {});
  // What is left of a job that says nothing more.
  std::string end(const JobId& job);
  // What ends the line that has begun: before anything else is written.
  std::string interrupt();

 private:
  std::string release();

  std::optional<JobId> speaker_;       // whose line has begun
  std::map<JobId, std::string> held_;  // of the others
};

}  // namespace zgrid::cli
