// A broker, from its settings to its end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conf/settings.h"
#include "protocol/keys.h"
#include "protocol/log/log.h"

namespace zgrid::broker {

struct RunOptions {
  conf::Settings settings;            // [grid] and [broker]; empty names and paths are filled in
  std::vector<protocol::Root> roots;  // the secret's; a second one during a rotation
  std::string store;                  // "memory" or the path of the database
  std::string program_version;
  std::string host;    // this host's name
  Log* log = nullptr;  // outlives the call
  int stop_fd = -1;    // an eventfd or pipe: readable = stop in good order
  // Called once, when clients can connect: the endpoints that are really bound.
  std::function<void(const std::vector<std::string>& endpoints)> on_ready;
#if ZGRID_TEST_HOOKS
  bool disable_zap_handler = false;  // everybody must be refused then
#endif
};

// Blocks until stop_fd is readable (then nothing) or something fatal happens: Errc::cannot_create
// (address in use, store locked), Errc::io (a failed sync: exit 74), Errc::config, Errc::corrupt.
// Threads: the caller's runs the loop; the store, ZAP and monitors have their own.
Result<void> run_broker(RunOptions options);

}  // namespace zgrid::broker
