// How a client finds its broker: the address that worked last, peers of the configuration, and
// beacons. A beacon is a hint only; the CURVE handshake decides.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/finder.h"
#include "protocol/beacon.h"
#include "protocol/transport/beacon_socket.h"

namespace zgrid::client {

// Remembers, for each grid, the address that last welcomed us: a line "GRID_ID ENDPOINT" each, in
// a file of mode 0600. A file that is damaged or open to others is as good as none.
class AddressCache {
 public:
  static constexpr size_t kGridsMax = 8;
  explicit AddressCache(std::string path) : path_(std::move(path)) {}
  // Empty if nothing is known.
  [[nodiscard]] std::string get(const std::string& grid_id) const;
  void put(const std::string& grid_id, const std::string& endpoint) const;

 private:
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> read() const;
  std::string path_;
};

// Probes for brokers and believes those answers whose MAC covers the probe's nonce.
class BeaconFinder final : public Finder {
 public:
  // How long the first answers are gathered before the best one is offered.
  static constexpr Millis kGather{15};
  // When others are offered besides the best.
  static constexpr Millis kOthers{1000};
  // An answer comes within this, or nobody is there.
  static constexpr Millis kSettled{1500};
  static constexpr Millis kProbeEvery{300};
  static constexpr size_t kOtherGridsMax = 16;

  struct Options {
    std::vector<protocol::Root> roots;  // the grid's secrets: one, or two during a rotation
    std::vector<std::string> peers;     // of the configuration: offered at once
    std::string cache_file;             // empty: remember nothing
  };
  // `socket` may be null: then only the cache and the peers are offered.
  BeaconFinder(Options options, std::unique_ptr<protocol::BeaconSocket> socket, MonoTime now);

  void turn(MonoTime now) override;
  [[nodiscard]] const std::vector<std::string>& endpoints() const override { return endpoints_; }
  [[nodiscard]] bool settled() const override { return is_settled_; }
  [[nodiscard]] const std::vector<std::string>& other_grids() const override {
    return other_grids_;
  }
  [[nodiscard]] std::vector<int> fds() const override;
  void on_welcome(const std::string& endpoint) override;

  // All that answered, for `zgrid discover`; the peers are among them.
  [[nodiscard]] std::vector<protocol::FoundBroker> found(MonoTime now) const {
    return table_.list(now);
  }

 private:
  struct Grid {
    std::string id;
    protocol::Key32 key;
    Nonce nonce;  // of our probes
  };
  void probe(MonoTime now);
  void on_datagram(const protocol::BeaconSocket::Received& received, MonoTime now);
  void offer(MonoTime now);
  void add(const std::string& endpoint);

  std::vector<Grid> grids_;
  std::unique_ptr<protocol::BeaconSocket> socket_;
  AddressCache cache_;
  protocol::BrokerTable table_;
  std::vector<std::string> endpoints_, other_grids_;
  MonoTime start_, next_probe_, first_answer_ = MonoTime::never();
  bool is_settled_ = false;
};

}  // namespace zgrid::client
