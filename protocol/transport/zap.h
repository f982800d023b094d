// The ZAP handler (RFC 27) of a context: libzmq asks it, for each handshake, whether a CURVE key
// may come in. One for each context. Private to this folder: it shows cppzmq. Threads: made and
// destroyed by one thread; `authorize` is called on the handler's own.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <zmq.hpp>

#include "protocol/transport/event_fd.h"
#include "protocol/transport/socket.h"

namespace zgrid::protocol::transport {

// A CURVE server without a domain, or whose domain is not enforced, lets every key in when the
// handler is away.
inline constexpr std::string_view kZapDomain = "zgrid";

// The User-Id that libzmq attaches to each message of a connection: the role's digit and the name.
std::string to_user_id(const Principal& principal);
// False for another form. Allocates only for a long name that is new.
bool from_user_id(std::string_view user_id, Principal& into);

class ZapHandler {
 public:
  // Throws zmq::error_t (EADDRINUSE: the context has one) or std::system_error.
  ZapHandler(zmq::context_t& context, Authorize authorize);
  ~ZapHandler();
  ZapHandler(const ZapHandler&) = delete;
  ZapHandler& operator=(const ZapHandler&) = delete;

 private:
  void run();
  bool answer_one();
  [[nodiscard]] std::optional<Principal> judge(std::string_view domain, std::string_view mechanism,
                                               const zmq::message_t& key) const;

  Authorize authorize_;
  EventFd stop_;
  zmq::socket_t socket_;
  std::thread thread_;
};

}  // namespace zgrid::protocol::transport
