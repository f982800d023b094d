#include "worker/executors/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "worker/executors/fd.h"

namespace zgrid::worker {
namespace {

constexpr int kDepthMax = 64;  // open folders at once; what lies deeper is first moved up
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

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

}  // namespace

Result<void> make_scratch(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return failed("make the folder", path, errno);
}

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

}  // namespace zgrid::worker
