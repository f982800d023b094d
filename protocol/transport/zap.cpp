#include "protocol/transport/zap.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

#include "protocol/base/check.h"
#include "protocol/transport/zmq_socket.h"

namespace zgrid::protocol::transport {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr size_t kCurveKeyBytes = 32;
constexpr size_t kZ85KeyChars = 40;
// version, request id, domain, address, routing id, mechanism, key
constexpr size_t kRequestParts = 7;

}  // namespace

std::string to_user_id(const Principal& principal) {
  return std::string(1, static_cast<char>('0' + static_cast<int>(principal.role))) + principal.name;
}

bool from_user_id(std::string_view user_id, Principal& into) {
  if (user_id.empty() || user_id[0] < '1' || user_id[0] > '4') return false;
  into.role = static_cast<Role>(user_id[0] - '0');
  into.name.assign(user_id.substr(1));
  return true;
}

ZapHandler::ZapHandler(zmq::context_t& context, Authorize authorize)
    : authorize_(std::move(authorize)), socket_(context, zmq::socket_type::rep) {
  if (!stop_.ok()) {
    errno = EMFILE;
    throw zmq::error_t();
  }
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind(kZapEndpoint);
  thread_ = std::thread([this] { run(); });
}

ZapHandler::~ZapHandler() {
  stop_.signal();
  thread_.join();
  // Closing is done later by a thread of libzmq; the next router needs the name now.
  zmq_unbind(socket_.handle(), kZapEndpoint);
}

void ZapHandler::run() {
  for (;;) {
    zmq_pollitem_t items[] = {{socket_.handle(), 0, ZMQ_POLLIN, 0},
                              {nullptr, stop_.fd(), ZMQ_POLLIN, 0}};
    if (zmq_poll(items, 2, -1) < 0) {
      if (zmq_errno() == EINTR) continue;
      return;
    }
    if (items[1].revents != 0) return;
    while (answer_one()) {
    }
  }
}

bool ZapHandler::answer_one() {
  std::vector<zmq::message_t> parts(1);
  if (!receive_part(socket_.handle(), parts[0])) return false;
  while (parts.back().more()) {
    zmq::message_t part;
    if (!receive_part(socket_.handle(), part)) return false;
    parts.push_back(std::move(part));
  }
  std::optional<Principal> principal;
  if (parts.size() == kRequestParts) {
    principal = judge(parts[2].to_string_view(), parts[5].to_string_view(), parts[6]);
  }
  const std::string user_id = principal ? to_user_id(*principal) : "";
  const std::string_view id = parts.size() > 1 ? parts[1].to_string_view() : std::string_view{};
  const std::array<std::string_view, 6> reply = {
      "1.0", id, principal ? "200" : "400", principal ? "OK" : "refused", user_id, ""};
  for (size_t i = 0; i < reply.size(); ++i) {
    if (send_part(socket_.handle(), reply[i], i + 1 < reply.size()) != 0) return false;
  }
  return true;
}

std::optional<Principal> ZapHandler::judge(std::string_view domain, std::string_view mechanism,
                                           const zmq::message_t& key) const {
  if (domain != kZapDomain || mechanism != "CURVE" || key.size() != kCurveKeyBytes) return {};
  std::array<char, kZ85KeyChars + 1> text{};
  if (zmq_z85_encode(text.data(), static_cast<const uint8_t*>(key.data()), key.size()) == nullptr) {
    return {};
  }
  auto principal = authorize_({text.data(), kZ85KeyChars});
  ZGRID_CHECK(!principal || (principal->role != Role::none && principal->role <= Role::readonly));
  return principal;
}

}  // namespace zgrid::protocol::transport
