// A wall clock that is wrong: an LD_PRELOAD layer that shifts CLOCK_REALTIME by what stands in a
// file, while the program runs. Monotonic clocks are left alone, as they are when a real clock is
// set.
//
//   CLOCK_SHIFT  a file of 8 bytes: microseconds, a signed integer in this machine's byte order
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace {

constexpr int64_t kMicro = 1'000'000;

template <class Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

const volatile int64_t* map_shift() {
  const char* path = std::getenv("CLOCK_SHIFT");
  if (!path) return nullptr;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  void* mapped = fd < 0 ? MAP_FAILED : ::mmap(nullptr, 8, PROT_READ, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    std::fprintf(stderr, "clock: cannot map %s\n", path);
    std::abort();
  }
  ::close(fd);
  return static_cast<const volatile int64_t*>(mapped);
}

int64_t shift() {
  static const volatile int64_t* mapped = map_shift();
  return mapped ? *mapped : 0;
}

bool is_wall_clock(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* into) noexcept {
  static const auto next = real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int done = next(clock, into);
  if (done != 0 || !is_wall_clock(clock)) return done;
  const int64_t by = shift();
  into->tv_sec += by / kMicro;
  into->tv_nsec += by % kMicro * 1000;
  if (into->tv_nsec < 0) {
    into->tv_nsec += 1000 * kMicro;
    --into->tv_sec;
  } else if (into->tv_nsec >= 1000 * kMicro) {
    into->tv_nsec -= 1000 * kMicro;
    ++into->tv_sec;
  }
  return 0;
}

int gettimeofday(timeval* into, void*) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  into->tv_sec = now.tv_sec;
  into->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* into) noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
