#include "worker/executors/spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include "protocol/base/check.h"

namespace zgrid::worker {
namespace {

constexpr int kFirstFreeFd = 3;             // below are stdin, stdout and stderr
constexpr size_t kChildStackBytes = 32768;  // the child makes system calls only

enum class Stage : int { none, folder, program, setup };

// What the child needs and what it says back; both processes see the same memory.
struct ChildTask {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* directory;
  int in, out, err;
  pid_t parent;
  Stage failed = Stage::none;
  int error = 0;
};

// Runs in the memory of the stopped parent: system calls only, nothing that allocates or locks.
__attribute__((no_sanitize("address", "thread", "undefined"))) int child_main(void* argument) {
  auto* task = static_cast<ChildTask*>(argument);
  task->failed = Stage::setup;
  struct sigaction defaults;
  std::memset(&defaults, 0, sizeof defaults);
  defaults.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &defaults, nullptr);
  const rlimit no_core{0, 0};
  const bool ok = ::setpgid(0, 0) == 0 && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
                  ::getppid() == task->parent && ::dup2(task->in, 0) >= 0 &&
                  ::dup2(task->out, 1) >= 0 && ::dup2(task->err, 2) >= 0 &&
                  ::setrlimit(RLIMIT_CORE, &no_core) == 0;
  if (!ok) {
    task->error = errno;
    ::_exit(127);
  }
  // Best effort: everything of ours is O_CLOEXEC anyway, this is for what libraries forget.
  ::syscall(SYS_close_range, static_cast<unsigned>(kFirstFreeFd), UINT_MAX, 0U);
  task->failed = Stage::folder;
  if (task->directory != nullptr && ::chdir(task->directory) != 0) {
    task->error = errno;
    ::_exit(127);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  task->failed = Stage::program;
  ::execve(task->program, task->argv, task->envp);
  task->error = errno;
  ::_exit(127);
}

std::string error_text(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

Errc errc_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Errc::not_found;
    case EACCES:
    case EPERM:
    case ENOEXEC: return Errc::forbidden;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE: return Errc::not_ready;
    default: return Errc::io;
  }
}

Failure cannot_run(const std::string& name, int error, const std::string& what) {
  const Errc code = errc_of(error);
  return fail(
      code, "cannot run '" + name + "': " + what,
      code == Errc::not_ready ? "raise the limits of the worker (ulimit -u, ulimit -n)" : "");
}

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

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct CloneResult {
  pid_t pid = -1;
  int pidfd = -1;
  int error = 0;
};

CloneResult clone_child(ChildTask& task) {
  alignas(16) std::array<char, kChildStackBytes> stack;
  CloneResult result;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGCHLD);
  // No handler of ours may run in the child, which shares our memory. Nobody sends SIGCHLD to a
  // child without children; that of a process of ours that ends meanwhile is ignored, but only as
  // long as this thread does not block it: else it would wake another one, for nothing.
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  result.pid = ::clone(child_main, stack.data() + stack.size(),
                       CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &task, &result.pidfd);
  result.error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

Failure child_failure(const SpawnRequest& request, const ChildTask& task) {
  if (task.failed == Stage::folder) {
    return cannot_run(request.argv[0], task.error,
                      "its folder '" + request.directory + "': " + error_text(task.error));
  }
  if (task.failed == Stage::program && task.error == ENOENT) {
    return cannot_run(request.argv[0], task.error,
                      "'" + request.program + "' or its interpreter was not found");
  }
  return cannot_run(request.argv[0], task.error, error_text(task.error));
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

Result<Spawned> spawn(const SpawnRequest& request) {
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
    return cannot_run(request.argv[0], error, "no pipe for it: " + error_text(error));
  }
  const std::vector<char*> argv = c_strings(request.argv);
  const std::vector<char*> envp = c_strings(request.environment);
  ChildTask task{};
  task.program = request.program.c_str();
  task.argv = argv.data();
  task.envp = envp.data();
  task.directory = request.directory.empty() ? nullptr : request.directory.c_str();
  task.in = in.get();
  task.out = out.get();
  task.err = err.get();
  task.parent = ::getpid();
  const CloneResult cloned = clone_child(task);
  if (cloned.pid < 0) {
    return cannot_run(request.argv[0], cloned.error,
                      "the system starts no new process: " + error_text(cloned.error));
  }
  child.pid = cloned.pid;
  child.pidfd.reset(cloned.pidfd);
  if (task.error != 0) {
    while (::waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return child_failure(request, task);
  }
  return child;
}

Result<std::string> find_program(const std::string& name, std::string_view path,
                                 const std::string& folder) {
  int error = ENOENT;
  if (name.find('/') != std::string::npos) {
    std::string full = name[0] == '/' || folder.empty() ? name : folder + "/" + name;
    if (is_runnable(full, error)) return full;
    return cannot_run(name, error,
                      error == EACCES ? "'" + full + "' is not an executable file"
                                      : "'" + full + "': " + error_text(error));
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
  if (seen) return cannot_run(name, EACCES, "not executable in the worker's PATH");
  return cannot_run(name, ENOENT, "not found in the worker's PATH");
}

}  // namespace zgrid::worker
