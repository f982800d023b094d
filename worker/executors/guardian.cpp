#include "worker/executors/guardian.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <new>

namespace zgrid::worker {

struct Guardian::Table {
  std::atomic<size_t> used{0};  // entries ever used; the rest is zero
  std::atomic<pid_t> groups[kGroupsMax] = {};
};

namespace {

// In the child of a process that may have threads: system calls only.
template <class Groups>
[[noreturn]] void watch(int alive, const std::atomic<size_t>& used, Groups& groups) {
  ::setpgid(0, 0);  // a terminal's Ctrl-C is for the worker, which still needs us
  ::prctl(PR_SET_NAME, "zgrid-guardian");
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::sigaction(signal, &ignore, nullptr);
  ::dup2(alive, 0);
  ::syscall(SYS_close_range, 1U, UINT_MAX, 0U);
  char byte = 0;
  ssize_t n = -1;
  do {
    n = ::read(0, &byte, 1);
  } while (n < 0 && errno == EINTR);
  for (size_t i = 0; i < used.load(); ++i) {
    const pid_t group = groups[i].load();
    if (group > 1) ::kill(-group, SIGKILL);
  }
  ::_exit(0);
}

}  // namespace

void Guardian::start() {
  void* memory =
      ::mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int ends[2];
  if (memory == MAP_FAILED) return;
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    ::munmap(memory, sizeof(Table));
    return;
  }
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  table_ = new (memory) Table;
  pid_ = ::fork();
  if (pid_ == 0) {
    ::close(write_end.get());
    watch(read_end.get(), table_->used, table_->groups);
  }
  if (pid_ > 0) {
    alive_ = std::move(write_end);
  } else {
    ::munmap(memory, sizeof(Table));
    table_ = nullptr;
  }
}

Guardian::~Guardian() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);  // our groups are gone: nothing is left for it to do
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (table_ != nullptr) ::munmap(table_, sizeof(Table));
}

void Guardian::guard(pid_t group) {
  // Where the system had no process to spare for it, it is tried again with the next group.
  if (table_ == nullptr) start();
  if (table_ == nullptr) return;
  for (size_t i = 0; i < kGroupsMax; ++i) {
    if (table_->groups[i].load(std::memory_order_relaxed) != 0) continue;
    table_->groups[i].store(group);
    if (i >= table_->used.load()) table_->used.store(i + 1);
    return;
  }
}

void Guardian::forget(pid_t group) {
  if (table_ == nullptr) return;
  for (size_t i = 0; i < table_->used.load(std::memory_order_relaxed); ++i) {
    if (table_->groups[i].load(std::memory_order_relaxed) == group) table_->groups[i].store(0);
  }
}

}  // namespace zgrid::worker
