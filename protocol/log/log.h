// Log lines of a process: text for people, or one JSON object a line.
// Passed to whoever logs; there is no global logger. spdlog is included in log.cpp only.
// Threads: all of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/result.h"

namespace zgrid {

class Log {
 public:
  enum class Level : uint8_t { trace, debug, info, warn, error, off };
  // A name and its value, shown as name=value or as a member of the JSON object.
  using Fields = std::vector<std::pair<std::string_view, std::string>>;

  // To stderr. Errc::config for a level or format that does not exist.
  static Result<std::unique_ptr<Log>> open(const std::string& level, const std::string& format);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  [[nodiscard]] bool is_on(Level level) const;
  void write(Level level, std::string_view message, const Fields& fields = {});
  void debug(std::string_view message, const Fields& fields = {}) {
    write(Level::debug, message, fields);
  }
  void info(std::string_view message, const Fields& fields = {}) {
    write(Level::info, message, fields);
  }
  void warn(std::string_view message, const Fields& fields = {}) {
    write(Level::warn, message, fields);
  }
  void error(std::string_view message, const Fields& fields = {}) {
    write(Level::error, message, fields);
  }

 private:
  struct Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zgrid
