// Assertions on our own logic, on in every build.
// A condition that a peer, a file or the system can make false is not for here: return an Error.
#pragma once

namespace zgrid {
[[noreturn]] void check_failed(const char* expression, const char* file, int line) noexcept;
}  // namespace zgrid

#define ZGRID_CHECK(expression) \
  ((expression) ? static_cast<void>(0) : ::zgrid::check_failed(#expression, __FILE__, __LINE__))
