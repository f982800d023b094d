// The ZeroMQ sockets of the grid: always CURVE, always bounded. cppzmq is included here only.
//
// Options that every socket gets, and why: MAXMSGSIZE (it counts during the handshake: without it
// one unauthenticated peer can grow us at will), HANDSHAKE_IVL (silent peers are dropped), LINGER
// (nothing blocks an exit for long), CONNECT_TIMEOUT and RECONNECT_IVL_MAX of 1 s with a random
// RECONNECT_IVL (back soon after a cut heals, not all at once), IPV6, BACKLOG, high-water marks.
//
// A cut link is noticed by the end that connects, since only that end can mend it: by libzmq's
// pings (HEARTBEAT_*) in 1.5 s, or by the beats of whoever turns those off. The broker, which knows
// the living by their messages, leaves connections to dead hosts to TCP (KEEPALIVE, MAXRT): pings
// both ways took most of the CPU of an idle broker.
//
// libzmq notices that a link lives by whole frames only: one that takes over a second on the wire
// ends its connection, each time. Send large payloads in frames of 1 MiB or less (9 Mbit/s).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/codec.h"
#include "protocol/keys.h"

namespace zgrid::protocol {

// A ZeroMQ context. Outlives its sockets, of which one may be a Router. Thread-safe.
class Context {
 public:
  explicit Context(int io_threads = 1);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  struct Impl;
  [[nodiscard]] Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Who is behind a message, from its CURVE key; never from anything it says.
struct Principal {
  Role role = Role::none;
  std::string name;  // "secret" for a holder of the grid secret, else the credential's name
};

// What public keys may do. Called on the ZAP thread: must be thread-safe and quick.
// Nothing = refused (ZAP 400).
using Authorize = std::function<std::optional<Principal>(std::string_view public_key_z85)>;

// What became of connections, from a socket monitor read on a thread of its own.
struct LinkEvent {
  enum class What : uint8_t {
    connected,         // TCP is up
    ready,             // the CURVE handshake succeeded
    refused,           // ZAP refused our key (400): libzmq does not try again
    handshake_failed,  // no zgrid broker, or another secret: libzmq tries again
    disconnected,
    accept_failed,  // no file descriptor left, or the like
  };
  What what = What::connected;
  std::string endpoint;
  int detail = 0;  // errno or ZMTP error
};

// Who does not know our key says so at once. A handshake that fails later than this after
// `connected` found nobody who answered within the transport's 5 s: a busy broker, a slow line.
inline constexpr Millis kRefusedWithin{4000};

// The large frames that are on their way to one peer and that libzmq still holds, in bytes. One for
// each connection; copies count together.
// Threads: any.
class Backlog {
 public:
  // What may be on its way to a peer that does not read. One message may exceed it.
  static constexpr size_t kBytesMax = 8u << 20;
  [[nodiscard]] size_t bytes() const { return bytes_->load(std::memory_order_relaxed); }
  void add(size_t bytes) { bytes_->fetch_add(bytes, std::memory_order_relaxed); }
  void remove(size_t bytes) { bytes_->fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<size_t>> bytes_ = std::make_shared<std::atomic<size_t>>(0);
};

// The broker's ROUTER.
// Threads: one thread, the one that made it, but for `fd`-polling. Order of life: the ZAP handler
// is bound before the first bind, and its domain is enforced, or libzmq lets any key in.
class Router {
 public:
  struct Options {
    CurveKeys keys;  // the broker's
    Authorize authorize;
    int high_water_mark = 4000;  // messages in each direction and for each peer
#if ZGRID_TEST_HOOKS
    bool disable_zap_handler = false;  // for the test that this refuses everyone
#endif
  };
  static Result<std::unique_ptr<Router>> open(Context& context, Options options);
  virtual ~Router() = default;

  // tcp://ADDRESS:PORT (port 0 or * = any free one; address *: IPv4 and IPv6), ipc://PATH. Returns
  // the real endpoint. Errc::cannot_create if it is in use, Errc::usage if it cannot be parsed.
  virtual Result<std::string> bind(const std::string& endpoint) = 0;
  virtual void unbind(const std::string& endpoint) = 0;

  struct Received {
    // libzmq's, 5 bytes that begin with a zero, unique for a connection; but a foreign peer may
    // choose its own (up to 255 bytes) and choose it again: compare the principal, too.
    std::string routing_id;
    Principal principal;
    Frames frames;  // without the routing id
  };
  // Takes one waiting message. False if there is none.
  virtual bool receive(Received& into) = 0;

  enum class Sent : uint8_t { ok, gone, full };
  // Never blocks, never sends a part of a message. `gone`: the connection is no more. `full`: the
  // peer does not read. 1 to 17 frames of at most limits::kFrameBytesMax: more is our own bug.
  // `backlog`: the connection's.
  virtual Sent send(std::string_view routing_id, const Frames& frames, Backlog& backlog) = 0;

  // Readable (edge-triggered as ZMQ_FD is: after a wake-up, receive until false) or use wait().
  [[nodiscard]] virtual int fd() const = 0;
  // Until a message waits, `other_fd` (if not negative) is readable, or the time is over; the first
  // moment of it awake where that pays (busy_poll.h). True if `other_fd` is readable.
  virtual bool wait(Micros timeout, int other_fd) = 0;

  // While few file descriptors are left, nobody new is let in over TCP; who is connected stays so.
  // Keeping out happens by itself, letting in again here: call it every second or oftener. True if
  // newcomers are kept out.
  virtual bool keep_descriptors(MonoTime now) = 0;

  struct Counts {
    uint64_t handshakes = 0, refused_keys = 0, failed_handshakes = 0, accept_failed = 0;
    // Of more than 1 + limits::kPayloadFramesMax frames, or without a principal.
    uint64_t dropped_messages = 0;
  };
  [[nodiscard]] virtual Counts counts() const = 0;
};

// Whether Dealer::connect could take it: tcp://HOST:PORT or ipc://PATH. Errc::usage.
Result<void> check_endpoint(std::string_view endpoint);

// A client's or worker's DEALER, connected to one broker.
// Threads: one thread, but for wake().
class Dealer {
 public:
  struct Options {
    CurveKeys keys;                 // our own
    std::string server_public_key;  // Z85
    int high_water_mark = 10'000;
    bool pings = true;  // false: the caller hears often, and gives a silent broker up by itself
  };
  static Result<std::unique_ptr<Dealer>> open(Context& context, Options options);
  virtual ~Dealer() = default;

  // Starts connecting; libzmq keeps trying, until we are refused. Errc::usage for an endpoint that
  // cannot be parsed. A host name is looked up as IPv4; an IPv6 address is written in brackets.
  virtual Result<void> connect(const std::string& endpoint) = 0;
  virtual bool receive(Frames& into) = 0;  // false: none waits
  // False: the queue is full (the broker is away or does not read). What is queued while the broker
  // is away is sent when it is back, before anything that is sent after `ready` was seen.
  virtual bool send(const Frames& frames) = 0;
  // What the monitor saw since the last call, oldest first; the newest 256.
  virtual std::vector<LinkEvent> link_events() = 0;
  // Sleeps until a message or link event waits, one of `fds` is readable, wake() is called, or
  // the time is over.
  virtual void wait(Millis timeout, std::span<const int> fds = {}) = 0;
  // Ends a wait() from any thread.
  virtual void wake() = 0;
};

}  // namespace zgrid::protocol
