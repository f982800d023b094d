#include "worker/executors/proc_scan.h"

#include <dirent.h>
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace zgrid::worker {
namespace {

constexpr size_t kEnvironBytesMax = 256u << 10;  // ours comes first; a step may have grown its own

std::string read_file(const std::string& path, size_t bytes_max) {
  std::string text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer;
  while (fd.is_open() && text.size() < bytes_max) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  return text;
}

uint64_t ticks_to_ms(uint64_t ticks) {
  const long per_second = ::sysconf(_SC_CLK_TCK);
  return ticks * 1000 / static_cast<uint64_t>(per_second > 0 ? per_second : 100);
}

template <class Visit>
void for_each_process(Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
  while (folder != nullptr) {
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) return;
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    ProcStat stat;
    if (error == std::errc{} && end == name.data() + name.size() && read_proc_stat(pid, stat)) {
      visit(stat);
    }
  }
}

}  // namespace

bool read_proc_stat(pid_t pid, ProcStat& into) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  const size_t name_end = text.rfind(')');  // the name may hold anything, also ')' and blanks
  if (name_end == std::string::npos) return false;
  unsigned long long user = 0;
  unsigned long long system = 0;
  long long child_user = 0;
  long long child_system = 0;
  const int n = std::sscanf(text.c_str() + name_end + 1,
                            " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %llu %llu %lld %lld",
                            &into.state, &into.parent, &into.group, &into.session, &user, &system,
                            &child_user, &child_system);
  if (n != 8) return false;
  into.pid = pid;
  into.cpu_ms =
      ticks_to_ms(static_cast<uint64_t>(user) + static_cast<uint64_t>(system) +
                  static_cast<uint64_t>(child_user) + static_cast<uint64_t>(child_system));
  return true;
}

bool has_environment(pid_t pid, std::string_view entry) {
  const std::string text = read_file("/proc/" + std::to_string(pid) + "/environ", kEnvironBytesMax);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    if (std::string_view(text).substr(at, end - at) == entry) return true;
    at = end + 1;
  }
  return false;
}

std::vector<pid_t> Children::list() {
  std::vector<pid_t> pids;
  if (!file_.is_open()) {
    const std::string self = std::to_string(::getpid());
    file_.reset(
        ::open(("/proc/" + self + "/task/" + self + "/children").c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!file_.is_open()) {  // a kernel without CONFIG_PROC_CHILDREN
    for_each_process([&](const ProcStat& stat) {
      if (stat.parent == ::getpid()) pids.push_back(stat.pid);
    });
    return pids;
  }
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t n =
        ::pread(file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  const char* at = text.data();
  const char* end = text.data() + text.size();
  while (at < end) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(at, end, pid);
    if (parsed.ec == std::errc{}) pids.push_back(pid);
    at = parsed.ec == std::errc{} ? parsed.ptr : at + 1;
  }
  return pids;
}

void add_use_of_groups(std::map<pid_t, GroupUse>& groups) {
  for_each_process([&](const ProcStat& stat) {
    const auto found = groups.find(stat.group);
    if (found == groups.end()) return;
    GroupUse& use = found->second;
    use.cpu_ms += stat.cpu_ms;
    if (stat.state == 'Z' || stat.state == 'X') return;
    ++use.living;
    if (stat.state == 'T' || stat.state == 't') ++use.stopped;
  });
}

}  // namespace zgrid::worker
