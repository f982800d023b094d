#include "protocol/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace zgrid {

void check_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "zgrid: internal error: %s is false (%s:%d). Please report this.\n",
               expression, file, line);
  std::abort();
}

}  // namespace zgrid
