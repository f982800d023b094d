// How processes that stay are fed, and where one of their turns ends.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "worker/executors/process_state.h"

namespace zgrid::worker {
namespace {

// A parser of JSON may know its value from the closing brace alone, so that is held back, too.
constexpr size_t kHeldBytes = 2;
constexpr int kPipeBytes = 64 << 10;  // what a pipe has if nobody asks for less

int unread_bytes(int pipe) {
  int bytes = 0;
  return ::ioctl(pipe, FIONREAD, &bytes) == 0 ? bytes : 0;
}

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

bool Processes::write(ProcessId id, std::string_view data, Pace pace, Now now) {
  Process* process = find(id);
  if (process == nullptr || !process->child.in.is_open()) return false;
  const int in = process->child.in.get();
  const bool in_two = pace == Pace::in_two && data.size() > 1;
  if (in_two != process->one_page) {
    // A pipe of one page is writable when it is empty, and not before.
    const bool done = ::fcntl(in, F_SETPIPE_SZ, in_two ? 1 : kPipeBytes) > 0;
    process->one_page = in_two ? done : process->one_page && !done;
  }
  process->unwritten.append(data);
  process->held = in_two && process->one_page ? std::min(kHeldBytes, data.size() - 1) : 0;
  if (process->in_watched) return true;
  if (!push(*process, now)) return false;
  // Being told of room costs a call, so it is asked for only when there is none.
  if (!process->unwritten.empty()) {
    process->in_watched = watch(in, id, Source::in);
    if (!process->in_watched) end_closed(*process, now);
  }
  return true;
}

// Writes what may be written now. False if nobody can read it.
bool Processes::push(Process& process, Now now) {
  const std::string_view rest = std::string_view(process.unwritten).substr(process.written);
  if (rest.size() <= process.held) return true;
  const ssize_t n =
      write_quietly(process.child.in.get(), rest.substr(0, rest.size() - process.held));
  if (n < 0 && errno != EAGAIN) {
    end_closed(process, now);
    return false;
  }
  if (n > 0) process.written += static_cast<size_t>(n);
  if (process.written < process.unwritten.size()) return true;
  process.unwritten.clear();
  process.written = 0;
  return true;
}

void Processes::feed(Process& process, Now now) {
  const Fd& in = process.child.in;
  if (!in.is_open()) return;
  if (process.held > 0 && process.unwritten.size() - process.written == process.held) {
    // What is said until here was said before the request was whole.
    for (int i = 0; i < kReadsPerTurn && read_out(process, now); ++i) {
    }
    if (!in.is_open()) return;
    process.held = 0;
  }
  if (!push(process, now) || !process.unwritten.empty()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, in.get(), nullptr);
  process.in_watched = false;
}

bool Processes::has_unread(ProcessId id) const {
  const Process* process = find(id);
  if (process == nullptr || !process->child.in.is_open()) return false;
  return !process->unwritten.empty() || unread_bytes(process->child.in.get()) > 1;
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
  close_end(process.child.in, process.in_watched);
  process.unwritten.clear();
  process.written = process.held = 0;
  process.in_watched = false;
  if (!process.leader_gone && !process.terminating) process.wake = now.mono + kClosedGrace;
}

}  // namespace zgrid::worker
