// gearmand's binary protocol: "\0REQ" or "\0RES", type and length in network order, then arguments
// separated by NUL; the last one may contain anything.
#include <arpa/inet.h>

#include <cstring>

#include "bench/peers/peer.h"
#include "bench/peers/stream.h"

namespace zgrid::bench {
namespace {

enum Type : uint32_t {
  kCanDo = 1,
  kPreSleep = 4,
  kNoop = 6,
  kSubmitJob = 7,
  kJobCreated = 8,
  kGrabJob = 9,
  kNoJob = 10,
  kJobAssign = 11,
  kWorkComplete = 13,
  kError = 19,
};

constexpr std::string_view kFunction = "echo";

struct Packet {
  uint32_t type = 0;
  std::string_view data;  // valid until the next packet
};

void put(Stream& stream, Type type, std::initializer_list<std::string_view> arguments = {}) {
  size_t size = arguments.size() == 0 ? 0 : arguments.size() - 1;
  for (const std::string_view argument : arguments) size += argument.size();
  const uint32_t head[2] = {htonl(type), htonl(static_cast<uint32_t>(size))};
  stream.put({"\0REQ", 4});
  stream.put({reinterpret_cast<const char*>(head), sizeof head});
  bool first = true;
  for (const std::string_view argument : arguments) {
    if (!first) stream.put({"\0", 1});
    stream.put(argument);
    first = false;
  }
}

Packet next(Stream& stream) {
  uint32_t head[3];
  std::memcpy(head, stream.bytes(sizeof head).data(), sizeof head);
  const Packet packet{ntohl(head[1]), stream.bytes(ntohl(head[2]))};
  if (packet.type == kError) die("gearmand answered with an error");
  return packet;
}

void work(const PeerOptions& options) {
  Stream stream(options.port);
  put(stream, kCanDo, {kFunction});
  size_t asked = 0;
  bool is_asleep = false;
  while (true) {
    for (; !is_asleep && asked < options.in_hand; ++asked) put(stream, kGrabJob);
    if (!stream.has_input()) stream.flush();
    const Packet packet = next(stream);
    if (packet.type == kJobAssign) {  // handle, function, payload
      const size_t first = packet.data.find('\0');
      const size_t second = packet.data.find('\0', first + 1);
      // Copies, for the packet goes with the next one.
      const std::string handle(packet.data.substr(0, first));
      const std::string payload(packet.data.substr(second + 1));
      put(stream, kWorkComplete, {handle, payload});
      --asked;
    } else if (packet.type == kNoJob) {
      --asked;
      is_asleep = true;  // asks no more
    } else if (packet.type == kNoop) {
      is_asleep = false;
    }
    if (is_asleep && asked == 0) put(stream, kPreSleep);
  }
}

class Client final : public Target {
 public:
  explicit Client(const PeerOptions& options)
      : stream_(options.port), payload_(options.load.payload, 'x') {}
  void submit() override { put(stream_, kSubmitJob, {kFunction, "", payload_}); }
  void flush() override { stream_.flush(); }
  size_t wait() override {
    size_t done = 0;
    do {
      const Packet packet = next(stream_);
      if (packet.type != kWorkComplete) continue;
      if (packet.data.size() < payload_.size()) die("a wrong result");
      ++done;
    } while (done == 0 || stream_.has_input());
    return done;
  }

 private:
  Stream stream_;
  std::string payload_;
};

}  // namespace

const Peer kGearman{"gearman", [](const PeerOptions&) {}, work,
                    [](const PeerOptions& options) -> std::unique_ptr<Target> {
                      return std::make_unique<Client>(options);
                    }};

}  // namespace zgrid::bench
