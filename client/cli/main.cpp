#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <exception>
#include <iostream>

#include "client/cli/cli.h"

namespace {

// What a turn frees the next one needs again: without this glibc gives it back to the kernel each
// time, and half of a worker's CPU time went into page faults. A list of jobs with its payloads
// takes a little more than 1 MiB; the chunks of large payloads (4 MiB) are still returned.
void keep_freed_memory() {
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

// A daemon may start us without some of the standard descriptors. Then the next files would get
// their numbers, and what is meant for people would be written into a store's lock.
void hold_standard_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_descriptors();
  keep_freed_memory();
  try {
    return zgrid::cli::run_cli({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    // Memory that ran out, or a bug.
    std::cerr << "zgrid: internal error: " << error.what() << "\n";
    return 70;
  }
}
