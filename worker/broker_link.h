// A worker's way to its broker: one connection at a time, over all the places where the broker may
// be and all the secrets that the worker holds, for as long as the worker lives.
// Threads: one.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "client/finder.h"
#include "protocol/transport/socket.h"

namespace zgrid::worker {

class BrokerLink {
 public:
  // How long one place is tried before the next.
  static constexpr Millis kTry{3000};
  // One that takes TCP connections has longer: the handshake takes three round trips, and the
  // transport gives it 5 s.
  static constexpr Millis kTryAnswering{7000};
  // A connection that broke is left to libzmq for so long, then other places are tried as well.
  static constexpr Millis kStay{5000};
  static constexpr int kHandshakeFailuresMax = 3;

  struct Keys {
    protocol::CurveKeys own;
    std::string server_public_key;
  };
  struct Options {
    std::vector<std::string> endpoints;      // named by the user
    std::shared_ptr<client::Finder> finder;  // or looked for; may be null
    std::vector<Keys> keys;                  // one, or two during a rotation of the secret
    uint64_t jitter_seed = 0;                // not all workers may move in step
  };
  enum class News : uint8_t { none, connected, disconnected };

  BrokerLink(protocol::Context& context, Options options);

  // Looks at link events and the clock. Errc::auth when every place refused us and none ever
  // welcomed us.
  Result<News> turn(MonoTime now);
  bool receive(protocol::Frames& into);
  bool send(const protocol::Frames& frames);
  // This connection is of no use, whatever libzmq thinks of it: try the next place.
  void give_up(MonoTime now);
  // Remembers the place for the next search.
  void on_welcome();
  void wait(Millis timeout, const std::vector<int>& fds);
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

 private:
  void look(MonoTime now);
  void open(MonoTime now);
  void next(MonoTime now);
  [[nodiscard]] std::vector<std::string> places() const;

  protocol::Context& context_;
  Options options_;
  std::unique_ptr<protocol::Dealer> dealer_;
  std::string endpoint_;
  size_t attempt_ = 0;   // counts through places × keys
  size_t refusals_ = 0;  // in a row, over different places or keys
  int failures_ = 0;     // of handshakes, with this dealer
  bool is_up_ = false;
  bool was_up_ = false;  // ever
  bool refused_ = false;
  MonoTime opened_at_{};
  MonoTime connected_at_{};
  MonoTime move_on_at_ = MonoTime::never();
  MonoTime open_at_{};
  std::minstd_rand random_;
};

}  // namespace zgrid::worker
