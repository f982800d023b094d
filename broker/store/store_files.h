// The files around the database: the folder, the lock, the space kept in reserve.
// Threads: one at a time. Errors: Errc::cannot_create and Errc::io, with path and reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/base/result.h"

namespace zgrid::broker {

// A file descriptor that closes itself.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Makes the folder of `path` and those above it, mode 0700, and syncs them.
Result<void> make_folder_of(const std::string& path);
// Locks and syncs of network file systems cannot be relied on.
Result<void> refuse_network_folder(const std::string& path);
Result<void> sync_folder_of(const std::string& path);

// Nothing if there is no such file.
std::optional<uint64_t> file_size(const std::string& path);
// That are free on the disk of a file that exists.
uint64_t free_bytes(const std::string& path);
// A new empty file, mode 0600; what was there is replaced.
Result<void> make_private_file(const std::string& path);

Result<void> sync_file(const std::string& path);
// Renames a file; Errc::cannot_create if there is one of the new name. Syncs the folder.
Result<void> move_file(const std::string& from, const std::string& to);

// Holds PATH.lock, in which the pid of the holder stands, until destroyed. The kernel lets go of
// it when the process dies, however it dies. The file itself stays.
class StoreLock {
 public:
  // Errc::cannot_create names the other broker.
  static Result<StoreLock> take(const std::string& path);

 private:
  explicit StoreLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// After a failed sync the page cache may show bytes that the disk does not have, and a process
// that was killed for it must not be followed by one that believes them. Reads the file anew.
void drop_page_cache(const std::string& path);

// Writes zeros behind the end of a file until it has this size, and syncs, so that later writes
// neither extend it nor change its extents. Too little space is no error: it then grows later.
Result<void> grow_file(const std::string& path, uint64_t size);

// Space that is given back when the disk is full, so that running jobs can still store results.
class Reserve {
 public:
  // Large enough for the results of what is in hand; small beside any disk.
  static constexpr uint64_t kBytes = 8u << 20;

  explicit Reserve(std::string path) : path_(std::move(path)) {}
  // Takes the space if it is not held, also what an earlier life left of it. True: it is held, and
  // as much again stays free (or the disk would be full again at once).
  bool fill();
  // True if there was something to give back, also of an earlier life.
  bool release();
  [[nodiscard]] bool held() const { return held_; }

 private:
  std::string path_;
  bool held_ = false;
};

}  // namespace zgrid::broker
