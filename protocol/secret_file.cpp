#include "protocol/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "protocol/keys.h"

namespace zgrid::protocol {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// At most one byte more than `bytes_max`. Nothing, with errno, on failure.
std::optional<std::string> read_all(int fd, size_t bytes_max) {
  std::string text(bytes_max + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return text;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

bool lies_in(const std::string& path, const std::string& folder) {
  if (folder.empty()) return false;
  auto base = std::filesystem::path(folder).lexically_normal().string();
  if (!base.ends_with('/')) base += '/';
  return std::filesystem::path(path).lexically_normal().string().starts_with(base);
}

Failure cannot_read(const std::string& path, int number) {
  const std::string text = "cannot read the secret " + path + ": " + std::strerror(number);
  if (number == ENOENT) {
    return fail(
        Errc::config, text,
        "copy it from another machine of the grid, or make a new one with `zgrid secret new "
        "--out " +
            path + "`");
  }
  return fail(Errc::config, text, "run as its owner, or give the file to this user");
}

}  // namespace

Result<std::string> read_secret_file(const std::string& path,
                                     const std::string& credentials_directory) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0) return cannot_read(path, errno);
  if (S_ISDIR(info.st_mode)) return cannot_read(path, EISDIR);
  // Who mounts secrets there has decided who may read them.
  const bool judged = !lies_in(path, "/run/secrets") && !lies_in(path, credentials_directory);
  if (judged && (info.st_mode & kOthers) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", info.st_mode & 07777u);
    return fail(Errc::config, "the secret " + path + " is open to other users (mode " + mode + ")",
                "chmod 600 " + path);
  }
  auto text = read_all(fd.get(), kSecretBytesMax);
  if (!text) return cannot_read(path, errno);
  if (text->size() > kSecretBytesMax) {
    return fail(Errc::config, path + " is larger than any secret (4096 bytes)",
                "name the file that `zgrid secret new` wrote");
  }
  return std::move(*text);
}

std::optional<std::string> read_private_file(const std::string& path, size_t bytes_max) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0) return std::nullopt;
  if (!S_ISREG(info.st_mode) || (info.st_mode & kOthers) != 0 || info.st_uid != geteuid()) {
    return std::nullopt;
  }
  auto text = read_all(fd.get(), bytes_max);
  if (!text || text->size() > bytes_max) return std::nullopt;
  return text;
}

bool write_private_file(const std::string& path, std::string_view content) {
  // Of a new user there is not even ~/.cache. What cannot be made shows when the file is.
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    mkdir(path.substr(0, end).c_str(), S_IRWXU);
  }
  std::string temporary = path + ".XXXXXX";
  const Fd fd(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600, a name that nobody has
  if (fd.get() < 0) return false;
  if (write_all(fd.get(), content) && fsync(fd.get()) == 0 &&
      std::rename(temporary.c_str(), path.c_str()) == 0) {
    return true;
  }
  unlink(temporary.c_str());
  return false;
}

}  // namespace zgrid::protocol
