#include "protocol/base/nearest.h"

#include <algorithm>
#include <numeric>

namespace zgrid {
namespace {

// Damerau–Levenshtein in its restricted form: insertions, deletions, replacements, and swaps of
// neighbours, each counting one.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before;
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::move(last);
    last = std::move(row);
    row.assign(b.size() + 1, i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  constexpr size_t kWordMax = 128;  // nobody mistypes more, and the distance costs its square
  if (word.empty() || word.size() > kWordMax) return std::nullopt;
  // Two edits turn any short word into any other.
  const size_t allowed = word.size() <= 3 ? 1 : 2;
  const std::string* best = nullptr;
  size_t best_distance = allowed + 1;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > kWordMax) continue;
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  if (best != nullptr) return *best;
  for (const std::string& candidate : candidates) {
    const size_t shared = std::min(word.size(), candidate.size());
    if (shared >= 3 && word.substr(0, shared) == candidate.substr(0, shared)) return candidate;
  }
  return std::nullopt;
}

}  // namespace zgrid
