#include "client/cli/bulk_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "client/cli/job_result.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

constexpr size_t kChunk = 64u << 10;
constexpr const char* kFileHint =
    "give a file of lines, counted from the current folder, or - for stdin";

std::optional<uint64_t> whole_number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  // JSON's readers keep whole numbers exactly up to here.
  constexpr uint64_t kMax = uint64_t{1} << 53;
  if (parsed.ec != std::errc{} || parsed.ptr != end || value > kMax) return std::nullopt;
  return value;
}

// Can more be read without waiting?
bool is_readable(int fd) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, 0) > 0;
}

// A line is a document of its own: its number in the file is told by who names the file.
Error error_of_line(Error error) {
  constexpr std::string_view kLine = "line 1, ";
  const size_t at = error.message.find(kLine);
  if (at != std::string::npos) error.message.erase(at, kLine.size());
  return error;
}

}  // namespace

Result<ArrayRange> parse_array(const std::string& text) {
  std::string_view rest = text;
  ArrayRange range;
  std::optional<uint64_t> step = 1;
  if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    step = whole_number(rest.substr(colon + 1));
    rest = rest.substr(0, colon);
  }
  const size_t dash = rest.find('-');
  const auto first = whole_number(rest.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_number(rest.substr(dash + 1));
  if (!first || !last || !step || *step == 0) {
    return fail(Errc::usage, "'" + text + "' is not an array of indices",
                "write 1-100, or 1-100:2 for every second one");
  }
  if (*first == 0) {
    return fail(Errc::usage, "'" + text + "': an index counts from 1", "write 1-100");
  }
  if (*last < *first) {
    return fail(Errc::usage, "'" + text + "' ends before it begins", "write the smaller one first");
  }
  range.first = *first;
  range.last = *last;
  range.step = *step;
  return range;
}

uint64_t size_of(const ArrayRange& range) { return (range.last - range.first) / range.step + 1; }

// ---- lines ------------------------------------------------------------------------------

Result<bool> LineReader::read_more() {
  if (at_ > 0) {  // what was handed out is not needed any more
    buffer_.erase(0, at_);
    scanned_ -= at_;
    at_ = 0;
  }
  const size_t size = buffer_.size();
  while (true) {
    if (!offset_ && !is_readable(fd_)) return false;
    buffer_.resize(size + kChunk);
    const ssize_t got = offset_ ? ::pread(fd_, buffer_.data() + size, kChunk, *offset_)
                                : ::read(fd_, buffer_.data() + size, kChunk);
    buffer_.resize(size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return false;
    if (got < 0) return fail(Errc::io, "cannot read " + name_ + ": " + std::strerror(errno));
    at_end_ = got == 0;
    if (offset_) *offset_ += got;
    return true;
  }
}

LineReader::Got LineReader::take(std::string_view& line, size_t end, size_t next) {
  line = std::string_view(buffer_).substr(at_, end - at_);
  at_ = scanned_ = next;
  ++lines_;
  return Got::line;
}

Result<LineReader::Got> LineReader::next(std::string_view& line) {
  while (true) {
    const size_t newline = buffer_.find('\n', scanned_);
    if (newline != std::string::npos) return take(line, newline, newline + 1);
    scanned_ = buffer_.size();
    if (at_end_) return at_ == scanned_ ? Got::end : take(line, scanned_, scanned_);
    if (scanned_ - at_ > limits::kPayloadBytesMax) {
      return fail(Errc::too_large,
                  "line " + std::to_string(lines_ + 1) + " of " + name_ + " is over the limit of " +
                      format_size(limits::kPayloadBytesMax),
                  "pass a path or an address instead of the data");
    }
    auto more = read_more();
    if (!more) return fail(more.error());
    if (!*more) return Got::later;
  }
}

// ---- items ------------------------------------------------------------------------------

BulkSource::BulkSource(Kind kind, int fd, std::string name)
    : kind_(kind), fd_(fd), name_(std::move(name)), reader_(fd, name_) {}

BulkSource::BulkSource(BulkSource&& other) noexcept
    : kind_(other.kind_),
      fd_(other.fd_),
      name_(std::move(other.name_)),
      is_file_(other.is_file_),
      range_(other.range_),
      array_at_(other.array_at_),
      array_left_(other.array_left_),
      total_(other.total_),
      reader_(std::move(other.reader_)) {
  other.fd_ = -1;
}

BulkSource::~BulkSource() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

Result<BulkSource> BulkSource::open(const Bulk& bulk) {
  if (bulk.array) {
    BulkSource source(Kind::array, -1, "");
    source.range_ = *bulk.array;
    source.array_at_ = bulk.array->first;
    source.array_left_ = size_of(*bulk.array);
    source.total_ = source.array_left_;
    return source;
  }
  const Kind kind = bulk.each_line ? Kind::lines : Kind::json;
  const std::string& file = bulk.each_line ? *bulk.each_line : *bulk.each_json;
  int fd = STDIN_FILENO;
  if (file != "-") {
    fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      const Errc code = errno == ENOENT || errno == ENOTDIR ? Errc::not_found : Errc::io;
      return fail(code, "cannot open '" + file + "': " + std::strerror(errno), kFileHint);
    }
  }
  BulkSource source(kind, fd, file == "-" ? "stdin" : "'" + file + "'");
  struct stat facts {};
  source.is_file_ = ::fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
  if (S_ISDIR(facts.st_mode)) return fail(Errc::io, source.name_ + " is a folder", kFileHint);
  return source;
}

