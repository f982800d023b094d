// Tables that fit a terminal.
#include <algorithm>

#include "client/cli/text.h"

namespace zgrid::cli {
namespace {

constexpr size_t kGap = 2;
// Below this the last column is hard to read, and the others give.
constexpr size_t kLastMin = 24;
// It never gets less, wherever the lines end then.
constexpr size_t kLastLeast = 8;
// Below this nothing is recognised; of the first column, which says what a row is about, an id's
// tail has twelve.
constexpr size_t kColumnMin = 6;
constexpr size_t kFirstMin = 12;

using Rows = std::vector<std::vector<Cell>>;

std::vector<size_t> widths_of(const Rows& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  return widths;
}

size_t sum_before_last(const std::vector<size_t>& widths) {
  size_t sum = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) sum += widths[i] + kGap;
  return sum;
}

// Takes from the widest column until the last one has room, or none can give more.
void fit(std::vector<size_t>& widths, size_t columns) {
  if (columns == 0 || widths.empty()) return;
  size_t& last = widths.back();
  const size_t wanted = std::min(last, kLastMin);
  while (sum_before_last(widths) + wanted > columns && widths.size() > 1) {
    const auto spare = [&](size_t i) {
      const size_t min = i == 0 ? kFirstMin : kColumnMin;
      return widths[i] > min ? widths[i] : 0;
    };
    size_t widest = 0;
    for (size_t i = 1; i + 1 < widths.size(); ++i) {
      if (spare(i) > spare(widest)) widest = i;
    }
    if (spare(widest) == 0) break;
    --widths[widest];
  }
  const size_t taken = sum_before_last(widths);
  const size_t left = columns > taken ? columns - taken : 0;
  last = std::min(last, std::max(left, kLastLeast));
}

}  // namespace

std::string table(const Rows& rows, bool colour, size_t columns) {
  std::vector<size_t> widths = widths_of(rows);
  fit(widths, columns);
  const size_t indent = sum_before_last(widths);
  std::string out;
  for (const auto& row : rows) {
    // Blanks are owed until something follows them.
    size_t blanks = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const bool is_last = i + 1 == widths.size();
      const size_t width = std::max<size_t>(widths[i], 2);
      std::vector<std::string> lines;
      if (is_last) {
        lines = wrapped(row[i].text, width);
      } else {
        lines.push_back(cut(row[i].text, width));
      }
      if (!lines[0].empty()) {
        out.append(blanks, ' ');
        out += painted(lines[0], row[i].paint, colour);
        blanks = 0;
      }
      for (size_t k = 1; k < lines.size(); ++k) {
        out += "\n" + std::string(indent, ' ') + painted(lines[k], row[i].paint, colour);
      }
      const size_t used = display_width(lines[0]);
      blanks += (widths[i] > used ? widths[i] - used : 0) + kGap;
    }
    out += '\n';
  }
  return out;
}

}  // namespace zgrid::cli
