// Reads a socket's monitor on a thread of its own: libzmq writes to it from its I/O threads and
// blocks, with all connections, when nobody reads.
// Private to this folder: it shows cppzmq.
// Threads: made and destroyed by the socket's thread; counts() and take() from any.
#pragma once

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "protocol/transport/doorkeeper.h"
#include "protocol/transport/event_fd.h"
#include "protocol/transport/zmq_socket.h"

namespace zgrid::protocol::transport {

class Monitor {
 public:
  // More are of no use to a reader that comes late; the oldest are dropped.
  static constexpr size_t kEventsMax = 256;

  // Counts, and, if `notify` is given, also keeps the events and signals it. `door`, if given,
  // hears of listeners and of who comes in. All arguments must outlive the monitor. Throws
  // zmq::error_t or std::system_error.
  Monitor(Context::Impl& context, zmq::socket_t& socket, const EventFd* notify, Doorkeeper* door);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  [[nodiscard]] Router::Counts counts() const;
  [[nodiscard]] bool has_events() const;
  std::vector<LinkEvent> take();

 private:
  void run();
  void on_event(int event, int value, std::string_view endpoint);
  void keep(LinkEvent event);

  zmq::socket_t& watched_;
  const EventFd* notify_;
  Doorkeeper* door_;
  zmq::socket_t pair_;
  std::atomic<uint64_t> handshakes_{0}, refused_keys_{0}, failed_handshakes_{0}, accept_failed_{0};
  mutable std::mutex mutex_;
  std::deque<LinkEvent> events_;
  std::thread thread_;
};

}  // namespace zgrid::protocol::transport
