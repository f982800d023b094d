#include "protocol/transport/monitor.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

namespace zgrid::protocol::transport {
namespace {

constexpr int kCounted = ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                         ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_MONITOR_STOPPED;
constexpr int kKept = kCounted | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED;
constexpr int kAtTheDoor = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED;

// RFC 27: "try again later". Any other status is final.
constexpr int kZapTemporary = 300;

}  // namespace

Monitor::Monitor(Context::Impl& context, zmq::socket_t& socket, const EventFd* notify,
                 Doorkeeper* door)
    : watched_(socket), notify_(notify), door_(door), pair_(context.zmq, zmq::socket_type::pair) {
  const std::string endpoint = "inproc://zgrid.monitor." + std::to_string(++context.monitors);
  const int watched = (notify == nullptr ? kCounted : kKept) | (door == nullptr ? 0 : kAtTheDoor);
  if (zmq_socket_monitor(socket.handle(), endpoint.c_str(), watched) != 0) throw zmq::error_t();
  pair_.set(zmq::sockopt::linger, 0);
  try {
    pair_.connect(endpoint);
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    zmq_socket_monitor(socket.handle(), nullptr, 0);
    throw;
  }
}

Monitor::~Monitor() {
  // The last event is MONITOR_STOPPED. The thread reads until then: libzmq would wait for ever for
  // a reader that is gone.
  zmq_socket_monitor(watched_.handle(), nullptr, 0);
  thread_.join();
}

void Monitor::run() {
  for (;;) {
    zmq::message_t head, endpoint;
    while (zmq_msg_recv(head.handle(), pair_.handle(), 0) < 0) {
      if (zmq_errno() != EINTR) return;  // the context ends
    }
    while (zmq_msg_recv(endpoint.handle(), pair_.handle(), 0) < 0) {
      if (zmq_errno() != EINTR) return;
    }
    uint16_t event = 0;
    int32_t value = 0;
    if (head.size() < sizeof event + sizeof value) continue;
    std::memcpy(&event, head.data(), sizeof event);
    std::memcpy(&value, static_cast<const char*>(head.data()) + sizeof event, sizeof value);
    if (event == ZMQ_EVENT_MONITOR_STOPPED) return;
    on_event(event, value, endpoint.to_string_view());
  }
}

void Monitor::on_event(int event, int value, std::string_view endpoint) {
  using What = LinkEvent::What;
  What what = What::connected;
  switch (event) {
    case ZMQ_EVENT_LISTENING: return door_->on_listening(value);
    case ZMQ_EVENT_ACCEPTED: return door_->on_accepted();
    case ZMQ_EVENT_CLOSED: return door_->on_closed(value);
    case ZMQ_EVENT_CONNECTED: break;
    case ZMQ_EVENT_DISCONNECTED: what = What::disconnected; break;
    case ZMQ_EVENT_ACCEPT_FAILED:
      // The doorkeeper was quicker.
      if (value == EAGAIN) return;
      what = What::accept_failed;
      accept_failed_.fetch_add(1, std::memory_order_relaxed);
      if (door_ != nullptr) door_->on_accept_failed(value);
      break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      what = What::ready;
      handshakes_.fetch_add(1, std::memory_order_relaxed);
      break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      what = value == kZapTemporary ? What::handshake_failed : What::refused;
      refused_keys_.fetch_add(1, std::memory_order_relaxed);
      break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
      what = What::handshake_failed;
      failed_handshakes_.fetch_add(1, std::memory_order_relaxed);
      break;
    default:  // libzmq's numbers are open
      return;
  }
  if (notify_ != nullptr) keep({what, std::string(endpoint), value});
}

void Monitor::keep(LinkEvent event) {
  {
    const std::lock_guard lock(mutex_);
    if (events_.size() == kEventsMax) events_.pop_front();
    events_.push_back(std::move(event));
  }
  notify_->signal();
}

Router::Counts Monitor::counts() const {
  Router::Counts counts;
  counts.handshakes = handshakes_.load(std::memory_order_relaxed);
  counts.refused_keys = refused_keys_.load(std::memory_order_relaxed);
  counts.failed_handshakes = failed_handshakes_.load(std::memory_order_relaxed);
  counts.accept_failed = accept_failed_.load(std::memory_order_relaxed);
  return counts;
}

bool Monitor::has_events() const {
  const std::lock_guard lock(mutex_);
  return !events_.empty();
}

std::vector<LinkEvent> Monitor::take() {
  const std::lock_guard lock(mutex_);
  std::vector<LinkEvent> taken(std::make_move_iterator(events_.begin()),
                               std::make_move_iterator(events_.end()));
  events_.clear();
  return taken;
}

}  // namespace zgrid::protocol::transport
