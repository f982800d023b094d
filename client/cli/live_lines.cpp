#include "client/cli/live_lines.h"

#include <algorithm>
#include <utility>

namespace zgrid::cli {

std::string LiveLines::add(const JobId& job, std::string_view text, std::string_view label) {
  if (text.empty()) return {};
  std::string& mine = held_[job];
  const bool is_amid = mine.empty() ? speaker_ == job : mine.back() != '\n';
  if (!is_amid) mine += label;
  for (size_t at = 0; at < text.size();) {
    const size_t next = std::min(text.find('\n', at), text.size() - 1) + 1;
    mine += text.substr(at, next - at);
    if (next < text.size()) mine += label;
    at = next;
  }
  if (!speaker_ || *speaker_ == job) {
    std::string out = std::exchange(mine, {});
    held_.erase(job);
    speaker_ = job;
    if (out.back() != '\n') return out;
    speaker_.reset();
    return out + release();
  }
  size_t held = 0;
  for (const auto& [other, waiting] : held_) held += waiting.size();
  if (held <= kHeldBytesMax) return {};
  std::string out = interrupt();
  for (auto& [other, waiting] : held_) {
    out += waiting;
    if (waiting.back() != '\n') out += '\n';
  }
  held_.clear();
  return out;
}

std::string LiveLines::end(const JobId& job) {
  if (speaker_ && *speaker_ == job) {
    std::string out = interrupt();
    return out + release();
  }
  const auto found = held_.find(job);
  if (found == held_.end()) return {};
  std::string out = interrupt() + found->second;
  if (out.back() != '\n') out += '\n';
  held_.erase(found);
  return out;
}

std::string LiveLines::interrupt() {
  if (!speaker_) return {};
  speaker_.reset();
  return "\n";
}

// The whole lines that had to wait.
std::string LiveLines::release() {
  std::string out;
  for (auto it = held_.begin(); it != held_.end();) {
    const size_t end = it->second.rfind('\n');
    if (end != std::string::npos) {
      out += it->second.substr(0, end + 1);
      it->second.erase(0, end + 1);
    }
    it = it->second.empty() ? held_.erase(it) : std::next(it);
  }
  return out;
}

}  // namespace zgrid::cli
