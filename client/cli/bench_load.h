// Load from clients of this process, and what came of it.
//
// Closed loop: each client keeps `window` jobs in flight; a window of 1 measures latency. Open
// loop: jobs are due at fixed times whatever became of the earlier ones, and a job's latency counts
// from the time it was due, so that a grid (or a client) that stalls cannot hide it: free of
// coordinated omission.
// Threads: each client has one of its own; Load belongs to one thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/connection.h"

namespace zgrid::cli {

struct LoadPlan {
  SpecRef spec;
  Payload input;
  bool compare = false;  // results must be equal to the input
  uint64_t jobs = 0;     // of all clients together
  uint64_t window = 1;   // of each client
  uint64_t clients = 1;
  uint64_t rate = 0;  // jobs/s of all clients together; 0: closed loop
  // Without a result for so long after the last one was due, the rest counts as missing.
  Millis patience{60'000};
};

struct LoadResult {
  uint64_t done = 0, failed = 0, missing = 0;
  std::string first_failure;
  Micros took{0};  // from the first submit (or when it was due) to the last result
  std::vector<uint32_t> latencies_us;  // ascending, of those that succeeded
  uint32_t lag_us_max = 0;             // open loop: how late the client itself was at worst

  [[nodiscard]] double rate() const;
  [[nodiscard]] uint64_t percentile_us(double p) const;  // 0 if there are none
};

class Load {
 public:
  // Connections to where a grid is. `wake` is called from a client's thread when it is done.
  using Connect = std::function<client::Connection::Options()>;
  Load(LoadPlan plan, const Connect& connect, std::function<void()> wake);
  ~Load();  // as stop()
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // How long a client waits for the acknowledgement that its open jobs are cancelled.
  static constexpr Millis kCancelPatience{2000};
  // Ends the clients before their time; each cancels what it has in the grid. Returns, the same at
  // each call, how many jobs may go on all the same.
  uint64_t stop();

  // Whether all clients are done; then result() may be called.
  [[nodiscard]] bool is_done() const { return running_ == 0; }
  // The sum of all; the error of a client that lost the grid.
  Result<LoadResult> result();

 private:
  class Client;
  struct Gate;

  LoadPlan plan_;
  std::function<void()> wake_;
  std::unique_ptr<Gate> gate_;
  std::atomic<size_t> running_{0};
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace zgrid::cli
