// How processes that stay are fed, and where one of their turns ends.
#include <signal.h>
#include <sys/epoll.h>

#include <cerrno>
#include <ctime>

#include "worker/executors/process_state.h"

namespace zgrid::worker {
namespace {

// A reader that is gone must not end us by SIGPIPE, whatever this program does with that signal.
ssize_t write_quietly(int fd, std::string_view data) {
  sigset_t pipe;
  sigset_t before;
  ::sigemptyset(&pipe);
  ::sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  ssize_t n = -1;
  do {
    n = ::write(fd, data.data(), data.size());
  } while (n < 0 && errno == EINTR);
  const int error = errno;
  if (n < 0 && error == EPIPE && ::sigismember(&before, SIGPIPE) == 0) {
    const timespec none{};
    ::sigtimedwait(&pipe, nullptr, &none);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return n;
}

}  // namespace

bool Processes::begin_turn(ProcessId id, Now now) {
  Process* process = find(id);
  if (process == nullptr) return false;
  read_out(*process, now);
  read_errors(id, now);
  const bool can = process->child.in.is_open() && process->child.out.is_open() &&
                   !process->leader_gone && !process->terminating;
  process->usage.bytes_out = 0;
  process->end.stderr_tail.clear();
  return can;
}

bool Processes::write(ProcessId id, std::string_view data, Now now) {
  Process* process = find(id);
  if (process == nullptr || !process->child.in.is_open()) return false;
  if (process->unwritten.empty()) {
    const ssize_t n = write_quietly(process->child.in.get(), data);
    if (n < 0 && errno != EAGAIN) {
      end_closed(*process, now);
      return false;
    }
    data.remove_prefix(n < 0 ? 0 : static_cast<size_t>(n));
  }
  process->unwritten.append(data);
  // Being told of room costs a call, so it is asked for only when there is none.
  if (!process->unwritten.empty() && !process->in_watched) {
    process->in_watched = watch(process->child.in.get(), id, Source::in);
    if (!process->in_watched) end_closed(*process, now);
  }
  return true;
}

void Processes::feed(Process& process, Now now) {
  const Fd& in = process.child.in;
  if (!in.is_open()) return;
  const ssize_t n = process.unwritten.empty() ? 0 : write_quietly(in.get(), process.unwritten);
  if (n < 0 && errno != EAGAIN) return end_closed(process, now);
  if (n > 0) process.unwritten.erase(0, static_cast<size_t>(n));
  if (!process.unwritten.empty()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, in.get(), nullptr);
  process.in_watched = false;
}

bool Processes::has_unwritten(ProcessId id) const {
  const Process* process = find(id);
  return process != nullptr && !process->unwritten.empty();
}

void Processes::read_errors(ProcessId id, Now now) {
  Process* process = find(id);
  if (process == nullptr) return;
  for (int i = 0; i < kReadsPerTurn && read_err(*process, now); ++i) {
  }
  if (process->log_line.empty()) return;
  listener_.on_stderr_line(id, process->log_line);
  process->log_line.clear();
}

// It could take no further request or give no answer. One that is just ending closes its pipes,
// too: that must be seen as the end that it is, so it has a moment for it.
void Processes::end_closed(Process& process, Now now) {
  process.child.in.reset();
  process.unwritten.clear();
  process.in_watched = false;
  if (!process.leader_gone && !process.terminating) process.wake = now.mono + kClosedGrace;
}

}  // namespace zgrid::worker
