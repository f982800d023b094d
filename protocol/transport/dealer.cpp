#include <cerrno>
#include <exception>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/transport/event_fd.h"
#include "protocol/transport/monitor.h"
#include "protocol/transport/socket.h"
#include "protocol/transport/zmq_socket.h"

namespace zgrid::protocol {
namespace {

class ZmqDealer final : public Dealer {
 public:
  // Throws what cppzmq and std::thread throw.
  ZmqDealer(Context::Impl& context, const Options& options)
      : socket_(context.zmq, zmq::socket_type::dealer) {
    if (!signal_.ok()) {
      errno = EMFILE;
      throw zmq::error_t();
    }
    transport::set_common_options(socket_, options.high_water_mark);
    if (options.pings) transport::set_pings(socket_);
    socket_.set(zmq::sockopt::curve_publickey, options.keys.public_key);
    socket_.set(zmq::sockopt::curve_secretkey, options.keys.secret_key);
    socket_.set(zmq::sockopt::curve_serverkey, options.server_public_key);
    monitor_.emplace(context, socket_, &signal_, nullptr);
  }

  Result<void> connect(const std::string& endpoint) override {
    if (auto checked = transport::check_endpoint(endpoint, false); !checked) return checked;
    try {
      socket_.set(zmq::sockopt::ipv6, transport::wants_ipv6(endpoint));
      socket_.connect(endpoint);
      return {};
    } catch (const zmq::error_t& error) {
      return fail(Errc::usage, transport::zmq_text("cannot connect to " + endpoint, error.num()),
                  "write tcp://HOST:PORT or ipc://PATH");
    }
  }

  bool receive(Frames& into) override {
    zmq::message_t first;
    while (transport::receive_part(socket_.handle(), first)) {
      if (transport::receive_frames(socket_.handle(), std::move(first), into)) return true;
    }
    into.clear();
    return false;
  }

  bool send(const Frames& frames) override {
    ZGRID_CHECK(!frames.empty() && frames.size() <= transport::kFramesMax);
    bool sent = true;
    for (size_t i = 0; i < frames.size(); ++i) {
      const bool more = i + 1 < frames.size();
      if (transport::send_part(socket_.handle(), frames[i], more) == 0) continue;
      if (i == 0) return false;
      // The connection was ended within the message. libzmq takes back what it has and drops the
      // rest, but only up to the last part: it must be passed all the same.
      sent = false;
    }
    return sent;
  }

  std::vector<LinkEvent> link_events() override { return monitor_->take(); }

  void wait(Millis timeout, std::span<const int> fds) override {
    if (monitor_->has_events()) return;
    polled_.assign(2, {signal_.fd(), POLLIN, 0});
    for (const int fd : fds) polled_.push_back({fd, POLLIN, 0});
    transport::wait_for(socket_.handle(), polled_, timeout);
    if (polled_[1].revents != 0) signal_.drain();
  }

  void wake() override { signal_.signal(); }

 private:
  EventFd signal_;
  zmq::socket_t socket_;
  std::optional<transport::Monitor> monitor_;
  std::vector<pollfd> polled_;
};

}  // namespace

Result<void> check_endpoint(std::string_view endpoint) {
  return transport::check_endpoint(endpoint, false);
}

Result<std::unique_ptr<Dealer>> Dealer::open(Context& context, Options options) {
  try {
    return std::make_unique<ZmqDealer>(context.impl(), options);
  } catch (const zmq::error_t& error) {
    return fail(error.num() == EINVAL ? Errc::config : Errc::io,
                transport::zmq_text("cannot open a socket to the broker", error.num()));
  } catch (const std::exception& error) {
    return fail(Errc::io, std::string("cannot open a socket to the broker: ") + error.what());
  }
}

}  // namespace zgrid::protocol
