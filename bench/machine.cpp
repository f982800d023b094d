// What this machine does without any broker, to measure against.
//
//   bench_machine append FOLDER [COUNT [REST_US]]
//                                             200 bytes written and synced: over what a file has
//                                             (p50_us, p99_us), and at its end, so that it grows
//                                             (growing_p50_us); each after a rest, since a disk
//                                             that had nothing to do answers more slowly than one
//                                             that is kept busy
//   bench_machine spawn SLOTS [COUNT]         starting `true` and waiting for it, SLOTS at once
//   bench_machine run COUNT PROGRAM [ARG…]    starting a program until it has ended, one at a time
//
// Prints one JSON object.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/load.h"

extern char** environ;

namespace {

using namespace zgrid::bench;
using Clock = std::chrono::steady_clock;

constexpr size_t kRow = 200;  // about a job of 100 bytes with what a store adds

// Ascending times in microseconds of so many appends, each synced.
std::vector<double> appends(const std::string& folder, size_t count, int rest_us, bool is_grown) {
  const std::string path = folder + "/append-" + std::to_string(getpid());
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) die(path);
  const std::string row(kRow, 'x');
  const size_t warm = count / 10;  // the first ones find a cold journal
  if (is_grown) {
    const std::string zeros((count + warm) * kRow, '\0');
    if (write(fd, zeros.data(), zeros.size()) != static_cast<ssize_t>(zeros.size())) die("write");
    if (fsync(fd) != 0 || lseek(fd, 0, SEEK_SET) != 0) die("fsync");
  }
  std::vector<double> times;
  for (size_t i = 0; i < count + warm; ++i) {
    if (rest_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(rest_us));
    const auto start = Clock::now();
    if (write(fd, row.data(), row.size()) != static_cast<ssize_t>(row.size())) die("write");
    if (fdatasync(fd) != 0) die("fdatasync");
    if (i < warm) continue;
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  close(fd);
  unlink(path.c_str());
  std::sort(times.begin(), times.end());
  return times;
}

int append(const std::string& folder, size_t count, int rest_us) {
  const std::vector<double> grown = appends(folder, count, rest_us, true);
  const std::vector<double> growing = appends(folder, count, rest_us, false);
  std::printf(
      "{\"what\":\"append\",\"bytes\":%zu,\"count\":%zu,\"rest_us\":%d,\"p50_us\":%.1f,"
      "\"p99_us\":%.1f,\"growing_p50_us\":%.1f}\n",
      kRow, count, rest_us, grown[grown.size() / 2], grown[grown.size() * 99 / 100],
      growing[growing.size() / 2]);
  return 0;
}

int spawn(size_t slots, size_t count) {
  char name[] = "/usr/bin/true";  // looking it up in the PATH is no part of starting it
  char* const arguments[] = {name, nullptr};
  size_t running = 0;
  size_t started = 0;
  const auto start = Clock::now();
  while (started < count || running > 0) {
    while (started < count && running < slots) {
      pid_t child = 0;
      if (posix_spawn(&child, name, nullptr, nullptr, arguments, environ) != 0) die("posix_spawn");
      ++started;
      ++running;
    }
    int status = 0;
    if (wait(&status) < 0 || status != 0) die("true failed");
    --running;
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf(
      "{\"what\":\"spawn\",\"slots\":%zu,\"jobs\":%zu,\"seconds\":%.4f,\"jobs_per_s\":%.0f}\n",
      slots, count, seconds, static_cast<double>(count) / seconds);
  return 0;
}

int run(size_t count, char** command) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<double> times;
  for (size_t i = 0; i <= count; ++i) {
    const auto start = Clock::now();
    pid_t child = 0;
    int status = 0;
    if (posix_spawnp(&child, command[0], &actions, nullptr, command, environ) != 0) die(command[0]);
    if (waitpid(child, &status, 0) < 0 || status != 0) die("the program failed");
    if (i == 0) continue;  // reads it from the disk
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  posix_spawn_file_actions_destroy(&actions);
  std::sort(times.begin(), times.end());
  std::printf("{\"what\":\"run\",\"count\":%zu,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", count,
              times[times.size() / 2], times[times.size() * 99 / 100]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[1] : "";
  const auto count = [&] { return argc > 3 ? number_of("COUNT", argv[3]) : 1000; };
  if (what == "append" && count() >= 10) {
    const size_t rest = argc > 4 ? number_of("REST_US", argv[4]) : 0;
    return append(argv[2], count(), static_cast<int>(std::min<size_t>(rest, 1'000'000)));
  }
  if (what == "spawn" && count() > 0) return spawn(number_of("SLOTS", argv[2]), count());
  if (argc > 3 && what == "run" && number_of("COUNT", argv[2]) > 0) {
    return run(number_of("COUNT", argv[2]), argv + 3);
  }
  std::fprintf(
      stderr,
      "usage: bench_machine append FOLDER [COUNT [REST_US]] | bench_machine spawn SLOTS [COUNT]"
      " | bench_machine run COUNT PROGRAM [ARG…]\n");
  return 2;
}
