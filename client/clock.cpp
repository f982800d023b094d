#include "client/clock.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

#include "protocol/base/check.h"

namespace zgrid::client {

Now system_now() {
  using std::chrono::duration_cast;
  return {
      MonoTime{duration_cast<Micros>(std::chrono::steady_clock::now().time_since_epoch())},
      WallTime{duration_cast<Micros>(std::chrono::system_clock::now().time_since_epoch()).count()}};
}

void fill_random(void* into, size_t size) {
  auto* at = static_cast<char*>(into);
  while (size > 0) {
    const ssize_t got = getrandom(at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    ZGRID_CHECK(got > 0);
    at += got;
    size -= static_cast<size_t>(got);
  }
}

JobId JobIds::next(WallTime now) {
  std::array<uint8_t, 10> random{};
  if (used_ + random.size() > pool_.size()) {
    fill_random(pool_.data(), pool_.size());
    used_ = 0;
  }
  std::memcpy(random.data(), pool_.data() + used_, random.size());
  used_ += random.size();
  return make_job_id(now.us / 1000, random);
}

}  // namespace zgrid::client
