#include "bench/load.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace zgrid::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Handshakes, first allocations and the growth of queues are not measured.
constexpr size_t kWarmUpMax = 2000;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double percentile(std::vector<double>& sorted, double p) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(p * static_cast<double>(sorted.size() - 1))];
}

// One client's part.
class Run {
 public:
  Run(Target& target, const LoadOptions& options) : target_(target), options_(options) {}

  void warm_up(size_t jobs) { drive(std::min(kWarmUpMax, std::max<size_t>(jobs / 10, 1))); }
  Figures measure(size_t jobs) {
    latencies_.clear();
    drive(jobs);
    std::sort(latencies_.begin(), latencies_.end());
    return {counted_, seconds_, percentile(latencies_, 0.5), percentile(latencies_, 0.99)};
  }

 private:
  void drive(size_t jobs) {
    size_t sent = 0;
    size_t received = 0;
    size_t before = 0;  // received when the measurement began
    bool is_steady = !options_.steady;
    counted_ = 0;
    Clock::time_point start = Clock::now();
    while (received < jobs) {
      const Clock::time_point turn = Clock::now();
      for (; sent < jobs && sent - received < options_.window; ++sent) target_.submit();
      target_.flush();
      received += target_.wait();
      if (!is_steady && received >= options_.window) {
        is_steady = true;
        before = received;
        start = Clock::now();
      }
      if (options_.window == 1) latencies_.push_back(seconds_since(turn) * 1e6);
      if (options_.steady && is_steady && counted_ == 0 && sent == jobs) {
        counted_ = received - before;
        seconds_ = seconds_since(start);
      }
    }
    if (options_.steady) return;
    counted_ = jobs;
    seconds_ = seconds_since(start);
  }

  Target& target_;
  const LoadOptions& options_;
  std::vector<double> latencies_;
  size_t counted_ = 0;
  double seconds_ = 0;
};

void write_byte(int fd) {
  if (write(fd, "x", 1) != 1) die("pipe");
}
void read_byte(int fd) {
  char byte = 0;
  if (read(fd, &byte, 1) != 1) {
    std::fprintf(stderr, "a client process failed\n");
    std::exit(1);
  }
}

// All clients warm up, then begin together; the time is that of the last to end.
Figures run_clients(const LoadOptions& options,
                    const std::function<std::unique_ptr<Target>()>& connect) {
  const size_t jobs = options.jobs / options.clients;
  Children children;
  std::vector<int> begin, ready;
  for (size_t i = 0; i < options.clients; ++i) {
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0) die("pipe");
    begin.push_back(down[1]);
    ready.push_back(up[0]);
    children.start([&] {
      close(up[0]);
      const auto target = connect();
      Run run(*target, options);
      run.warm_up(jobs);
      write_byte(up[1]);
      read_byte(down[0]);
      run.measure(jobs);
      write_byte(up[1]);
    });
    close(down[0]);
    close(up[1]);
  }
  for (const int fd : ready) read_byte(fd);
  const auto start = Clock::now();
  for (const int fd : begin) write_byte(fd);
  for (const int fd : ready) read_byte(fd);
  return {jobs * options.clients, seconds_since(start), 0, 0};
}

}  // namespace

Figures run_load(const LoadOptions& options,
                 const std::function<std::unique_ptr<Target>()>& connect) {
  if (options.clients > 1) return run_clients(options, connect);
  const auto target = connect();
  Run run(*target, options);
  run.warm_up(options.jobs);
  return run.measure(options.jobs);
}

void print(const std::string& what, const LoadOptions& options, const Figures& figures) {
  std::printf(
      "{\"what\":\"%s\",\"jobs\":%zu,\"window\":%zu,\"payload\":%zu,\"workers\":%zu,"
      "\"clients\":%zu,\"seconds\":%.4f,\"jobs_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
      what.c_str(), figures.jobs, options.window, options.payload, options.workers, options.clients,
      figures.seconds, static_cast<double>(figures.jobs) / std::max(figures.seconds, 1e-9),
      figures.p50_us, figures.p99_us);
}

size_t number_of(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const size_t number = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0') {
    std::fprintf(stderr, "%s: '%s' is not a number\n", option.c_str(), text.c_str());
    std::exit(2);
  }
  return number;
}

LoadOptions parse_load(int argc, char** argv, const std::string& usage,
                       const std::function<int(const std::string&, const std::string&)>& other) {
  LoadOptions options;
  const auto set = [&](const std::string& name, const std::string& value) {
    if (name == "--jobs") options.jobs = number_of(name, value);
    if (name == "--window") options.window = number_of(name, value);
    if (name == "--payload") options.payload = number_of(name, value);
    if (name == "--workers") options.workers = number_of(name, value);
    if (name == "--clients") options.clients = number_of(name, value);
    if (name == "--steady") options.steady = true;
    for (const char* known : {"--jobs", "--window", "--payload", "--workers", "--clients"}) {
      if (name == known) return 2;
    }
    return name == "--steady" ? 1 : other(name, value);
  };
  for (int i = 1; i < argc;) {
    const int used = set(argv[i], i + 1 < argc ? argv[i + 1] : "");
    if (used == 0) {
      std::fprintf(stderr,
                   "usage: %s\n  [--jobs N] [--window W] [--payload BYTES] [--workers N]"
                   " [--clients N] [--steady]\n",
                   usage.c_str());
      std::exit(2);
    }
    i += used;
  }
  if (options.jobs == 0 || options.window == 0 || options.workers == 0 || options.clients == 0) {
    std::fprintf(stderr, "jobs, window, workers and clients must be at least 1\n");
    std::exit(2);
  }
  if (options.steady && (options.jobs <= 2 * options.window || options.clients > 1)) {
    std::fprintf(stderr, "--steady needs more jobs than two windows, and one client\n");
    std::exit(2);
  }
  return options;
}

void die(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void Children::start(const std::function<void()>& body) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid > 0) {
    pids_.push_back(pid);
    return;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent) body();
  std::_Exit(0);
}

Children::~Children() {
  for (const int pid : pids_) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

}  // namespace zgrid::bench
