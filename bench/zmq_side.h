// What the ZeroMQ programs of this folder share: sockets without limits, and CURVE with keys that
// live as long as the program. They have no ZAP handler and so let any key in: they measure the
// encryption, not who may use it.
#pragma once

#include <zmq.h>

#include <string>

#include "bench/load.h"

namespace zgrid::bench {

struct KeyPair {
  char public_key[41] = {}, secret_key[41] = {};
  KeyPair() { zmq_curve_keypair(public_key, secret_key); }
};

inline void* open_socket(void* context, int type) {
  void* socket = zmq_socket(context, type);
  const int unlimited = 0;
  zmq_setsockopt(socket, ZMQ_SNDHWM, &unlimited, sizeof unlimited);
  zmq_setsockopt(socket, ZMQ_RCVHWM, &unlimited, sizeof unlimited);
  zmq_setsockopt(socket, ZMQ_LINGER, &unlimited, sizeof unlimited);
  return socket;
}

inline void be_server(void* socket, const KeyPair& keys) {
  const int on = 1;
  zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &on, sizeof on);
  zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys.secret_key, 40);
}

inline void be_client(void* socket, const KeyPair& server) {
  const KeyPair own;
  zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server.public_key, 40);
  zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own.public_key, 40);
  zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own.secret_key, 40);
}

// A DEALER of a context of its own, for one process.
inline void* connect_dealer(const KeyPair* server, const std::string& endpoint) {
  void* socket = open_socket(zmq_ctx_new(), ZMQ_DEALER);
  if (server != nullptr) be_client(socket, *server);
  if (zmq_connect(socket, endpoint.c_str()) != 0) die("connect");
  return socket;
}

// Binds to a free port of loopback and returns the endpoint.
inline std::string bind_free(void* socket) {
  if (zmq_bind(socket, "tcp://127.0.0.1:*") != 0) die("bind");
  char endpoint[64] = {};
  size_t size = sizeof endpoint;
  zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size);
  return endpoint;
}

// A message of one frame, owned.
class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }
  explicit Frame(const std::string& bytes) {
    if (zmq_msg_init_size(&message_, bytes.size()) != 0) die("memory");
    bytes.copy(static_cast<char*>(zmq_msg_data(&message_)), bytes.size());
  }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { zmq_msg_close(&message_); }

  // Returns false if `flags` has ZMQ_DONTWAIT and nothing is there.
  bool receive(void* socket, int flags = 0) {
    if (zmq_msg_recv(&message_, socket, flags) >= 0) return true;
    if (zmq_errno() != EAGAIN) die("receive");
    return false;
  }
  void send(void* socket, int flags = 0) {
    if (zmq_msg_send(&message_, socket, flags) < 0) die("send");
  }
  [[nodiscard]] bool has_more() const { return zmq_msg_more(&message_) != 0; }
  [[nodiscard]] std::string_view view() {
    return {static_cast<const char*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }

 private:
  zmq_msg_t message_;
};

}  // namespace zgrid::bench
