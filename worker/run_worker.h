// A worker, from its settings to its end.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "protocol/keys.h"
#include "protocol/log/log.h"

namespace zgrid::worker {

struct RunOptions {
  conf::Settings settings;            // [grid] and [worker], with name, slots, state_dir filled in
  std::vector<protocol::Root> roots;  // the secret's; a second one during a rotation
  std::vector<std::string> brokers;   // endpoints; empty: discover
  std::string host, program_version;
  Log* log = nullptr;                              // outlives the call
  std::map<std::string, std::string> environment;  // what steps may inherit from
  // False in a program that has children of its own: see Runner::Options.
  bool sole_parent = true;
  // Eventfds or pipes, readable = do it. drain: take nothing new, finish, then return.
  // stop: end at once; running attempts are killed and handed back. reload: read the workflow
  // files again (a bad file keeps the old ones).
  int drain_fd = -1, stop_fd = -1, reload_fd = -1;
  // Called when a broker welcomed this worker, each time.
  std::function<void(const std::string& endpoint)> on_ready;
};

// Blocks until drained or stopped. A broker that is away or not yet there is waited for; Errc::auth
// and Errc::name_taken end it, Errc::config is for its own files.
Result<void> run_worker(RunOptions options);

}  // namespace zgrid::worker
