// Running a broker and a worker inside this process, each on a thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/cli/app.h"
#include "protocol/log/log.h"

namespace zgrid::cli {

// An eventfd: set() makes it readable for good.
class Flag {
 public:
  Flag();
  ~Flag();
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;
  void set() const;    // from any thread
  void clear() const;  // for flags that are set several times
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// Where the store and the worker's state lie when nothing else is said.
std::string store_of(const App& app, const conf::Settings& settings);
// Fills in name, slots and state_dir of [worker].
void complete_worker(const App& app, conf::Settings& settings);

// One of run_broker and run_worker on its own thread.
// Threads: the one that made it, but for `flag`s.
class Service {
 public:
  // `ended` is set when `body` returned.
  Service(std::function<Result<void>()> body, const Flag& ended);
  ~Service();  // joins: make it stop first
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  Result<void> join();

 private:
  std::optional<Result<void>> result_;
  std::thread thread_;
};

// A broker and a worker that serve each other. Destruction stops and joins both.
class LocalGrid {
 public:
  struct Options {
    conf::Settings settings;
    std::vector<protocol::Root> roots;
    std::string store;
    Log* log = nullptr;
  };
  // Returns when the broker has welcomed the worker, with what made one of them fail, or with
  // Errc::timeout.
  static Result<std::unique_ptr<LocalGrid>> start(const App& app, Options options);
  ~LocalGrid();

  [[nodiscard]] const std::vector<std::string>& endpoints() const { return endpoints_; }
  // Readable once broker or worker ended by itself.
  [[nodiscard]] int ended_fd() const { return ended_.fd(); }
  void drain() const { worker_drain_.set(); }
  void kill_worker() const { worker_stop_.set(); }
  void reload() const { worker_reload_.set(); }
  // Worker first, then broker; what either of them failed with.
  Result<void> stop();

 private:
  LocalGrid() = default;
  Result<void> await(const std::function<bool()>& ready);

  std::mutex mutex_;  // guards the next two, and what the services report
  std::vector<std::string> endpoints_;
  bool is_welcomed_ = false;
  Flag progress_, ended_, broker_stop_, worker_stop_, worker_drain_, worker_reload_;
  std::unique_ptr<Service> broker_, worker_;
};

}  // namespace zgrid::cli
