// Where the inputs of many jobs come from: an array, the lines of a file, or those of a pipe that
// may never end.
// Threads: one thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "client/cli/command.h"
#include "protocol/json.h"

namespace zgrid::cli {

// 7, 1-100 or 1-100:2. Errc::usage with a hint for anything else.
Result<ArrayRange> parse_array(const std::string& text);
uint64_t size_of(const ArrayRange& range);

// What one job of a submit is made from.
struct Item {
  uint64_t index = 0;  // the line's number from 1, or the array's value; 0: the only job
  Json data;           // {"text": line}, the line's document, or {}
  std::string raw;     // the document's bytes as they came; empty: as `data` is written
};

// The lines of a file descriptor, without their newlines. What follows the last newline is a line
// too, if it is not empty.
// Ownership: does not close the descriptor.
class LineReader {
 public:
  enum class Got : uint8_t { line, later, end };

  LineReader(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  // Reads on from this offset without moving the descriptor's own, which others may share.
  void read_from(int64_t offset) { offset_ = offset; }
  // Never blocks: `later` if nothing can be read now. Errc::too_large for a line that no payload
  // could hold, Errc::io. The view is valid until the next call.
  Result<Got> next(std::string_view& line);
  [[nodiscard]] uint64_t lines() const { return lines_; }  // read so far

 private:
  Result<bool> read_more();  // false: nothing can be read now
  Got take(std::string_view& line, size_t end, size_t next);

  int fd_;
  std::string name_;
  std::optional<int64_t> offset_;
  std::string buffer_;
  size_t at_ = 0;       // of the next line
  size_t scanned_ = 0;  // no newline before this
  uint64_t lines_ = 0;
  bool at_end_ = false;
};

class BulkSource {
 public:
  enum class Got : uint8_t { item, later, end };

  // Errc::not_found for a missing file.
  static Result<BulkSource> open(const Bulk& bulk);
  BulkSource(BulkSource&& other) noexcept;
  BulkSource& operator=(BulkSource&&) = delete;
  ~BulkSource();

  // The next item in order. Errc::bad_input for a line that is no JSON document; nothing may be
  // read after an error.
  Result<Got> next(Item& item);
  // Reads a regular file from here to its end, as next() would, and lets `each` judge every item.
  // Later next() begins where it would have. Does nothing for what can be read only once.
  Result<void> look_ahead(const std::function<Result<void>(const Item&)>& each);
  // How many items there are in all, once it is known.
  [[nodiscard]] std::optional<uint64_t> total() const { return total_; }
  // Readable when next() has more to say than `later`; -1: it never says that.
  [[nodiscard]] int fd() const { return kind_ == Kind::array || is_file_ ? -1 : fd_; }
  // For messages: line 7 of 'words.txt', index 7.
  [[nodiscard]] std::string where(uint64_t index) const;

 private:
  enum class Kind : uint8_t { array, lines, json };
  BulkSource(Kind kind, int fd, std::string name);
  Result<Got> next_of(LineReader& reader, Item& item) const;

  Kind kind_;
  int fd_;
  std::string name_;
  bool is_file_ = false;  // a regular one
  ArrayRange range_;
  uint64_t array_at_ = 0, array_left_ = 0;
  std::optional<uint64_t> total_;
  LineReader reader_;
};

}  // namespace zgrid::cli
