// A TCP connection to a server on this machine, buffered both ways: as much in one system call as
// there is. A failure or a closed connection ends the program.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace zgrid::bench {

class Stream {
 public:
  explicit Stream(uint16_t port);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  void put(std::string_view bytes) { out_.append(bytes); }
  void flush();

  // A line without its \r\n, or so many bytes; blocks. Valid until the next call.
  std::string_view line();
  std::string_view bytes(size_t count);
  // Whether something was received and not read yet.
  [[nodiscard]] bool has_input() const { return at_ < in_.size(); }
  // Whether a line was received and not read yet that begins with this.
  [[nodiscard]] bool has_line(std::string_view start = {}) const {
    return in_.compare(at_, start.size(), start) == 0 && in_.find("\r\n", at_) != std::string::npos;
  }
  // Receives what comes next, without reading it.
  void receive();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
  std::string in_, out_;
  size_t at_ = 0;  // read up to here
};

}  // namespace zgrid::bench
