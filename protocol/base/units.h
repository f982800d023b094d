// The texts in which users write durations and sizes, and the ones in which we print them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid {

// 500ms, 90s, 15m, 2h, 7d, also 1.5s. No sign, no bare number but 0. Errc::usage otherwise.
Result<Millis> parse_duration(std::string_view text);
// 512, 64KiB, 64MiB, 1GiB, and kB, MB, GB as powers of ten. Errc::usage otherwise.
Result<uint64_t> parse_size(std::string_view text);

// The shortest exact form: 500ms, 90s, 15m.
std::string format_duration(Millis duration);
// At most one decimal: 512 B, 1.5 MiB.
std::string format_size(uint64_t bytes);

// True for [A-Za-z0-9._-]{1,63} other than "any" and "all": names of grids, workers and runs.
bool is_name(std::string_view text);

}  // namespace zgrid