std::string BulkSource::where(uint64_t index) const {
  if (kind_ == Kind::array) return "index " + std::to_string(index);
  return "line " + std::to_string(index) + " of " + name_;
}

Result<BulkSource::Got> BulkSource::next_of(LineReader& reader, Item& item) const {
  std::string_view line;
  while (true) {
    auto got = reader.next(line);
    if (!got) return fail(got.error());
    if (*got != LineReader::Got::line) {
      return *got == LineReader::Got::end ? Got::end : Got::later;
    }
    // Blanks around a document mean nothing; of a text they are part.
    const bool is_empty = kind_ == Kind::json
                              ? line.find_first_not_of(" \t\r") == std::string_view::npos
                              : line.empty();
    if (!is_empty) break;
  }
  item.index = reader.lines();
  item.raw.clear();
  if (kind_ == Kind::lines) {
    item.data = Json::object().set("text", text_or_base64(line));
    return Got::item;
  }
  auto parsed = Json::parse(line);
  if (!parsed) {
    Error error = error_of_line(parsed.error());
    error.message = where(item.index) + ": " + error.message;
    error.hint = "--each-json reads one document a line; use --each-line for plain text";
    return fail(std::move(error));
  }
  item.data = std::move(*parsed);
  item.raw = line;
  return Got::item;
}

Result<BulkSource::Got> BulkSource::next(Item& item) {
  if (kind_ != Kind::array) return next_of(reader_, item);
  if (array_left_ == 0) return Got::end;
  item.index = array_at_;
  item.data = Json::object();
  item.raw.clear();
  array_at_ += range_.step;
  --array_left_;
  return Got::item;
}

Result<void> BulkSource::look_ahead(const std::function<Result<void>(const Item&)>& each) {
  if (kind_ == Kind::array || !is_file_) return {};
  const off_t here = ::lseek(fd_, 0, SEEK_CUR);
  if (here < 0) return fail(Errc::io, "cannot seek in " + name_ + ": " + std::strerror(errno));
  LineReader reader(fd_, name_);
  reader.read_from(here);
  uint64_t count = 0;
  Item item;
  while (true) {
    auto got = next_of(reader, item);
    if (!got) return fail(got.error());
    if (*got == Got::end) break;
    if (auto ok = each(item); !ok) return ok;
    ++count;
  }
  total_ = count;
  return {};
}

}  // namespace zgrid::cli
