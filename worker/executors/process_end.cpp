// How a process ends: its leader, the rest of its group, and descendants that left the group.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "worker/executors/process_state.h"

namespace zgrid::worker {
namespace {

constexpr Millis kAwaitedAtMost{30'000};  // a zombie so old is awaited by nobody

int exit_code_of(int status) {
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

uint64_t to_ms(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1000 + static_cast<uint64_t>(time.tv_usec) / 1000;
}

}  // namespace

void Processes::on_leader_exit(Process& process, Now now) {
  if (process.leader_gone) return;
  // First the group, while the unreaped leader still reserves its number.
  ::kill(-process.child.pid, SIGKILL);
  int status = 0;
  rusage used{};
  pid_t reaped = -1;
  do {
    reaped = ::wait4(process.child.pid, &status, 0, &used);
  } while (reaped < 0 && errno == EINTR);
  process.leader_gone = true;
  process.listen_at = MonoTime::never();
  process.child.pidfd.reset();
  close_end(process.child.in, process.in_watched);
  // -1: someone else in this program reaped our child; all that is known is that it ended.
  process.end.exit_code = reaped == process.child.pid ? exit_code_of(status) : 255;
  process.end.cpu_ms = to_ms(used.ru_utime) + to_ms(used.ru_stime);
  if (process.child.launch != nullptr) {
    process.child.launch->child_is_gone();
    process.end.not_started = process.child.launch->failure();
    process.child.launch.reset();
  }
  try_finish(process, now);
}

void Processes::try_finish(Process& process, Now now) {
  const pid_t group = process.child.pid;
  const auto has_members = [&] { return ::kill(-group, 0) == 0 || errno != ESRCH; };
  bool gone = !has_members();
  if (!gone) {
    while (::waitpid(-group, nullptr, WNOHANG) > 0) {
    }
    gone = !has_members();
  }
  if (!gone || !escaped_are_gone(process)) {
    if (!gone) ::kill(-group, SIGKILL);
    process.wake = now.mono + process.recheck;
    process.recheck = std::min(process.recheck * 2, kRecheckMax);
    return;
  }
  drain(process, now);
  if (!process.log_line.empty()) listener_.on_stderr_line(process.id, process.log_line);
  finish(process);
}

// Children of this program that we did not start: orphans that the kernel gave to us.
std::vector<ProcStat> Processes::strangers() {
  std::vector<pid_t> known{guardian_.pid()};
  for (const auto& [id, process] : processes_) {
    if (!process->leader_gone) known.push_back(process->child.pid);
  }
  std::sort(known.begin(), known.end());
  std::vector<ProcStat> found;
  for (const pid_t pid : children_.list()) {
    ProcStat stat;
    if (!std::binary_search(known.begin(), known.end(), pid) && read_proc_stat(pid, stat)) {
      found.push_back(stat);
    }
  }
  return found;
}

// Reaps a zombie. False if it may be the child of another Processes in this program, which wants
// its exit code: those lead a group inside our session.
bool Processes::bury(const ProcStat& stranger) {
  const bool foreign = stranger.group == stranger.pid && stranger.session == ::getsid(0);
  if (foreign && condemned_.count(stranger.pid) == 0) return false;
  ::waitpid(stranger.pid, nullptr, WNOHANG);
  condemned_.erase(stranger.pid);
  return true;
}

bool Processes::escaped_are_gone(const Process& process) {
  if (!options_.sole_parent) return true;
  bool last_marked = !process.marker.empty();
  bool last = true;
  for (const auto& [id, other] : processes_) {
    if (other.get() == &process || other->leader_gone) continue;
    last = false;
    last_marked = last_marked && other->marker != process.marker;
  }
  bool gone = true;
  for (const ProcStat& stranger : strangers()) {
    if (stranger.state == 'Z') {
      bury(stranger);
      continue;
    }
    // Without the marker nobody knows whose it is; when nothing else runs, it is nobody's.
    const bool left_session = stranger.session != ::getsid(0);
    if ((last && left_session) || (last_marked && has_environment(stranger.pid, process.marker))) {
      ::kill(stranger.pid, SIGKILL);
      condemned_.insert(stranger.pid);
      gone = false;
    }
  }
  return gone;
}

void Processes::bury_stale(Now now) {
  if (!options_.sole_parent) return;
  std::map<pid_t, MonoTime> doubtful;
  for (const ProcStat& stranger : strangers()) {
    if (stranger.state != 'Z' || bury(stranger)) continue;
    const auto seen = doubtful_.find(stranger.pid);
    if (seen != doubtful_.end() && now.mono - seen->second > kAwaitedAtMost) {
      ::waitpid(stranger.pid, nullptr, WNOHANG);
    } else {
      doubtful[stranger.pid] = seen != doubtful_.end() ? seen->second : now.mono;
    }
  }
  doubtful_ = std::move(doubtful);
}

void Processes::finish(Process& process) {
  const auto found = processes_.find(static_cast<uint64_t>(process.id));
  const std::unique_ptr<Process> ended = std::move(found->second);
  processes_.erase(found);
  close_end(ended->child.out, ended->output_watched);
  close_end(ended->child.err, ended->output_watched);
  guardian_.forget(ended->child.pid);
  listener_.on_end(ended->id, ended->end);
}

}  // namespace zgrid::worker
