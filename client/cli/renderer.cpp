#include "client/cli/renderer.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace zgrid::cli {
namespace {

// 0, or the errno of what went wrong.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

}  // namespace

void Renderer::print(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == EPIPE) {
    // Nobody reads any more: end as any filter does, whether SIGPIPE is ignored or not.
    ::signal(SIGPIPE, SIG_DFL);
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::raise(SIGPIPE);
    ::pthread_sigmask(SIG_UNBLOCK, &pipe, nullptr);
  }
  if (error != 0 && write_errno_ == 0) write_errno_ = error;
}

void Renderer::print_err(std::string_view text) { write_all(STDERR_FILENO, text); }

Result<void> Renderer::finish() const {
  if (write_errno_ == 0) return {};
  return fail(Errc::io, std::string("cannot write to stdout: ") + std::strerror(write_errno_),
              "the output is incomplete; the job's result is kept: 'zgrid result' prints it again");
}

std::unique_ptr<Renderer> make_renderer(const Style& style) {
  if (style.json) return make_json_renderer(style);
  return style.quiet ? make_quiet_renderer(style) : make_text_renderer(style);
}

}  // namespace zgrid::cli
