#include "client/cli/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "client/cli/documents.h"

namespace zgrid::cli {

Result<OutputFolder> OutputFolder::open(const std::string& path, std::string advice) {
  std::error_code problem;
  std::filesystem::create_directories(path, problem);
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    const std::string why = problem ? problem.message() : std::strerror(errno);
    return fail(Errc::cannot_create, "cannot use '" + path + "' for the outputs: " + why,
                "--out names a folder; it is made if it is not there");
  }
  if (::faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    const int error = errno;
    ::close(fd);
    return fail(Errc::cannot_create, "cannot write into '" + path + "': " + std::strerror(error));
  }
  return OutputFolder(fd, path, std::move(advice));
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : fd_(other.fd_), path_(std::move(other.path_)), advice_(std::move(other.advice_)) {
  other.fd_ = -1;
}

OutputFolder::~OutputFolder() {
  if (fd_ >= 0) ::close(fd_);
}

Failure OutputFolder::failure(const std::string& name) const {
  return fail(Errc::io, "cannot write '" + path_ + "/" + name + "': " + std::strerror(errno),
              advice_);
}

Result<void> OutputFolder::write(uint64_t index, const JobResult& result) {
  const std::string stem = std::to_string(index);
  if (result.status() == JobStatus::succeeded) {
    auto written = write_file(stem + ".out", bare_output(result.entry.output));
    if (!written) return written;
  } else if (::unlinkat(fd_, (stem + ".out").c_str(), 0) != 0 && errno != ENOENT) {
    return failure(stem + ".out");
  }
  // The document comes last: where it is, the output is.
  return write_file(stem + ".json", result_document(result).dump() + "\n");
}

Result<void> OutputFolder::write_file(const std::string& name, std::string_view bytes) {
  // Two commands that write into one folder do not meet in one file.
  const std::string temporary = "." + name + "." + std::to_string(::getpid());
  const int file = ::openat(fd_, temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return failure(name);
  bool ok = true;
  while (ok && !bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    ok = written > 0;
    if (ok) bytes.remove_prefix(static_cast<size_t>(written));
  }
  ok = ::close(file) == 0 && ok;
  ok = ok && ::renameat(fd_, temporary.c_str(), fd_, name.c_str()) == 0;
  if (ok) return {};
  auto problem = failure(name);
  ::unlinkat(fd_, temporary.c_str(), 0);
  return problem;
}

}  // namespace zgrid::cli
