#include <algorithm>

#include "client/discover.h"
#include "protocol/secret_file.h"

namespace zgrid::client {
namespace {

constexpr size_t kFileBytesMax = 4096;
constexpr size_t kEndpointBytesMax = 255;

}  // namespace

std::vector<std::pair<std::string, std::string>> AddressCache::read() const {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto content = protocol::read_private_file(path_, kFileBytesMax);
  if (!content) return lines;
  std::string_view text = *content;
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

  // Failing to remember costs the next start a moment, nothing else.
  protocol::write_private_file(path_, text);
}

}  // namespace zgrid::client
