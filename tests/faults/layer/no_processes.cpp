// The system starts no new process while the file $NO_PROCESSES_WHILE exists: clone, fork, vfork
// and posix_spawn fail with EAGAIN, as they do at RLIMIT_NPROC or a cgroup's pids.max. Threads are
// still made, because libc's own calls do not come this way.
#include <dlfcn.h>
#include <spawn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>

namespace {

bool refuses() {
  static const char* const path = std::getenv("NO_PROCESSES_WHILE");
  return path != nullptr && ::access(path, F_OK) == 0;
}

template <class F>
F real(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int clone(int (*function)(void*), void* stack, int flags, void* argument, ...) {
  va_list rest;
  va_start(rest, argument);
  auto* parent = va_arg(rest, pid_t*);
  auto* tls = va_arg(rest, void*);
  auto* child = va_arg(rest, pid_t*);
  va_end(rest);
  if (refuses()) {
    errno = EAGAIN;
    return -1;
  }
  static const auto next = real<decltype(&clone)>("clone");
  return next(function, stack, flags, argument, parent, tls, child);
}

pid_t fork() {
  if (refuses()) {
    errno = EAGAIN;
    return -1;
  }
  static const auto next = real<decltype(&fork)>("fork");
  return next();
}

pid_t vfork() {
  // A real one must not return into a frame that is gone.
  return fork();
}

int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                const posix_spawnattr_t* attributes, char* const argv[], char* const envp[]) {
  if (refuses()) return EAGAIN;
  static const auto next = real<decltype(&posix_spawn)>("posix_spawn");
  return next(pid, path, actions, attributes, argv, envp);
}

}  // extern "C"
