#include "client/cli/output_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "client/cli/documents.h"

namespace zgrid::cli {
namespace {

constexpr std::string_view kDocument = ".json";

// Of INDEX.json.
std::optional<uint64_t> index_of(const std::string& name) {
  uint64_t index = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, problem] = std::from_chars(name.data(), end, index);
  if (problem != std::errc() || std::string_view(rest, end) != kDocument) return std::nullopt;
  if (name != std::to_string(index) + std::string(kDocument)) return std::nullopt;
  return index;
}

std::vector<uint64_t> documents_in(const std::string& path) {
  std::vector<uint64_t> found;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(path, problem), end; entry != end;
       entry.increment(problem)) {
    if (const auto index = index_of(entry->path().filename())) found.push_back(*index);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Nothing if it is no whole document: a power cut leaves such ones.
std::optional<Json> read_document(const std::string& path) {
  std::error_code unknown;  // a pipe of that name would keep us waiting
  if (!std::filesystem::is_regular_file(path, unknown)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  auto document = Json::parse(text);
  if (!document) return std::nullopt;
  return std::move(*document);
}

const std::string* member(const Json& document, const char* name) {
  const Json* value = document.find(name);
  return value == nullptr ? nullptr : value->as_string();
}

}  // namespace

Result<OutputFolder> OutputFolder::open(const std::string& path, const std::string& run,
                                        std::string advice) {
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
  OutputFolder folder(fd, path, std::move(advice));
  folder.found_ = documents_in(path);
  folder.written_.resize(folder.found_.size());
  if (auto ok = folder.check_owner(run); !ok) return fail(ok.error());
  return folder;
}

Result<void> OutputFolder::check_owner(const std::string& run) const {
  size_t looked_at = 0;
  for (auto index = found_.rbegin(); index != found_.rend() && looked_at < kLookedAt; ++index) {
    ++looked_at;
    const std::string name = std::to_string(*index) + std::string(kDocument);
    const auto document = read_document(path_ + "/" + name);
    if (!document) continue;
    const std::string* schema = member(*document, "schema");
    if (schema == nullptr || *schema != kSchema) {
      return fail(Errc::cannot_create, "'" + path_ + "/" + name + "' is no result of zgrid's",
                  "name another folder: one for results alone");
    }
    const std::string* other = member(*document, "run");
    if (other != nullptr && *other == run) continue;
    const std::string owner = other == nullptr ? "another run" : "run " + *other;
    return fail(Errc::cannot_create,
                "'" + path_ + "' holds results of " + owner + ", not of run " + run +
                    "; nothing was submitted",
                "name another folder for each run, or remove the old results; the same --run or "
                "--key again writes over its own");
  }
  return {};
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : fd_(other.fd_),
      path_(std::move(other.path_)),
      advice_(std::move(other.advice_)),
      found_(std::move(other.found_)),
      written_(std::move(other.written_)) {
  other.fd_ = -1;
}

OutputFolder::~OutputFolder() {
  if (fd_ >= 0) ::close(fd_);
}

Failure OutputFolder::failure(const std::string& name) const {
  return fail(Errc::io, "cannot write '" + path_ + "/" + name + "': " + std::strerror(errno),
              advice_);
}

std::vector<uint64_t> OutputFolder::untouched() const {
  std::vector<uint64_t> indexes;
  for (size_t i = 0; i < found_.size(); ++i) {
    if (!written_[i]) indexes.push_back(found_[i]);
  }
  return indexes;
}

Result<void> OutputFolder::write(uint64_t index, const JobResult& result) {
  const auto found = std::lower_bound(found_.begin(), found_.end(), index);
  if (found != found_.end() && *found == index) {
    written_[static_cast<size_t>(found - found_.begin())] = true;
  }
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
