#include "client/cli/tcp_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace zgrid::cli {
namespace {

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

bool wait_for(int fd, short what, Millis patience) {
  pollfd polled{fd, what, 0};
  return ::poll(&polled, 1, static_cast<int>(patience.count())) > 0;
}

Reached of_errno(int error) {
  switch (error) {
    case 0: return {Reach::ok, ""};
    case ECONNREFUSED: return {Reach::refused, "nothing listens there (connection refused)"};
    case ETIMEDOUT: return {Reach::silent, "no answer"};
    default: return {Reach::failed, std::strerror(error)};
  }
}

Reached connect_to(const addrinfo& info, Millis patience, Socket& into) {
  Socket socket(::socket(info.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return of_errno(errno);
  if (::connect(socket.get(), info.ai_addr, info.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return of_errno(errno);
    if (!wait_for(socket.get(), POLLOUT, patience)) return of_errno(ETIMEDOUT);
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return of_errno(error);
  }
  into = std::move(socket);
  return {Reach::ok, ""};
}

Reached open_tcp(const Address& address, Millis patience, Socket& into) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &first);
  if (error != 0) return {Reach::unknown_host, ::gai_strerror(error)};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list(first, &::freeaddrinfo);
  Reached worst{Reach::failed, "it has no address"};
  for (const addrinfo* info = list.get(); info != nullptr; info = info->ai_next) {
    worst = connect_to(*info, patience, into);
    if (worst.reach == Reach::ok) break;
  }
  return worst;
}

}  // namespace

std::optional<Address> address_of(const std::string& url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string::npos) return std::nullopt;
  const std::string kind = url.substr(0, scheme);
  if (kind != "tcp" && kind != "http" && kind != "https") return std::nullopt;
  std::string rest = url.substr(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  rest = rest.substr(rest.rfind('@') + 1);
  Address address;
  const size_t bracket = rest.find(']');
  const size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  address.host = rest.substr(0, colon);
  if (colon != std::string::npos) address.port = rest.substr(colon + 1);
  if (address.host.size() >= 2 && address.host.front() == '[') {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.port.empty() && kind != "tcp") address.port = kind == "http" ? "80" : "443";
  if (address.host.empty() || address.port.empty()) return std::nullopt;
  return address;
}

bool is_loopback(const std::string& host) {
  const bool is_ipv4 = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (is_ipv4 && host.compare(0, 4, "127.") == 0);
}

Reached try_tcp(const Address& address, Millis patience) {
  Socket socket;
  return open_tcp(address, patience, socket);
}

std::optional<int> http_status(const Address& address, const std::string& path, Millis patience) {
  Socket socket;
  if (open_tcp(address, patience, socket).reach != Reach::ok) return std::nullopt;
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: " + address.host +
                              "\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  const ssize_t sent = ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(request.size())) return std::nullopt;
  std::string answer;
  // "HTTP/1.1 200": more is not needed.
  constexpr size_t kStatusLine = 12;
  while (answer.size() < kStatusLine) {
    std::array<char, 256> buffer{};
    if (!wait_for(socket.get(), POLLIN, patience)) return std::nullopt;
    const ssize_t got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (got <= 0) return std::nullopt;
    answer.append(buffer.data(), static_cast<size_t>(got));
  }
  if (answer.compare(0, 7, "HTTP/1.") != 0) return std::nullopt;
  return std::atoi(answer.c_str() + 9);
}

}  // namespace zgrid::cli
