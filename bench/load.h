// Load on one side of a comparison, the same way for every side: a window of jobs in flight from
// one client or from several processes, and the time from the first submit to the last result.
// Threads: one thread. It forks, so no socket library may have been started in this process before
// run_load() with several clients.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace zgrid::bench {

struct LoadOptions {
  size_t jobs = 100'000;  // of all clients together
  size_t window = 1000;   // in flight, of each client; 1 measures latency
  size_t payload = 100;   // bytes
  size_t workers = 1;     // processes
  size_t clients = 1;     // processes
  // Measures only while `window` jobs are in flight and the first of them have gone all the way:
  // between the results of the first window and the last submit. For windows that are a large part
  // of all jobs; there must be more jobs than two windows. One client only.
  bool steady = false;
};

// What runs jobs, as a client sees it. One submit() per job.
class Target {
 public:
  virtual ~Target() = default;
  virtual void submit() = 0;
  // Sends what was submitted and is still held back.
  virtual void flush() {}
  // Blocks until at least one job is done and returns how many are since the last call.
  virtual size_t wait() = 0;
};

struct Figures {
  size_t jobs = 0;
  double seconds = 0;
  double p50_us = 0, p99_us = 0;  // of window 1, else 0
};

// Makes one target for each client, warms it up and runs the load on all of them at once.
Figures run_load(const LoadOptions& options,
                 const std::function<std::unique_ptr<Target>()>& connect);

// One JSON object on stdout.
void print(const std::string& what, const LoadOptions& options, const Figures& figures);

// A program's command line: --jobs N --window W --payload BYTES --workers N --clients N --steady,
// and what `other` takes. It gets an option and its value (empty at the end of the line), and
// returns how many of the two it used up; 0: unknown, the usage is printed and the program exits
// with 2.
LoadOptions parse_load(int argc, char** argv, const std::string& usage,
                       const std::function<int(const std::string&, const std::string&)>& other);
// The number that an option names; exits with 2 if it is none.
size_t number_of(const std::string& option, const std::string& text);

// Ends the program with 1, naming the call that failed and errno.
[[noreturn]] void die(const std::string& what);

// Processes that end with this one, however that ends.
class Children {
 public:
  Children() = default;
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;
  ~Children();
  void start(const std::function<void()>& body);  // in the child; never returns there

 private:
  std::vector<int> pids_;
};

}  // namespace zgrid::bench
