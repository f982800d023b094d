#include "protocol/base/units.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace zgrid {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array<Unit, 5> kDurations{
    {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
constexpr std::array<Unit, 8> kSizes{{{"", 1},
                                      {"B", 1},
                                      {"KiB", 1024},
                                      {"MiB", 1048576},
                                      {"GiB", 1073741824},
                                      {"kB", 1e3},
                                      {"MB", 1e6},
                                      {"GB", 1e9}}};
constexpr double kDurationMax = 3650.0 * 86400e3;  // ten years
constexpr double kSizeMax = 1e15;

// Splits "1.5s" into 1.5 and its unit. Only digits and one point make the number.
template <size_t N>
const Unit* split(std::string_view text, const std::array<Unit, N>& units, double& number) {
  size_t end = 0;
  int points = 0;
  while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == '.')) {
    points += text[end] == '.';
    ++end;
  }
  if (end == 0 || end > 20 || points > 1 || text[0] == '.' || text[end - 1] == '.') return nullptr;
  number = std::strtod(std::string(text.substr(0, end)).c_str(), nullptr);
  for (const Unit& unit : units) {
    if (text.substr(end) == unit.name) return &unit;
  }
  return nullptr;
}

}  // namespace

Result<Millis> parse_duration(std::string_view text) {
  if (text == "0") return Millis{0};
  double number = 0;
  const Unit* unit = split(text, kDurations, number);
  if (unit == nullptr || number * unit->factor > kDurationMax) {
    return fail(Errc::usage, "'" + std::string(text) + "' is not a duration",
                "write a number and a unit, such as 500ms, 90s, 15m, 2h or 7d (at most 3650d)");
  }
  return Millis{std::llround(number * unit->factor)};
}

Result<uint64_t> parse_size(std::string_view text) {
  double number = 0;
  const Unit* unit = split(text, kSizes, number);
  if (unit == nullptr || number * unit->factor > kSizeMax) {
    return fail(Errc::usage, "'" + std::string(text) + "' is not a size",
                "write a number of bytes or a number and a unit, such as 512, 64KiB or 1GiB");
  }
  return static_cast<uint64_t>(std::llround(number * unit->factor));
}

std::string format_duration(Millis duration) {
  const int64_t ms = duration.count();
  if (ms == 0) return "0s";
  if (ms % 86'400'000 == 0) return std::to_string(ms / 86'400'000) + "d";
  if (ms % 3'600'000 == 0) return std::to_string(ms / 3'600'000) + "h";
  if (ms % 60'000 == 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1'000 == 0) return std::to_string(ms / 1'000) + "s";
  return std::to_string(ms) + "ms";
}

std::string format_size(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kNames[unit]);
  return text;
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || text == "any" || text == "all") return false;
  for (char c : text) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
    if (!ok) return false;
  }
  return true;
}

}  // namespace zgrid
