#include "worker/executors/processes.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "protocol/base/limits.h"
#include "worker/executors/process_state.h"

namespace zgrid::worker {
namespace {

constexpr size_t kReadBytes = 64u << 10;  // what a pipe holds
constexpr int kEventsPerTurn = 256;

}  // namespace

std::string describe_exit(int exit_code) {
  const int signal = exit_code - kSignalBase;
  const char* name = signal > 0 ? ::sigabbrev_np(signal) : nullptr;
  if (name == nullptr) return "ended with exit code " + std::to_string(exit_code);
  return std::string("was ended by SIG") + name + " (exit code " + std::to_string(exit_code) + ")";
}

Result<std::unique_ptr<Processes>> Processes::open(Options options, ProcessListener& listener) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.is_open()) {
    return fail(Errc::io, std::string("cannot make an epoll descriptor: ") + std::strerror(errno));
  }
  // Descendants that outlive their parents become our children, not init's.
  if (options.sole_parent) ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  return std::unique_ptr<Processes>(new Processes(options, listener, std::move(epoll)));
}

Processes::Processes(Options options, ProcessListener& listener, Fd epoll)
    : options_(options), listener_(listener), epoll_(std::move(epoll)), buffer_(kReadBytes) {}

Processes::~Processes() { kill_everything(); }

bool Processes::watch(int fd, ProcessId id, Source source) {
  epoll_event event{};
  event.events = source == Source::in ? EPOLLOUT : EPOLLIN;
  // An end is told of once: see close_end(), this takes no call.
  if (source == Source::exit) event.events |= EPOLLONESHOT;
  event.data.u64 = static_cast<uint64_t>(id) << 2 | static_cast<uint64_t>(source);
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST;
}

bool Processes::watch_output(Process& process) {
  process.listen_at = MonoTime::never();
  process.output_watched = true;
  return watch(process.child.out.get(), process.id, Source::out) &&
         watch(process.child.err.get(), process.id, Source::err);
}

// A child on the way to its program has a copy of every descriptor of ours, and epoll goes on
// telling of one that we closed until the last copy is closed, too.
void Processes::close_end(Fd& fd, bool is_watched) {
  if (is_watched && fd.is_open()) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  fd.reset();
}

Processes::Process* Processes::find(ProcessId id) const {
  const auto found = processes_.find(static_cast<uint64_t>(id));
  return found == processes_.end() ? nullptr : found->second.get();
}

