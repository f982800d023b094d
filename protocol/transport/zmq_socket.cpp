#include "protocol/transport/zmq_socket.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <random>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/limits.h"

#if defined(__SANITIZE_THREAD__)
#define ZGRID_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ZGRID_TSAN 1
#endif
#endif
#ifdef ZGRID_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace zgrid::protocol {
namespace transport {
namespace {

// ThreadSanitizer does not see how libzmq, which it has not compiled, hands memory to its threads.
void leaves_this_thread([[maybe_unused]] void* pointer) {
#ifdef ZGRID_TSAN
  __tsan_release(pointer);
#endif
}
void arrives_in_this_thread([[maybe_unused]] void* pointer) {
#ifdef ZGRID_TSAN
  __tsan_acquire(pointer);
#endif
}

// What libzmq holds on to until it has encrypted the frame.
struct Lent {
  Bytes frame;
  std::optional<Backlog> backlog;
};

void give_back(void*, void* hint) {
  arrives_in_this_thread(hint);
  const std::unique_ptr<Lent> lent(static_cast<Lent*>(hint));
  if (lent->backlog) lent->backlog->remove(lent->frame.size());
}

int milliseconds(Millis duration) { return static_cast<int>(duration.count()); }

// libzmq spreads reconnections by less than RECONNECT_IVL, from a base that all would share.
Millis random_reconnect_interval() {
  std::random_device device;
  return kReconnectMin + Millis{device() % (kReconnectSpread.count() + 1)};
}

// libzmq takes 99999 for 34463.
bool is_port(std::string_view text, bool bindable) {
  if (text == "*") return bindable;
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port <= 65535 &&
         (bindable || port > 0);
}

int send_message(void* socket, zmq_msg_t& message, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  int error = 0;
  do {
    error = zmq_msg_send(&message, socket, flags) < 0 ? zmq_errno() : 0;
  } while (error == EINTR);
  if (error != 0) zmq_msg_close(&message);
  return error;
}

}  // namespace

void set_common_options(zmq::socket_t& socket, int high_water_mark) {
  socket.set(zmq::sockopt::sndhwm, high_water_mark);
  socket.set(zmq::sockopt::rcvhwm, high_water_mark);
  socket.set(zmq::sockopt::maxmsgsize,
             static_cast<int64_t>(limits::kFrameBytesMax + kFrameOverhead));
  socket.set(zmq::sockopt::linger, milliseconds(kLinger));
  socket.set(zmq::sockopt::handshake_ivl, milliseconds(kHandshakeMax));
  socket.set(zmq::sockopt::connect_timeout, milliseconds(kConnectTimeout));
  socket.set(zmq::sockopt::reconnect_ivl, milliseconds(random_reconnect_interval()));
  socket.set(zmq::sockopt::reconnect_ivl_max, milliseconds(kReconnectMax));
  socket.set(zmq::sockopt::backlog, kBacklog);
}

void set_pings(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::heartbeat_ivl, milliseconds(kPingEvery));
  socket.set(zmq::sockopt::heartbeat_timeout, milliseconds(kPongWithin));
}

void set_keepalive(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, static_cast<int>(kKeepaliveIdle.count()));
  socket.set(zmq::sockopt::tcp_keepalive_intvl, static_cast<int>(kKeepaliveEvery.count()));
  socket.set(zmq::sockopt::tcp_keepalive_cnt, kKeepaliveProbes);
  socket.set(zmq::sockopt::tcp_maxrt, milliseconds(kGoneAfter));
}

// As zmq_poll does it, with a third of its system calls: the descriptor becomes readable for what
// comes after the events were asked for, and a wake-up for nothing costs the caller one look.
void wait_for(void* socket, std::span<pollfd> polled, Micros timeout, BusyPoll* awake) {
  int events = 0, fd = -1;
  size_t size = sizeof events;
  ZGRID_CHECK(zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0);
  while (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0) {
    ZGRID_CHECK(zmq_errno() == EINTR);
  }
  polled.front() = {fd, POLLIN, 0};
  if ((events & ZMQ_POLLIN) != 0) timeout = Micros{0};
  awake != nullptr ? awake->wait(polled, timeout) : poll_for(polled, timeout);
}

