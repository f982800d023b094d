#include "bench/peers/stream.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/load.h"

namespace zgrid::bench {

Stream::Stream(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  if (fd_ < 0 || setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) die("socket");
  if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
}

Stream::~Stream() { close(fd_); }

void Stream::flush() {
  std::string_view rest = out_;
  while (!rest.empty()) {
    const ssize_t sent = send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) die("send");
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  out_.clear();
}

void Stream::receive() {
  constexpr size_t kChunk = 256 * 1024;
  if (at_ > 0) {
    in_.erase(0, at_);
    at_ = 0;
  }
  const size_t before = in_.size();
  in_.resize(before + kChunk);
  const ssize_t got = recv(fd_, in_.data() + before, kChunk, 0);
  if (got <= 0) die("the server closed the connection");
  in_.resize(before + static_cast<size_t>(got));
}

std::string_view Stream::line() {
  size_t end = in_.find("\r\n", at_);
  while (end == std::string::npos) {
    receive();
    end = in_.find("\r\n", at_);
  }
  const std::string_view found = std::string_view(in_).substr(at_, end - at_);
  at_ = end + 2;
  return found;
}

std::string_view Stream::bytes(size_t count) {
  while (in_.size() - at_ < count) receive();
  const std::string_view found = std::string_view(in_).substr(at_, count);
  at_ += count;
  return found;
}

}  // namespace zgrid::bench
