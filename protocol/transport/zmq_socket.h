// What Router and Dealer share: options, endpoints, and frames to zmq messages and back.
// Private to this folder: it shows cppzmq.
// Threads: as the socket that is passed in.
#pragma once

#include <poll.h>

#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <zmq.hpp>

#include "protocol/base/limits.h"
#include "protocol/codec.h"
#include "protocol/transport/busy_poll.h"
#include "protocol/transport/socket.h"

namespace zgrid::protocol {

struct Context::Impl {
  zmq::context_t zmq;
  // Names of monitors: libzmq frees one some time after its socket was closed.
  std::atomic<uint64_t> monitors{0};
};

namespace transport {

// Below this a received frame is copied: one small allocation instead of one that keeps libzmq's.
inline constexpr size_t kReceiveCopyBelow = 512;
// Below this a sent frame is copied: cheaper than a reference that the I/O thread gives back.
inline constexpr size_t kSendCopyBelow = 4096;
// MAXMSGSIZE counts what CURVE adds to a frame (33 bytes).
inline constexpr size_t kFrameOverhead = 64;
inline constexpr size_t kFramesMax = 1 + limits::kPayloadFramesMax;
// How long a socket that is closed may go on sending what was queued.
inline constexpr Millis kLinger{500};
// A silent or slow peer is dropped if its handshake takes longer. Thousands that come back at once
// queue for the one CPU that shakes hands, at 0.5 ms each.
inline constexpr Millis kHandshakeMax{5000};
// A cut link is noticed after at most the sum.
inline constexpr Millis kPingEvery{500};
inline constexpr Millis kPongWithin{1000};
// The broker's end of a link to a host that is gone closes after about so long, whether something
// was on its way (TCP_USER_TIMEOUT) or not (keepalive). Until then it costs a descriptor.
inline constexpr Seconds kGoneAfter{30};
inline constexpr Seconds kKeepaliveIdle{15};
inline constexpr Seconds kKeepaliveEvery{5};
inline constexpr int kKeepaliveProbes = 3;
inline constexpr Millis kConnectTimeout{1000};
inline constexpr Millis kReconnectMin{100};
inline constexpr Millis kReconnectSpread{300};
inline constexpr Millis kReconnectMax{1000};
inline constexpr int kBacklog = 4096;  // the kernel lowers it to net.core.somaxconn

// Everything but the keys and how a cut link is noticed. Throws zmq::error_t.
void set_common_options(zmq::socket_t& socket, int high_water_mark);
// We notice it soon. Throws zmq::error_t.
void set_pings(zmq::socket_t& socket);
// The kernel notices it in the end. Throws zmq::error_t.
void set_keepalive(zmq::socket_t& socket);

// Sleeps until the socket may have a message, one of `polled` is readable, or the time is over. The
// first of `polled` is for the socket's own descriptor; negative descriptors are passed over.
// `awake`: may look again and again before it sleeps; null: it sleeps at once.
void wait_for(void* socket, std::span<pollfd> polled, Micros timeout, BusyPoll* awake = nullptr);

// tcp:// and ipc:// only: an inproc:// peer would come in past CURVE. Errc::usage otherwise.
// `bindable`: the port may be 0 or *.
Result<void> check_endpoint(std::string_view endpoint, bool bindable);
// Whether the address must be looked up as IPv6. libzmq, asked for IPv6, would take localhost for
// ::1 only and print 127.0.0.1 in the mapped form.
bool wants_ipv6(std::string_view endpoint);

// Takes the next part; false if none waits.
bool receive_part(void* socket, zmq::message_t& into);
// The frame's bytes; a large one shares the message's memory.
Bytes to_bytes(zmq::message_t message);
// Takes the parts that follow `first` and it. False, with all parts taken, if there are more than
// kFramesMax.
bool receive_frames(void* socket, zmq::message_t first, Frames& into);

// 0, or the errno of libzmq. Never blocks.
int send_part(void* socket, std::string_view small, bool more);
// `backlog` counts a frame that is not copied until libzmq gives it back; null: nobody does.
int send_part(void* socket, const Bytes& frame, bool more, Backlog* backlog = nullptr);

// "WHAT: the words of errno".
std::string zmq_text(std::string_view what, int number);

}  // namespace transport
}  // namespace zgrid::protocol