Result<void> check_endpoint(std::string_view endpoint, bool bindable) {
  if (endpoint.starts_with("ipc://")) return {};
  if (endpoint.starts_with("tcp://")) {
    const std::string_view address = endpoint.substr(std::string_view("tcp://").size());
    const size_t colon = address.rfind(':');
    if (colon != std::string_view::npos && colon > 0 && colon + 1 < address.size() &&
        is_port(address.substr(colon + 1), bindable)) {
      return {};
    }
  }
  return fail(Errc::usage, "\"" + std::string(endpoint) + "\" is not an endpoint",
              "write tcp://HOST:PORT or ipc://PATH");
}

bool wants_ipv6(std::string_view endpoint) {
  return endpoint.starts_with("tcp://[") || endpoint.starts_with("tcp://*:");
}

bool receive_part(void* socket, zmq::message_t& into) {
  while (zmq_msg_recv(into.handle(), socket, ZMQ_DONTWAIT) < 0) {
    if (zmq_errno() != EINTR) return false;
  }
  return true;
}

Bytes to_bytes(zmq::message_t message) {
  const auto view = [](const zmq::message_t& of) {
    return std::string_view(static_cast<const char*>(of.data()), of.size());
  };
  if (message.size() < kReceiveCopyBelow) return Bytes::copy_of(view(message));
  auto owner = std::make_shared<zmq::message_t>(std::move(message));
  const std::string_view data = view(*owner);
  return Bytes::share(std::move(owner), data);
}

bool receive_frames(void* socket, zmq::message_t first, Frames& into) {
  into.clear();
  zmq::message_t part = std::move(first);
  size_t parts = 1;
  bool more = part.more();
  into.push_back(to_bytes(std::move(part)));
  while (more) {
    zmq::message_t next;
    // libzmq hands out whole messages only.
    if (!receive_part(socket, next)) return false;
    more = next.more();
    if (++parts <= kFramesMax) into.push_back(to_bytes(std::move(next)));
  }
  return parts <= kFramesMax;
}

int send_part(void* socket, std::string_view small, bool more) {
  zmq_msg_t message;
  ZGRID_CHECK(zmq_msg_init_size(&message, small.size()) == 0);
  if (!small.empty()) std::memcpy(zmq_msg_data(&message), small.data(), small.size());
  return send_message(socket, message, more);
}

int send_part(void* socket, const Bytes& frame, bool more, Backlog* backlog) {
  ZGRID_CHECK(frame.size() <= limits::kFrameBytesMax);
  if (frame.size() < kSendCopyBelow) return send_part(socket, frame.view(), more);
  auto owner = std::make_unique<Lent>(Lent{frame, {}});
  if (backlog != nullptr) {
    owner->backlog = *backlog;
    backlog->add(frame.size());
  }
  zmq_msg_t message;
  // libzmq only reads it; its interface cannot say so.
  ZGRID_CHECK(zmq_msg_init_data(&message, const_cast<char*>(frame.data()), frame.size(), give_back,
                                owner.get()) == 0);
  leaves_this_thread(owner.release());
  return send_message(socket, message, more);
}

std::string zmq_text(std::string_view what, int number) {
  return std::string(what) + ": " + zmq_strerror(number);
}

}  // namespace transport

namespace {
// A process with many sockets (a benchmark with a thousand clients) must not meet libzmq's default
// of 1023, of which each socket of ours takes three.
constexpr int kSocketsMax = 32'768;
}  // namespace

Context::Context(int io_threads) : impl_(std::make_unique<Impl>()) {
  impl_->zmq.set(zmq::ctxopt::io_threads, io_threads);
  impl_->zmq.set(zmq::ctxopt::max_sockets, kSocketsMax);
}

Context::~Context() = default;

}  // namespace zgrid::protocol
