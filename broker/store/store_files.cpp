#include "broker/store/store_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

namespace zgrid::broker {
namespace {

struct NetworkFileSystem {
  uint32_t magic;
  const char* name;
};
// From statfs(2); FUSE is not here, as much of what it carries is local.
constexpr NetworkFileSystem kNetworkFileSystems[] = {
    {0x6969, "NFS"},     {0xff534d42, "CIFS"},   {0xfe534d42, "SMB2"},   {0x517b, "SMB"},
    {0x5346414f, "AFS"}, {0x73757245, "Coda"},   {0x00c36400, "Ceph"},   {0x01021997, "9P"},
    {0x564c, "NCP"},     {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},   {0x7461636f, "OCFS2"},
    {0x6b414653, "AFS"}, {0x01161970, "GFS2"},   {0x19830326, "BeeGFS"},
};

constexpr off_t kReadAheadBytes = off_t{1} << 30;  // what may be in the way of other programs

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Failure system_failure(Errc code, const std::string& doing, int error) {
  return fail(code, doing + ": " + std::strerror(error));
}

Result<void> sync_folder(const std::string& folder) {
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) {
    return system_failure(Errc::io, "cannot sync folder " + folder, errno);
  }
  return {};
}

std::string holder_of(int fd) {
  char text[32] = {};
  const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
  std::string pid(text, size > 0 ? static_cast<size_t>(size) : 0);
  pid.erase(std::find_if(pid.begin(), pid.end(), [](char c) { return c < '0' || c > '9'; }),
            pid.end());
  return pid.empty() ? "" : " (pid " + pid + ")";
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> make_folder_of(const std::string& path) {
  const std::string folder = folder_of(path);
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return {};
    return fail(Errc::cannot_create, folder + " is not a folder", "choose another store path");
  }
  if (Result<void> made = make_folder_of(folder); !made) return made;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_failure(Errc::cannot_create, "cannot make folder " + folder, errno);
  }
  return sync_folder(folder_of(folder));
}

Result<void> refuse_network_folder(const std::string& path) {
  const std::string folder = folder_of(path);
  struct statfs info {};
  if (::statfs(folder.c_str(), &info) != 0) {
    return system_failure(Errc::io, "cannot examine folder " + folder, errno);
  }
  for (const NetworkFileSystem& known : kNetworkFileSystems) {
    if (static_cast<uint32_t>(info.f_type) == known.magic) {
      return fail(Errc::cannot_create,
                  "store " + path + " is on a network file system (" + known.name +
                      "), where locks and syncs cannot be relied on",
                  "put the store on a local disk");
    }
  }
  return {};
}

Result<void> sync_folder_of(const std::string& path) { return sync_folder(folder_of(path)); }

std::optional<uint64_t> file_size(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return static_cast<uint64_t>(info.st_size);
}

uint64_t free_bytes(const std::string& path) {
  struct statvfs space {};
  if (::statvfs(path.c_str(), &space) != 0) return 0;
  return uint64_t{space.f_bavail} * space.f_frsize;
}

Result<void> make_private_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return system_failure(Errc::cannot_create, "cannot replace " + path, errno);
  }
  const Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) return system_failure(Errc::cannot_create, "cannot create " + path, errno);
  return {};
}

Result<void> sync_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open() || ::fsync(fd.get()) != 0) {
    return system_failure(Errc::io, "cannot sync " + path, errno);
  }
  return {};
}

Result<void> move_file(const std::string& from, const std::string& to) {
  bool moved = ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0;
  if (!moved && errno == EINVAL) {
    // Some file systems cannot rename in this way. Nobody else makes files of our names.
    errno = EEXIST;
    moved = !file_size(to) && ::rename(from.c_str(), to.c_str()) == 0;
  }
  if (!moved && errno == EEXIST) {
    return fail(Errc::cannot_create, to + " exists", "choose another name, or move it away");
  }
  if (!moved) return system_failure(Errc::io, "cannot rename " + from + " to " + to, errno);
  return sync_folder_of(to);
}

Result<StoreLock> StoreLock::take(const std::string& path) {
  const std::string lock = path + ".lock";
  Fd fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.is_open()) return system_failure(Errc::cannot_create, "cannot open " + lock, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_failure(Errc::io, "cannot lock " + lock, errno);
    return fail(Errc::cannot_create,
                "store " + path + " is held by another broker" + holder_of(fd.get()),
                "stop that broker, or choose another store with --store");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  // The pid is only for people, so a full disk does not matter here.
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    if (errno != ENOSPC && errno != EDQUOT) {
      return system_failure(Errc::io, "cannot write " + lock, errno);
    }
  }
  return StoreLock(std::move(fd));
}

void drop_page_cache(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return;
  ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  // Read in one sweep, as the check that follows would otherwise wait for every single page.
  ::posix_fadvise(fd.get(), 0, kReadAheadBytes, POSIX_FADV_WILLNEED);
}

Result<void> grow_file(const std::string& path, uint64_t size) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.is_open()) return system_failure(Errc::io, "cannot open " + path, errno);
  const off_t end = ::lseek(fd.get(), 0, SEEK_END);
  if (end < 0) return system_failure(Errc::io, "cannot examine " + path, errno);
  const std::string zeros(1u << 20, '\0');
  uint64_t at = static_cast<uint64_t>(end);
  while (at < size) {
    const size_t part = static_cast<size_t>(std::min<uint64_t>(zeros.size(), size - at));
    const ssize_t written = ::pwrite(fd.get(), zeros.data(), part, static_cast<off_t>(at));
    if (written <= 0) {
      if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) break;
      return system_failure(Errc::io, "cannot grow " + path, errno);
    }
    at += static_cast<uint64_t>(written);
  }
  if (::fsync(fd.get()) != 0) return system_failure(Errc::io, "cannot sync " + path, errno);
  return {};
}

bool Reserve::fill() {
  const Fd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct statvfs space {};
  struct stat info {};
  if (!fd.is_open() || ::fstatvfs(fd.get(), &space) != 0 || ::fstat(fd.get(), &info) != 0) {
    return false;
  }
  const uint64_t has = static_cast<uint64_t>(info.st_blocks) * 512;
  const uint64_t wanted = has >= kBytes ? 0 : kBytes - has;
  held_ = wanted == 0;
  if (uint64_t{space.f_bavail} * space.f_frsize < wanted + kBytes) return false;
  if (held_) return true;
  held_ = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(kBytes)) == 0;
  if (!held_ && ::ftruncate(fd.get(), 0) != 0) return false;
  return held_;
}

bool Reserve::release() {
  held_ = false;
  struct stat info {};
  if (::stat(path_.c_str(), &info) != 0 || info.st_blocks == 0) return false;
  return ::truncate(path_.c_str(), 0) == 0;
}

}  // namespace zgrid::broker
