#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/transport/monitor.h"
#include "protocol/transport/socket.h"
#include "protocol/transport/zap.h"
#include "protocol/transport/zmq_socket.h"

namespace zgrid::protocol {
namespace {

using transport::Monitor;
using transport::ZapHandler;

// Not in the zmq.h of Debian 12, but honoured by its library: no handler, no entry.
constexpr int kZapEnforceDomain = 93;

// libzmq deletes the path that it binds, also below a living server.
bool is_served(const std::string& ipc_endpoint) {
  const std::string path = ipc_endpoint.substr(std::string_view("ipc://").size());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || path[0] == '@') return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool served =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;  // its backlog is full
  close(fd);
  return served;
}

Failure bind_failure(const std::string& endpoint, int number) {
  const std::string text = transport::zmq_text("cannot listen on " + endpoint, number);
  switch (number) {
    case EADDRINUSE:
      return fail(Errc::cannot_create, text, "stop what listens there or choose another port");
    case EINVAL:
    case EPROTONOSUPPORT:
    case ENAMETOOLONG: return fail(Errc::usage, text, "write tcp://ADDRESS:PORT or ipc://PATH");
    case ENODEV:
      return fail(Errc::cannot_create, text, "no interface has this address; see `ip addr`");
    default: return fail(Errc::cannot_create, text);
  }
}

class ZmqRouter final : public Router {
 public:
  // Throws what cppzmq and std::thread throw.
  ZmqRouter(Context::Impl& context, Options options)
      : socket_(context.zmq, zmq::socket_type::router) {
    if (wants_handler(options)) zap_.emplace(context.zmq, std::move(options.authorize));
    transport::set_common_options(socket_, options.high_water_mark);
    transport::set_keepalive(socket_);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::curve_server, true);
    socket_.set(zmq::sockopt::curve_secretkey, options.keys.secret_key);
    socket_.set(zmq::sockopt::zap_domain, std::string(transport::kZapDomain));
    const int enforce = 1;
    if (zmq_setsockopt(socket_.handle(), kZapEnforceDomain, &enforce, sizeof enforce) != 0) {
      throw zmq::error_t();
    }
    monitor_.emplace(context, socket_, nullptr, &door_);
  }

  Result<std::string> bind(const std::string& endpoint) override {
    if (auto checked = transport::check_endpoint(endpoint, true); !checked) {
      return fail(checked.error());
    }
    if (endpoint.starts_with("ipc://") && is_served(endpoint)) {
      return bind_failure(endpoint, EADDRINUSE);
    }
    try {
      socket_.set(zmq::sockopt::ipv6, transport::wants_ipv6(endpoint));
      socket_.bind(endpoint);
      return socket_.get(zmq::sockopt::last_endpoint);
    } catch (const zmq::error_t& error) {
      return bind_failure(endpoint, error.num());
    }
  }

  void unbind(const std::string& endpoint) override {
    // It fails only for what is not bound.
    zmq_unbind(socket_.handle(), endpoint.c_str());
  }

  bool receive(Received& into) override {
    zmq::message_t id, first;
    while (transport::receive_part(socket_.handle(), id)) {
      if (!id.more() || !transport::receive_part(socket_.handle(), first)) continue;
      const char* user_id = zmq_msg_gets(first.handle(), "User-Id");
      const bool known = user_id != nullptr && transport::from_user_id(user_id, into.principal);
      const bool whole = transport::receive_frames(socket_.handle(), std::move(first), into.frames);
      if (known && whole) {
        into.routing_id.assign(id.to_string_view());
        return true;
      }
      ++dropped_;
    }
    into.frames.clear();
    return false;
  }

  Sent send(std::string_view routing_id, const Frames& frames, Backlog& backlog) override {
    ZGRID_CHECK(!frames.empty() && frames.size() <= transport::kFramesMax);
    if (backlog.bytes() > Backlog::kBytesMax) return Sent::full;
    // Only this part may fail: it finds the connection and asks for room for a whole message. If
    // the connection goes during the others, libzmq takes all of them back.
    const int error = transport::send_part(socket_.handle(), routing_id, true);
    if (error == EAGAIN) return Sent::full;
    if (error != 0) return Sent::gone;
    Sent sent = Sent::ok;
    for (size_t i = 0; i < frames.size(); ++i) {
      const bool more = i + 1 < frames.size();
      if (transport::send_part(socket_.handle(), frames[i], more, &backlog) != 0) sent = Sent::gone;
    }
    return sent;
  }

  [[nodiscard]] int fd() const override { return socket_.get(zmq::sockopt::fd); }

  bool wait(Micros timeout, int other_fd) override {
    pollfd polled[] = {{}, {other_fd, POLLIN, 0}};
    transport::wait_for(socket_.handle(), polled, timeout, &awake_);
    return polled[1].revents != 0;
  }

  bool keep_descriptors(MonoTime now) override { return door_.look(now); }

  [[nodiscard]] Counts counts() const override {
    Counts counts = monitor_->counts();
    counts.dropped_messages = dropped_;
    return counts;
  }

 private:
  static bool wants_handler([[maybe_unused]] const Options& options) {
#if ZGRID_TEST_HOOKS
    return !options.disable_zap_handler;
#else
    return true;
#endif
  }

  // The handler goes last: whoever shakes hands while the socket closes must still be judged.
  std::optional<ZapHandler> zap_;
  transport::BusyPoll awake_;
  transport::Doorkeeper door_;
  zmq::socket_t socket_;
  std::optional<Monitor> monitor_;
  uint64_t dropped_ = 0;
};

}  // namespace

Result<std::unique_ptr<Router>> Router::open(Context& context, Options options) {
  ZGRID_CHECK(options.authorize != nullptr);
  try {
    return std::make_unique<ZmqRouter>(context.impl(), std::move(options));
  } catch (const zmq::error_t& error) {
    if (error.num() == EADDRINUSE) {
      return fail(Errc::cannot_create, "this context has a router already",
                  "give each router a context of its own");
    }
    return fail(error.num() == EINVAL ? Errc::config : Errc::io,
                transport::zmq_text("cannot open the broker's socket", error.num()));
  } catch (const std::exception& error) {
    return fail(Errc::io, std::string("cannot open the broker's socket: ") + error.what());
  }
}

}  // namespace zgrid::protocol
