#include "worker/executors/launch.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace zgrid::worker {
namespace {

constexpr unsigned kFirstForeignFd = 3;  // below are stdin, stdout and stderr
constexpr size_t kSignalSetBytes = 8;    // of the kernel: 64 signals
constexpr int kNotRun = 127;             // the exit code of a child without program

// What runs in the child must leave no trace in the memory that it shares with us, so nothing of it
// may be instrumented.
#define ZGRID_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

// A system call whose error is the result, negative: errno belongs to the thread of the parent that
// goes on meanwhile.
#if defined(__x86_64__)
ZGRID_IN_CHILD long raw_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  register long r10 __asm__("r10") = d;
  long result = number;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
ZGRID_IN_CHILD long raw_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#else
ZGRID_IN_CHILD long raw_call(long number, long a = 0, long b = 0, long c = 0, long d = 0) {
  const long result = ::syscall(number, a, b, c, d);
  return result < 0 ? -errno : result;
}
#endif

// Of clone(). ThreadSanitizer has a clone() of its own, whose child stands on the caller's stack.
#if defined(__SANITIZE_THREAD__)
constexpr bool kIsWatched = true;
#elif defined(__has_feature)
constexpr bool kIsWatched = __has_feature(thread_sanitizer);
#else
constexpr bool kIsWatched = false;
#endif
#if defined(__x86_64__) || defined(__aarch64__)
constexpr int kWaitForIt = kIsWatched ? CLONE_VFORK : 0;
#else
constexpr int kWaitForIt = CLONE_VFORK;
#endif

template <class T>
ZGRID_IN_CHILD long word(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

// As the kernel knows it; that of the C library has another layout.
struct KernelSigaction {
  uintptr_t handler = 0;  // SIG_DFL
  uintptr_t flags = 0, restorer = 0;
  uint64_t mask = 0;
};

constexpr int kSignals = 64;

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
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

}  // namespace

std::string error_text(int error) {
  std::array<char, 128> buffer{};
  return strerror_r(error, buffer.data(), buffer.size());
}

Error cannot_run(const std::string& name, int error, const std::string& what) {
  const Errc code = errc_of(error);
  return fail(
             code, "cannot run '" + name + "': " + what,
             code == Errc::not_ready ? "raise the limits of the worker (ulimit -u, ulimit -n)" : "")
      .value();
}

// What the child needs and what it says back.
struct Launch::Task {
  enum class Stage : int { setup, folder, program };

  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* environment = nullptr;
  const char* directory = nullptr;
  int in = -1, out = -1, err = -1;
  pid_t parent = -1;
  KernelSigaction default_action;
  rlimit no_core{0, 0};
  uint64_t changed_signals = 0;
  uint64_t no_signals = 0;
  Stage stage = Stage::setup;
  int error = 0;
};

uint64_t ChangedSignals::find(MonoTime now) {
  if (now < until_) return signals_;
  until_ = now + Micros(remembered_);
  signals_ = 0;
  for (int signal = 1; signal <= kSignals; ++signal) {
    KernelSigaction action;
    // Not by sigaction(), which hides those that the C library has for itself.
    const long result = raw_call(SYS_rt_sigaction, signal, 0, word(&action), kSignalSetBytes);
    if (result < 0 || action.handler != 0) signals_ |= uint64_t{1} << (signal - 1);
  }
  return signals_;
}

Launch::Launch(Command command, int in, int out, int err)
    : command_(std::move(command)),
      argv_(c_strings(command_.argv)),
      environment_(c_strings(command_.environment)),
      task_(std::make_unique<Task>()) {
  task_->program = command_.path.c_str();
  task_->argv = argv_.data();
  task_->environment = environment_.data();
  task_->directory = command_.directory.empty() ? nullptr : command_.directory.c_str();
  task_->in = in;
  task_->out = out;
  task_->err = err;
}

Launch::~Launch() {
  while (!is_over()) {
    ::syscall(SYS_futex, reinterpret_cast<int*>(&in_our_memory_), FUTEX_WAIT, 1, nullptr);
  }
}

// Runs beside us in our memory: system calls only, nothing that allocates, locks or sets errno.
ZGRID_IN_CHILD int Launch::child_main(void* argument) {
  auto* task = static_cast<Task*>(argument);
  for (int signal = 1; signal <= kSignals; ++signal) {
    if ((task->changed_signals >> (signal - 1) & 1) == 0) continue;
    raw_call(SYS_rt_sigaction, signal, word(&task->default_action), 0, kSignalSetBytes);
  }
  long result = raw_call(SYS_setpgid);
  if (result >= 0) result = raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
  if (result >= 0 && raw_call(SYS_getppid) != task->parent) result = -ESRCH;
  if (result >= 0) result = raw_call(SYS_dup3, task->in, 0);
  if (result >= 0) result = raw_call(SYS_dup3, task->out, 1);
  if (result >= 0) result = raw_call(SYS_dup3, task->err, 2);
  if (result >= 0) result = raw_call(SYS_prlimit64, 0, RLIMIT_CORE, word(&task->no_core));
  // Best effort: everything of ours is O_CLOEXEC anyway, this is for what libraries forget.
  raw_call(SYS_close_range, kFirstForeignFd, static_cast<long>(UINT_MAX));
  if (result >= 0 && task->directory != nullptr) {
    task->stage = Task::Stage::folder;
    result = raw_call(SYS_chdir, word(task->directory));
  }
  if (result >= 0) {
    task->stage = Task::Stage::program;
    raw_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&task->no_signals), 0, kSignalSetBytes);
    result = raw_call(SYS_execve, word(task->program), word(task->argv), word(task->environment));
  }
  task->error = static_cast<int>(-result);
  raw_call(SYS_exit_group, kNotRun);
  return kNotRun;
}

pid_t Launch::start(uint64_t signals, Fd& pidfd) {
  task_->changed_signals = signals;
  task_->parent = ::getpid();
  in_our_memory_.store(1);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGCHLD);
  // No handler of ours may run in the child, which shares our memory. Nobody sends SIGCHLD to a
  // child without children; that of a process of ours that ends meanwhile is ignored, but only as
  // long as this thread does not block it: else it would wake another one, for nothing.
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  int fd = -1;
  const auto make = [&](int wait_for_it) {
    return ::clone(child_main, stack_.data() + stack_.size(),
                   CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID | wait_for_it | SIGCHLD,
                   task_.get(), &fd, nullptr, reinterpret_cast<int*>(&in_our_memory_));
  };
  pid_t pid = make(kWaitForIt);
  // Emulators know only what vfork() does.
  if (pid < 0 && errno == EINVAL && kWaitForIt == 0) pid = make(CLONE_VFORK);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) in_our_memory_.store(0);
  // Where the system had no process to spare, it may name a descriptor that it took back.
  if (pid >= 0) pidfd.reset(fd);
  errno = error;
  return pid;
}

std::optional<Error> Launch::failure() const {
  if (!is_over() || task_->error == 0) return std::nullopt;
  const std::string& name = command_.argv[0];
  const int error = task_->error;
  if (task_->stage == Task::Stage::folder) {
    return cannot_run(name, error, "its folder '" + command_.directory + "': " + error_text(error));
  }
  if (task_->stage == Task::Stage::program && error == ENOENT) {
    return cannot_run(name, error, "'" + command_.path + "' or its interpreter was not found");
  }
  return cannot_run(name, error, error_text(error));
}

}  // namespace zgrid::worker
