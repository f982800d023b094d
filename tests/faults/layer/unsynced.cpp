// A disk that loses power: an LD_PRELOAD layer that keeps, beside the files of one folder, a copy
// of each as it was last synced.
//
// A process that is killed leaves its writes in the page cache, where the next one finds them, so
// kill -9 alone proves nothing about syncs. With this layer a test kills the process, puts the
// copies in place of the files, and goes on as a machine would after a power cut: what was written
// and not synced is gone, and so are names made, moved or removed without a sync of the folder.
//
//   UNSYNCED_DIR     the folder whose files (not those of its subfolders) are watched
//   UNSYNCED_COPIES  where the copies are kept: contents/INODE, and names/NAME as links to them
//
// What is there when the process starts counts as synced. Writes through mmap are not seen, and
// processes that fork are not followed.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}
#define REAL(function) static const auto next = real<decltype(&::function)>(#function)

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "unsynced: cannot %s: %s\n", what, std::strerror(errno));
  std::abort();
}

ssize_t write_at(int fd, const void* data, size_t size, off_t at) {
  static const auto next = real<decltype(&::pwrite)>("pwrite");
  return next(fd, data, size, at);
}

struct File {
  int copy = -1;                                // the descriptor of its copy
  int reader = -1;                              // one of its own, to read what was written
  std::vector<std::pair<off_t, size_t>> dirty;  // written since the last sync
  bool resized = false;                         // its length may have become less
};

class Layer {
 public:
  static Layer& get() {
    static auto* layer = new Layer;  // never destroyed: files are closed late
    return *layer;
  }

  void on_open(int fd, const char* path) {
    if (fd < 0 || dir_.empty()) return;
    struct stat info {};
    if (::fstat(fd, &info) != 0) return;
    const std::lock_guard lock(mutex_);
    if (S_ISDIR(info.st_mode)) {
      if (info.st_ino == dir_inode_) dir_fds_.insert(fd);
      return;
    }
    if (!S_ISREG(info.st_mode) || !is_inside(path)) return;
    fds_[fd] = info.st_ino;
    file_of(info.st_ino);
  }
  void on_close(int fd) {
    const std::lock_guard lock(mutex_);
    fds_.erase(fd);
    dir_fds_.erase(fd);
  }
  void on_write(int fd, off_t at, ssize_t size) {
    if (size <= 0) return;
    const std::lock_guard lock(mutex_);
    const auto found = fds_.find(fd);
    if (found == fds_.end()) return;
    auto& dirty = files_[found->second].dirty;
    const auto length = static_cast<size_t>(size);
    if (!dirty.empty() && dirty.back().first + static_cast<off_t>(dirty.back().second) == at) {
      dirty.back().second += length;
    } else {
      dirty.emplace_back(at, length);
    }
  }
  void on_resize(int fd) {
    const std::lock_guard lock(mutex_);
    const auto found = fds_.find(fd);
    if (found != fds_.end()) files_[found->second].resized = true;
  }
  // After a sync that succeeded.
  void on_sync(int fd) {
    const std::lock_guard lock(mutex_);
    if (dir_fds_.contains(fd)) return copy_names();
    const auto found = fds_.find(fd);
    if (found != fds_.end()) copy_dirty(fd, files_[found->second]);
  }

 private:
  Layer() {
    const char* dir = std::getenv("UNSYNCED_DIR");
    const char* copies = std::getenv("UNSYNCED_COPIES");
    if (!dir || !copies) return;
    dir_ = dir;
    contents_ = std::string(copies) + "/contents/";
    names_ = std::string(copies) + "/names/";
    struct stat info {};
    if (::stat(dir, &info) != 0) die("find UNSYNCED_DIR");
    dir_inode_ = info.st_ino;
    for (const std::string& name : names_in(dir_)) {
      static const auto open_file = real<decltype(&::open)>("open");
      static const auto close_file = real<decltype(&::close)>("close");
      const int fd = open_file((dir_ + "/" + name).c_str(), O_RDONLY | O_CLOEXEC);
      if (fd < 0 || ::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) continue;
      File& file = file_of(info.st_ino);
      file.dirty.emplace_back(0, static_cast<size_t>(info.st_size));
      file.resized = true;
      copy_dirty(fd, file);
      close_file(fd);
    }
    copy_names();
  }

