#include "broker/announce.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Datagrams that are looked at in one turn: a flood of them must not keep the loop from its work.
constexpr int kDatagramsPerTurn = 64;

}  // namespace

Announcer::Announcer(std::unique_ptr<BeaconSocket> socket, std::vector<Membership> members,
                     Beacon self)
    : socket_(std::move(socket)), members_(std::move(members)), self_(std::move(self)) {}

void Announcer::turn(MonoTime now) {
  BeaconSocket::Received received;
  for (int i = 0; i < kDatagramsPerTurn && socket_->receive(received); ++i) answer(received);
  if (now < next_) return;
  next_ = now + Micros(kInterval);
  socket_->refresh();
  ++self_.sequence;
  self_.type = Beacon::Type::announce;
  self_.grid_id = members_.front().grid_id;
  self_.nonce = {};
  socket_->broadcast(encode_beacon(self_, members_.front().key));
}

void Announcer::answer(const BeaconSocket::Received& received) {
  for (const Membership& member : members_) {
    const auto probe = decode_beacon(received.datagram, member.key);
    if (!probe || probe->type != Beacon::Type::probe || probe->grid_id != member.grid_id) continue;
    ++self_.sequence;
    self_.type = Beacon::Type::answer;
    self_.grid_id = member.grid_id;
    self_.nonce = probe->nonce;
    socket_->send_to(received.address, encode_beacon(self_, member.key));
    return;
  }
}

}  // namespace zgrid::broker