Result<ProcessId> Processes::start(SpawnRequest request, std::string marker, Now now) {
  const bool at_once = request.keep_input;
  const std::string name = request.argv.front();
  Result<Spawned> child = spawn(std::move(request), changed_signals_, now);
  if (!child) return fail(child.error());
  auto process = std::make_unique<Process>();
  process->id = ProcessId{next_id_++};
  process->child = std::move(*child);
  process->marker = std::move(marker);
  process->usage.last_output = now.mono;
  guardian_.guard(process->child.pid);
  if (!at_once) process->listen_at = now.mono + Micros(kListenAfter);
  if (!watch(process->child.pidfd.get(), process->id, Source::exit) ||
      (at_once && !watch_output(*process))) {
    const int error = errno;
    signal_group(*process, SIGKILL);
    while (::waitpid(process->child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    process->child.launch->child_is_gone();
    guardian_.forget(process->child.pid);
    return fail(Errc::not_ready,
                "cannot run '" + name + "': cannot watch it: " + std::strerror(error));
  }
  const ProcessId id = process->id;
  processes_.emplace(static_cast<uint64_t>(id), std::move(process));
  return id;
}

// A child that is still on the way to its program may not lead its group yet.
void Processes::signal_group(const Process& process, int signal) {
  const Spawned& child = process.child;
  if (child.launch != nullptr && !child.launch->is_over()) ::setpgid(child.pid, child.pid);
  ::kill(-child.pid, signal);
}

void Processes::terminate(ProcessId id, Now now) {
  Process* found = find(id);
  if (found == nullptr) return;
  Process& process = *found;
  if (process.terminating || process.leader_gone) return;
  process.terminating = true;
  close_end(process.child.in, process.in_watched);  // a kept one that listens hears that it is over
  process.wake = now.mono + options_.kill_grace;
  signal_group(process, SIGTERM);
  signal_group(process, SIGCONT);  // a stopped process could not act on TERM
}

void Processes::kill(ProcessId id) {
  const Process* process = find(id);
  // While the leader is not reaped, its number cannot belong to anyone else.
  if (process != nullptr && !process->leader_gone) signal_group(*process, SIGKILL);
}

void Processes::run(Now now) {
  std::array<epoll_event, kEventsPerTurn> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, 0);
  for (int i = 0; i < n; ++i) {
    const uint64_t data = events[static_cast<size_t>(i)].data.u64;
    const auto found = processes_.find(data >> 2);  // an earlier event may have ended it
    if (found != processes_.end()) on_ready(*found->second, static_cast<Source>(data & 3), now);
  }
  std::vector<uint64_t> due;
  for (const auto& [id, process] : processes_) {
    // Where the system has no room for it, it is tried again; meanwhile the pipes keep the output.
    if (process->listen_at <= now.mono && !watch_output(*process)) {
      process->listen_at = now.mono + Micros(kRecheckMax);
    }
    if (process->wake <= now.mono) due.push_back(id);
  }
  for (const uint64_t id : due) {
    const auto found = processes_.find(id);
    if (found == processes_.end()) continue;
    Process& process = *found->second;
    process.wake = MonoTime::never();
    if (process.leader_gone) {
      try_finish(process, now);
    } else {
      process.end.pipe_closed = !process.terminating;
      signal_group(process, SIGKILL);
    }
  }
}

MonoTime Processes::deadline() const {
  MonoTime earliest = MonoTime::never();
  for (const auto& [id, process] : processes_) {
    earliest = std::min({earliest, process->wake, process->listen_at});
  }
  return earliest;
}

void Processes::on_ready(Process& process, Source source, Now now) {
  switch (source) {
    case Source::out:
      for (int i = 0; i < kReadsPerTurn && read_out(process, now); ++i) {
      }
      return;
    case Source::err:
      for (int i = 0; i < kReadsPerTurn && read_err(process, now); ++i) {
      }
      return;
    case Source::exit: on_leader_exit(process, now); return;
    case Source::in: feed(process, now); return;
  }
}

// True if there may be more to read.
bool Processes::read_out(Process& process, Now now) {
  Fd& fd = process.child.out;
  if (!fd.is_open()) return false;
  const ssize_t n = ::read(fd.get(), buffer_.data(), buffer_.size());
  if (n < 0) return errno == EINTR;
  if (n == 0) {
    close_end(fd, process.output_watched);
    if (process.child.in.is_open()) end_closed(process, now);
    return false;
  }
  const auto size = static_cast<uint64_t>(n);
  process.usage.last_output = now.mono;
  process.usage.bytes_out += size;
  if (process.usage.bytes_out > options_.output_bytes_max) {
    if (!process.end.output_too_large) kill(process.id);
    process.end.output_too_large = true;
    return true;
  }
  listener_.on_stdout(process.id, {buffer_.data(), static_cast<size_t>(size)});
  return true;
}

bool Processes::read_err(Process& process, Now now) {
  Fd& fd = process.child.err;
  if (!fd.is_open()) return false;
  const ssize_t n = ::read(fd.get(), buffer_.data(), buffer_.size());
  if (n < 0) return errno == EINTR;
  if (n == 0) {
    close_end(fd, process.output_watched);
    return false;
  }
  process.usage.last_output = now.mono;
  add_log(process, {buffer_.data(), static_cast<size_t>(n)});
  return true;
}

void Processes::add_log(Process& process, std::string_view piece) {
  std::string& tail = process.end.stderr_tail;
  tail.append(piece.substr(piece.size() - std::min(piece.size(), limits::kStderrTailBytes)));
  if (tail.size() > limits::kStderrTailBytes) tail.erase(0, tail.size() - limits::kStderrTailBytes);
  while (!piece.empty()) {
    const size_t room = kLogLineBytesMax - process.log_line.size();
    const size_t newline = piece.substr(0, room).find('\n');
    const size_t take = newline == std::string_view::npos ? std::min(room, piece.size()) : newline;
    process.log_line.append(piece.substr(0, take));
    const bool ended = newline != std::string_view::npos;
    piece.remove_prefix(ended ? take + 1 : take);
    if (!ended && process.log_line.size() < kLogLineBytesMax) return;
    listener_.on_stderr_line(process.id, process.log_line);
    process.log_line.clear();
  }
}

// Hands on what is in the pipes. All writers are dead; if one that could not be found is not, it
// is heard for one turn more: the largest pipe that the kernel gives to everyone.
void Processes::drain(Process& process, Now now) {
  for (int i = 0; i < kReadsPerTurn && read_out(process, now); ++i) {
  }
  for (int i = 0; i < kReadsPerTurn && read_err(process, now); ++i) {
  }
}

std::map<ProcessId, Processes::Usage> Processes::usage(Now now) {
  bury_stale(now);
  std::map<pid_t, GroupUse> groups;
  for (const auto& [id, process] : processes_) {
    groups[process->child.pid] = {};
    std::unique_ptr<Launch>& launch = process->child.launch;
    if (launch != nullptr && launch->is_over() && !launch->failure()) launch.reset();
  }
  if (!groups.empty()) add_use_of_groups(groups);
  std::map<ProcessId, Usage> all;
  for (const auto& [id, process] : processes_) {
    Usage usage = process->usage;
    const GroupUse& use = groups[process->child.pid];
    usage.cpu_ms = std::max(process->end.cpu_ms, use.cpu_ms);
    usage.stopped = use.living > 0 && use.stopped == use.living;
    all[process->id] = usage;
  }
  return all;
}

void Processes::kill_everything() {
  for (auto& [id, process] : processes_) {
    const pid_t group = process->child.pid;
    signal_group(*process, SIGKILL);
    if (!process->leader_gone) {
      while (::waitpid(group, nullptr, 0) < 0 && errno == EINTR) {
      }
      process->leader_gone = true;
      if (process->child.launch != nullptr) process->child.launch->child_is_gone();
    }
    while (true) {
      while (::waitpid(-group, nullptr, WNOHANG) > 0) {
      }
      if (::kill(-group, SIGKILL) != 0 && errno == ESRCH && escaped_are_gone(*process)) break;
      ::poll(nullptr, 0, static_cast<int>(kRecheckMin.count()));
    }
    guardian_.forget(group);
  }
}

}  // namespace zgrid::worker