  [[nodiscard]] bool is_inside(const char* path) const {
    const char* slash = std::strrchr(path, '/');
    return slash && std::string(path, slash) == dir_;
  }
  static std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    DIR* dir = ::opendir(folder.c_str());
    if (!dir) die("read a folder");
    while (const dirent* entry = ::readdir(dir)) {
      if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    ::closedir(dir);
    return names;
  }
  // A file that is new has an empty copy, until its first sync.
  File& file_of(ino_t inode) {
    File& file = files_[inode];
    if (file.copy >= 0) return file;
    static const auto open_file = real<decltype(&::open)>("open");
    const std::string path = contents_ + std::to_string(inode);
    file.copy = open_file(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file.copy < 0) die("make a copy");
    return file;
  }
  static void copy_dirty(int fd, File& file) {
    if (file.reader < 0) {
      // The program's may be for writing only. Never closed: that would end the program's locks.
      static const auto open_file = real<decltype(&::open)>("open");
      const std::string path = "/proc/self/fd/" + std::to_string(fd);
      file.reader = open_file(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (file.reader < 0) die("read a file");
    }
    std::string block;
    for (const auto& [at, size] : file.dirty) {
      block.resize(size);
      const ssize_t got = ::pread(file.reader, block.data(), size, at);
      if (got < 0) die("read a file");
      if (got > 0 && write_at(file.copy, block.data(), static_cast<size_t>(got), at) != got) {
        die("write a copy");
      }
    }
    file.dirty.clear();
    if (!file.resized) return;
    static const auto resize = real<decltype(&::ftruncate)>("ftruncate");
    struct stat info {};
    if (::fstat(fd, &info) != 0 || resize(file.copy, info.st_size) != 0) die("cut a copy");
    file.resized = false;
  }
  // Makes the names of the copies those that the folder has now.
  void copy_names() {
    std::set<std::string> here;
    for (const std::string& name : names_in(dir_)) {
      struct stat info {};
      if (::stat((dir_ + "/" + name).c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      file_of(info.st_ino);
      here.insert(name);
      const std::string link = names_ + ".new";
      ::unlink(link.c_str());
      if (::link((contents_ + std::to_string(info.st_ino)).c_str(), link.c_str()) != 0 ||
          ::rename(link.c_str(), (names_ + name).c_str()) != 0) {
        die("name a copy");
      }
      ::unlink(link.c_str());  // it stays when both names were the same file
    }
    for (const std::string& name : names_in(names_)) {
      if (!here.contains(name)) ::unlink((names_ + name).c_str());
    }
  }

  std::mutex mutex_;
  std::string dir_, contents_, names_;
  ino_t dir_inode_ = 0;
  std::map<int, ino_t> fds_;
  std::set<int> dir_fds_;
  std::map<ino_t, File> files_;
};

// Only open and openat with O_CREAT or O_TMPFILE have a mode.
mode_t mode_of(int flags, va_list arguments) {
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return creates ? va_arg(arguments, mode_t) : 0;
}

[[gnu::constructor]] void begin() { Layer::get(); }

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  REAL(open);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  const int fd = next(path, flags, mode);
  Layer::get().on_open(fd, path);
  return fd;
}

int open64(const char* path, int flags, ...) {
  REAL(open64);
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  const int fd = next(path, flags, mode);
  Layer::get().on_open(fd, path);
  return fd;
}

int close(int fd) {
  REAL(close);
  Layer::get().on_close(fd);
  return next(fd);
}

ssize_t write(int fd, const void* data, size_t size) {
  REAL(write);
  const off_t at = ::lseek(fd, 0, SEEK_CUR);  // fails on what is no file
  const ssize_t written = next(fd, data, size);
  if (at >= 0) Layer::get().on_write(fd, at, written);
  return written;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  REAL(pwrite);
  const ssize_t written = next(fd, data, size, at);
  Layer::get().on_write(fd, at, written);
  return written;
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  REAL(pwrite64);
  const ssize_t written = next(fd, data, size, at);
  Layer::get().on_write(fd, at, written);
  return written;
}

int ftruncate(int fd, off_t size) noexcept {
  REAL(ftruncate);
  const int done = next(fd, size);
  if (done == 0) Layer::get().on_resize(fd);
  return done;
}

int ftruncate64(int fd, off64_t size) noexcept {
  REAL(ftruncate64);
  const int done = next(fd, size);
  if (done == 0) Layer::get().on_resize(fd);
  return done;
}

int posix_fallocate(int fd, off_t at, off_t size) {
  REAL(posix_fallocate);
  const int error = next(fd, at, size);
  if (error == 0) Layer::get().on_resize(fd);
  return error;
}

int posix_fallocate64(int fd, off64_t at, off64_t size) {
  REAL(posix_fallocate64);
  const int error = next(fd, at, size);
  if (error == 0) Layer::get().on_resize(fd);
  return error;
}

int fsync(int fd) {
  REAL(fsync);
  const int done = next(fd);
  if (done == 0) Layer::get().on_sync(fd);
  return done;
}

int fdatasync(int fd) {
  REAL(fdatasync);
  const int done = next(fd);
  if (done == 0) Layer::get().on_sync(fd);
  return done;
}

}  // extern "C"
