#include "worker/executors/programs.h"

#include <unistd.h>

#include "worker/executors/spawn.h"

namespace zgrid::worker {

Result<std::string> Programs::find(const std::string& name, const std::string& folder,
                                   MonoTime now) {
  if (name.find('/') != std::string::npos) return find_program(name, path_, folder);
  const auto known = found_.find(name);
  if (known != found_.end() && now < known->second.until &&
      ::access(known->second.full.c_str(), X_OK) == 0) {
    return known->second.full;
  }
  Result<std::string> full = find_program(name, path_, folder);
  if (full) {
    found_[name] = {*full, now + Micros(kRemembered)};
  } else if (known != found_.end()) {
    found_.erase(known);
  }
  return full;
}

}  // namespace zgrid::worker
