#include "client/discover.h"

#include <algorithm>

#include "client/clock.h"

namespace zgrid::client {

BeaconFinder::BeaconFinder(Options options, std::unique_ptr<protocol::BeaconSocket> socket,
                           MonoTime now)
    : socket_(std::move(socket)),
      cache_(std::move(options.cache_file)),
      start_(now),
      next_probe_(now) {
  for (const protocol::Root& root : options.roots) {
    Grid grid;
    grid.id = protocol::grid_id(root);
    grid.key = protocol::beacon_key(root);
    fill_random(grid.nonce.bytes.data(), grid.nonce.bytes.size());
    grids_.push_back(std::move(grid));
  }
  for (const Grid& grid : grids_) {
    const std::string last = cache_.get(grid.id);
    if (!last.empty()) add(last);
  }
  for (const std::string& peer : options.peers) {
    table_.on_static(peer);
    add(peer);
  }
}

void BeaconFinder::add(const std::string& endpoint) {
  if (std::find(endpoints_.begin(), endpoints_.end(), endpoint) == endpoints_.end()) {
    endpoints_.push_back(endpoint);
  }
}

void BeaconFinder::turn(MonoTime now) {
  if (socket_) {
    if (now >= next_probe_) probe(now);
    protocol::BeaconSocket::Received received;
    while (socket_->receive(received)) on_datagram(received, now);
    offer(now);
  }
  is_settled_ = !socket_ || now >= start_ + kSettled;
}

void BeaconFinder::probe(MonoTime now) {
  next_probe_ = now + kProbeEvery;
  socket_->refresh();
  for (const Grid& grid : grids_) {
    protocol::Beacon probe;
    probe.type = protocol::Beacon::Type::probe;
    probe.grid_id = grid.id;
    probe.nonce = grid.nonce;
    socket_->broadcast(protocol::encode_beacon(probe, grid.key));
  }
}

void BeaconFinder::on_datagram(const protocol::BeaconSocket::Received& received, MonoTime now) {
  const auto named = protocol::beacon_grid(received.datagram);
  if (!named) return;
  const auto grid =
      std::find_if(grids_.begin(), grids_.end(), [&](const Grid& own) { return own.id == *named; });
  if (grid == grids_.end()) {
    const bool known =
        std::find(other_grids_.begin(), other_grids_.end(), *named) != other_grids_.end();
    if (!known && other_grids_.size() < kOtherGridsMax) other_grids_.push_back(*named);
    return;
  }
  const auto beacon = protocol::decode_beacon(received.datagram, grid->key);
  if (!beacon) return;
  if (beacon->type == protocol::Beacon::Type::answer && beacon->nonce == grid->nonce) {
    table_.on_answer(received.address, *beacon, now);
    first_answer_ = std::min(first_answer_, now);
  } else if (beacon->type == protocol::Beacon::Type::announce &&
             first_answer_ == MonoTime::never()) {
    // A broker that just came up: ask it at once, but not for each of its beacons.
    next_probe_ = std::min(next_probe_, std::max(now, next_probe_ - kProbeEvery + kGather));
  }
}

// The best one first; the others when that one does not seem to answer.
void BeaconFinder::offer(MonoTime now) {
  if (first_answer_ == MonoTime::never() || now < first_answer_ + kGather) return;
  for (const protocol::FoundBroker& broker : table_.list(now)) {
    if (!broker.is_static) add(broker.endpoint);
    if (now < first_answer_ + kOthers) return;
  }
}

std::vector<int> BeaconFinder::fds() const { return socket_ ? socket_->fds() : std::vector<int>{}; }

void BeaconFinder::on_welcome(const std::string& endpoint) {
  if (grids_.empty()) return;
  // With two secrets the first is the current one; an address under the wrong grid only costs a
  // handshake that fails.
  cache_.put(grids_.front().id, endpoint);
}

}  // namespace zgrid::client
