#include "worker/executors/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "worker/executors/fd.h"

namespace zgrid::worker {
namespace {

constexpr int kDepthMax = 64;  // open folders at once; what lies deeper is first moved up
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

constexpr mode_t kScratchMode = 0700;
constexpr const char* kPrefix = "scratch-";  // then our process id, "-" and a number

using Folder = std::unique_ptr<DIR, int (*)(DIR*)>;

class Remover {
 public:
  Remover(int top, dev_t device) : top_(top), device_(device) {}

  // Empties the folder. What could not be removed is left, and error() says why.
  void empty(int folder_fd, int depth) {
    // Opened anew: a duplicate would share its position with the pass before.
    const int fd = ::openat(folder_fd, ".", kFolderFlags);
    if (fd < 0) return note(errno);
    const Folder folder(::fdopendir(fd), ::closedir);
    if (folder == nullptr) return note(errno);
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") remove(folder_fd, name, depth);
    }
  }
  [[nodiscard]] int error() const { return error_; }

 private:
  void note(int error) {
    if (error_ == 0) error_ = error;
  }

  void remove(int parent, const std::string& name, int depth) {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
    struct stat info;
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return note(errno);
    if (!S_ISDIR(info.st_mode)) return note(EACCES);
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return;
    if (info.st_dev != device_) return note(EXDEV);
    if ((info.st_mode & 0700) != 0700) ::fchmodat(parent, name.c_str(), 0700, 0);
    if (depth >= kDepthMax) return move_up(parent, name);
    {
      const Fd fd(::openat(parent, name.c_str(), kFolderFlags));
      if (!fd.is_open()) return note(errno);
      empty(fd.get(), depth + 1);
    }
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) note(errno);
  }

  // The caller goes over the top folder until nothing more comes up.
  void move_up(int parent, const std::string& name) {
    const std::string target = ".deep-" + std::to_string(moved_++);
    if (::renameat(parent, name.c_str(), top_, target.c_str()) != 0) note(errno);
  }

  int top_;
  dev_t device_;
  int error_ = 0;
  uint64_t moved_ = 0;
};

Failure failed(const std::string& what, const std::string& path, int error) {
  return fail(Errc::io, "cannot " + what + " '" + path + "': " + std::strerror(error));
}

int64_t changed_ns(const struct stat& info) {
  return int64_t{info.st_ctim.tv_sec} * 1'000'000'000 + info.st_ctim.tv_nsec;
}

// True for a folder with nothing in it that still has the mode it was made with.
bool is_as_made(const std::string& path, int64_t& changed) {
  const int fd = ::open(path.c_str(), kFolderFlags);
  if (fd < 0) return false;
  const Folder folder(::fdopendir(fd), ::closedir);
  struct stat info;
  if (folder == nullptr || ::fstat(fd, &info) != 0) return false;
  changed = changed_ns(info);
  if (info.st_uid != ::geteuid() || (info.st_mode & 07777) != kScratchMode) return false;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

}  // namespace

Result<void> remove_tree(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || ::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  ::chmod(path.c_str(), 0700);
  const Fd top(::open(path.c_str(), kFolderFlags));
  struct stat info;
  if (!top.is_open() || ::fstat(top.get(), &info) != 0) {
    return failed("remove", path, errno);
  }
  Remover remover(top.get(), info.st_dev);
  while (true) {
    remover.empty(top.get(), 0);
    if (::rmdir(path.c_str()) == 0) return {};
    const int error = errno;
    if (remover.error() != 0) return failed("remove", path, remover.error());
    if (error != ENOTEMPTY && error != EEXIST) return failed("remove", path, error);
  }
}

ScratchPool::ScratchPool(std::string root) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(root, error);
  root_ = error ? std::move(root) : absolute.string();
  root_fd_.reset(::open(root_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  remove_stale();
}

ScratchPool::~ScratchPool() {
  for (const Kept& one : kept_) static_cast<void>(remove_tree(one.path));
}

void ScratchPool::remove_stale() const {
  const std::string_view prefix = kPrefix;
  std::error_code error;
  std::filesystem::directory_iterator entry(root_, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    const pid_t owner = std::atoi(name.c_str() + prefix.size());
    const bool dead = owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH;
    if (dead) static_cast<void>(remove_tree(entry->path().string()));
  }
}

// Asked from the root on: its own path may be long.
bool ScratchPool::is_unchanged(const std::string& path, int64_t since_ns) const {
  struct stat info;
  const char* name = path.c_str() + root_.size() + 1;
  return ::fstatat(root_fd_.get(), name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(info.st_mode) && changed_ns(info) == since_ns;
}

Result<std::string> ScratchPool::take(WallTime now) {
  if (!kept_.empty()) {
    Kept one = std::move(kept_.back());
    kept_.pop_back();
    if ((now - Micros(kSettled)).us > one.changed_ns / 1000) settled_[one.path] = one.changed_ns;
    return std::move(one.path);
  }
  const std::string base = root_ + "/" + kPrefix + std::to_string(::getpid()) + "-";
  while (true) {  // another pool of this process may use the same root
    std::string path = base + std::to_string(next_++);
    if (::mkdir(path.c_str(), kScratchMode) == 0) {
      ::chmod(path.c_str(), kScratchMode);  // whatever the umask says
      return path;
    }
    if (errno != EEXIST) return failed("make the folder", path, errno);
  }
}

void ScratchPool::give_back(std::string path) {
  int64_t changed = 0;
  const auto settled = settled_.extract(path);
  const bool is_settled = !settled.empty() && is_unchanged(path, settled.mapped());
  if (is_settled) changed = settled.mapped();
  if (kept_.size() < kKeptMax && (is_settled || is_as_made(path, changed))) {
    kept_.push_back({std::move(path), changed});
  } else {
    static_cast<void>(remove_tree(path));
  }
}

}  // namespace zgrid::worker
