#include "worker/executors/spawn.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::worker {
namespace {

constexpr int kFirstFreeFd = 3;  // below are stdin, stdout and stderr
// Both ends above 2, so that dup2 onto 0, 1 and 2 in the child overwrites none of them.
bool make_pipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
  for (Fd* fd : {&read_end, &write_end}) {
    if (fd->get() >= kFirstFreeFd) continue;
    const int moved = ::fcntl(fd->get(), F_DUPFD_CLOEXEC, kFirstFreeFd);
    if (moved < 0) return false;
    fd->reset(moved);
  }
  return true;
}

bool write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// A stdin that already holds the whole input, so that nobody has to feed it: a pipe if it fits
// into one, else a file in memory. A program that never reads it disturbs nobody.
bool make_input(std::string_view input, Fd& fd) {
  Fd write_end;
  if (input.size() <= PIPE_BUF) {  // what any pipe takes at once
    return make_pipe(fd, write_end) && write_all(write_end.get(), input);
  }
  fd.reset(::memfd_create("stdin", MFD_CLOEXEC));
  if (fd.is_open() && fd.get() < kFirstFreeFd) {
    fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstFreeFd));
  }
  return fd.is_open() && write_all(fd.get(), input) && ::lseek(fd.get(), 0, SEEK_SET) == 0;
}

bool is_runnable(const std::string& path, int& error) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    error = errno;
    return false;
  }
  error = EACCES;
  return S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

Result<Spawned> spawn(SpawnRequest request, ChangedSignals& signals, Now now) {
  ZGRID_CHECK(!request.argv.empty());
  Spawned child;
  Fd in;
  Fd out;
  Fd err;
  const bool has_input = request.keep_input ? make_pipe(in, child.in) &&
                                                  ::fcntl(child.in.get(), F_SETFL, O_NONBLOCK) == 0
                                            : make_input(request.input, in);
  if (!has_input || !make_pipe(child.out, out) || !make_pipe(child.err, err) ||
      ::fcntl(child.out.get(), F_SETFL, O_NONBLOCK) != 0 ||
      ::fcntl(child.err.get(), F_SETFL, O_NONBLOCK) != 0) {
    const int error = errno;
    return fail(cannot_run(request.argv[0], error, "no pipe for it: " + error_text(error)));
  }
  const std::string name = request.argv[0];
  child.launch = std::make_unique<Launch>(
      Command{std::move(request.program), std::move(request.argv), std::move(request.environment),
              std::move(request.directory)},
      in.get(), out.get(), err.get());
  child.pid = child.launch->start(signals.find(now.mono), child.pidfd);
  if (child.pid < 0) {
    const int error = errno;
    return fail(cannot_run(name, error, "the system starts no new process: " + error_text(error)));
  }
  return child;
}

Result<std::string> find_program(const std::string& name, std::string_view path,
                                 const std::string& folder) {
  int error = ENOENT;
  if (name.find('/') != std::string::npos) {
    std::string full = name[0] == '/' || folder.empty() ? name : folder + "/" + name;
    if (is_runnable(full, error)) return full;
    return fail(cannot_run(name, error,
                           error == EACCES ? "'" + full + "' is not an executable file"
                                           : "'" + full + "': " + error_text(error)));
  }
  bool seen = false;
  while (!name.empty() && !path.empty()) {
    const size_t colon = path.find(':');
    const std::string_view part = path.substr(0, colon);
    path = colon == std::string_view::npos ? std::string_view{} : path.substr(colon + 1);
    // An empty or relative entry would mean a folder that happens to be current: not here.
    if (part.empty() || part[0] != '/') continue;
    std::string full = std::string(part) + "/" + name;
    if (is_runnable(full, error)) return full;
    seen = seen || error == EACCES;
  }
  if (seen) return fail(cannot_run(name, EACCES, "not executable in the worker's PATH"));
  return fail(cannot_run(name, ENOENT, "not found in the worker's PATH"));
}

}  // namespace zgrid::worker
