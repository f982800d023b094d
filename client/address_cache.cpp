#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "client/discover.h"

namespace zgrid::client {
namespace {

constexpr size_t kFileBytesMax = 4096;
constexpr size_t kEndpointBytesMax = 255;

}  // namespace

std::vector<std::pair<std::string, std::string>> AddressCache::read() const {
  std::vector<std::pair<std::string, std::string>> lines;
  if (path_.empty()) return lines;
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return lines;
  struct stat info {};
  std::array<char, kFileBytesMax> buffer{};
  ssize_t size = -1;
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
      (info.st_mode & 077) == 0) {
    size = ::read(fd, buffer.data(), buffer.size());
  }
  ::close(fd);
  if (size <= 0) return lines;
  std::string_view text(buffer.data(), static_cast<size_t>(size));
  while (!text.empty() && lines.size() < kGridsMax) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t blank = line.find(' ');
    if (blank != 16 || line.size() - blank - 1 > kEndpointBytesMax) continue;
    const std::string_view endpoint = line.substr(blank + 1);
    if (endpoint.substr(0, 6) != "tcp://" && endpoint.substr(0, 6) != "ipc://") continue;
    lines.emplace_back(line.substr(0, blank), endpoint);
  }
  return lines;
}

std::string AddressCache::get(const std::string& grid_id) const {
  for (const auto& [id, endpoint] : read()) {
    if (id == grid_id) return endpoint;
  }
  return {};
}

void AddressCache::put(const std::string& grid_id, const std::string& endpoint) const {
  if (path_.empty() || get(grid_id) == endpoint) return;
  auto lines = read();
  std::erase_if(lines, [&](const auto& line) { return line.first == grid_id; });
  lines.insert(lines.begin(), {grid_id, endpoint});
  if (lines.size() > kGridsMax) lines.resize(kGridsMax);
  std::string text;
  for (const auto& [id, where] : lines) text += id + " " + where + "\n";

  // A new file put in place of the old one: a reader never sees half of it. Failing to remember
  // costs the next start a moment, nothing else.
  const std::string folder = path_.substr(0, path_.rfind('/'));
  ::mkdir(folder.c_str(), 0700);
  const std::string fresh = path_ + "." + std::to_string(getpid());
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  if (!written || std::rename(fresh.c_str(), path_.c_str()) != 0) ::unlink(fresh.c_str());
}

}  // namespace zgrid::client
