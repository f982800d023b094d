// A zgrid worker inside a program: it offers the workflows of its files to a grid and runs their
// jobs, as `zgrid worker` does.
//
//   auto worker = zgrid::api::EmbeddedWorker::start({.brokers = {"tcp://127.0.0.1:5670"},
//                                                    .secret_file = "/etc/zgrid/secret",
//                                                    .workflows = {"/etc/zgrid/workflows"},
//                                                    .state_dir = "/var/lib/my-program/worker"});
//   if (!worker) return report(worker.error());
//   if (auto ready = worker->wait_ready(std::chrono::seconds(10)); !ready) …
//   …
//   worker->drain();
//   auto ended = worker->wait(std::chrono::minutes(15));
//
// Steps are child processes; this program may have children of its own beside them.
// Threads: every function may be called from any thread; the worker runs on one of its own.
// Errors: no function throws but std::bad_alloc and std::system_error (no more threads).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include <zgrid/client.hpp>

namespace zgrid::api {

struct WorkerOptions {
  std::vector<std::string> brokers;  // tcp://HOST:PORT; empty: discover by beacon on this host
  bool lan = false;                  // discover on every interface
  std::string secret;                // the grid's secret itself, or
  std::string secret_file;           // a file that only its owner may read
  std::string cache_dir;             // remembers roots of passphrases; empty: not
  std::string name;                  // unique among live workers; empty: the host's
  uint32_t slots = 0;                // jobs at once; 0: the number of cores
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> workflows;  // files, or folders of *.toml
  // Where its identity and results that wait for their broker are kept. It must be given, is made
  // if it is missing, and serves one worker at a time.
  std::string state_dir;
  uint64_t output_bytes_max = 16u << 20;  // of one step
  std::string log_level = "warn";         // to stderr: trace debug info warn error off
};

class EmbeddedWorker {
 public:
  // Returns at once; a broker that is not there yet is waited for. Error "config" for options that
  // cannot be right; what is wrong with its files is told by wait_ready() and wait().
  static Result<EmbeddedWorker> start(WorkerOptions options);
  EmbeddedWorker(EmbeddedWorker&&) noexcept;
  EmbeddedWorker& operator=(EmbeddedWorker&&) noexcept;
  ~EmbeddedWorker();  // stop(), and waits for it

  // Until a broker has welcomed it. Error "timeout", or what ended the worker before: "auth",
  // "name_taken", "config", "io".
  [[nodiscard]] Result<void> wait_ready(Duration timeout) const;
  // Takes nothing new, finishes what runs, then ends.
  void drain();
  // Ends at once; what runs is killed and handed back to the grid.
  void stop();
  // Reads the workflow files again; after a mistake in them the old ones stay.
  void reload();
  // Until it has ended. Error "timeout" if that takes longer, else how it ended.
  [[nodiscard]] Result<void> wait(Duration timeout) const;

 private:
  struct Impl;
  explicit EmbeddedWorker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zgrid::api
