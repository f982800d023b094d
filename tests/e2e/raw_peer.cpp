// A foreign ZeroMQ peer that knocks at a broker: raw_peer ENDPOINT MECHANISM [KEYS…] [MILLIS]
//
//   raw_peer tcp://127.0.0.1:5670 null 1500
//   raw_peer tcp://127.0.0.1:5670 plain 1500
//   raw_peer tcp://127.0.0.1:5670 curve SERVER_PUBLIC PUBLIC SECRET 1500
//   raw_peer tcp://127.0.0.1:5670 curve SERVER_PUBLIC new 1500       with a fresh key pair
//
// Prints one line, "accepted" or "refused EVENT", then " messages N". It stops at the first success
// and else watches for the whole time, so that a late success would be seen. Uses libzmq alone: it
// shares nothing with what it tests.
#include <zmq.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kMonitor = "inproc://monitor";
constexpr int kEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
constexpr int kKeyBytes = 41;  // Z85 with its zero

bool set_text(void* socket, int option, const std::string& value) {
  return zmq_setsockopt(socket, option, value.data(), value.size()) == 0;
}

bool set_mechanism(void* socket, const std::vector<std::string>& args) {
  if (args[0] == "null") return true;
  if (args[0] == "plain") {
    return set_text(socket, ZMQ_PLAIN_USERNAME, "admin") &&
           set_text(socket, ZMQ_PLAIN_PASSWORD, "secret");
  }
  if (args[0] != "curve" || args.size() < 3) return false;
  std::string public_key = args[2];
  std::string secret_key = args.size() > 3 ? args[3] : "";
  if (public_key == "new") {
    std::array<char, kKeyBytes> made_public{}, made_secret{};
    if (zmq_curve_keypair(made_public.data(), made_secret.data()) != 0) return false;
    public_key = made_public.data();
    secret_key = made_secret.data();
  }
  return set_text(socket, ZMQ_CURVE_SERVERKEY, args[1]) &&
         set_text(socket, ZMQ_CURVE_PUBLICKEY, public_key) &&
         set_text(socket, ZMQ_CURVE_SECRETKEY, secret_key);
}

// The event of the next monitor message, whose second frame is thrown away.
uint16_t next_event(void* monitor) {
  std::array<uint8_t, 16> frame{};
  uint16_t event = 0;
  if (zmq_recv(monitor, frame.data(), frame.size(), 0) >= 6) {
    std::memcpy(&event, frame.data(), sizeof event);
  }
  zmq_recv(monitor, frame.data(), frame.size(), 0);
  return event;
}

const char* name_of(uint16_t event) {
  switch (event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: return "auth";
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL: return "protocol";
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: return "closed";
    default: return "silence";
  }
}

int knock(void* socket, void* monitor, Clock::duration patience) {
  const auto end = Clock::now() + patience;
  uint16_t failure = 0;
  int messages = 0;
  bool accepted = false;
  std::array<zmq_pollitem_t, 2> items{{{monitor, 0, ZMQ_POLLIN, 0}, {socket, 0, ZMQ_POLLIN, 0}}};
  while (!accepted) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || zmq_poll(items.data(), 2, left) < 0) break;
    if (items[0].revents != 0) {
      const uint16_t event = next_event(monitor);
      accepted = event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
      if (!accepted) failure = event;
    }
    if (items[1].revents != 0) {
      std::array<uint8_t, 1> byte{};
      if (zmq_recv(socket, byte.data(), byte.size(), ZMQ_DONTWAIT) >= 0) ++messages;
    }
  }
  if (accepted) {
    std::printf("accepted messages %d\n", messages);
  } else {
    std::printf("refused %s messages %d\n", name_of(failure), messages);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 3) {
    std::fputs("usage: raw_peer ENDPOINT null|plain|curve [KEYS…] MILLIS\n", stderr);
    return 2;
  }
  const std::string endpoint = args.front();
  const std::chrono::milliseconds patience(std::stol(args.back()));
  args.erase(args.begin());
  args.pop_back();
  void* context = zmq_ctx_new();
  void* socket = zmq_socket(context, ZMQ_DEALER);
  const int linger = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  int outcome = 2;
  if (!set_mechanism(socket, args)) {
    std::fputs("raw_peer: bad keys or mechanism\n", stderr);
  } else if (zmq_socket_monitor(socket, kMonitor, kEvents) == 0) {
    void* monitor = zmq_socket(context, ZMQ_PAIR);
    zmq_setsockopt(monitor, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_connect(monitor, kMonitor) == 0 && zmq_connect(socket, endpoint.c_str()) == 0) {
      // Something to answer, were it let in.
      zmq_send(socket, "knock", 5, ZMQ_DONTWAIT);
      outcome = knock(socket, monitor, patience);
    }
    zmq_close(monitor);
  }
  zmq_close(socket);
  zmq_ctx_term(context);
  return outcome;
}
