// From a list of places where a broker may be to one connection to it, kept alive.
//
//   connecting ──Welcome──▶ up ──link lost──▶ lost ──Welcome, same store──▶ up
//        │ nobody in time            (libzmq reconnects; each new link says Hello again)
//        ▼                                     │ not back in time
//      failed ◀────────────────────────────────┘
//
// While it is not up, every endpoint is tried with every key (two during a rotation of the
// secret); the first that welcomes us wins.
// Threads: one thread, but for wake().
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/finder.h"
#include "protocol/transport/socket.h"

namespace zgrid::client {

// What a CURVE connection needs, from the client's view.
struct Keys {
  protocol::CurveKeys own;
  std::string server_public_key;
};
Keys client_keys(const protocol::Root& root);

using OpenDealer =
    std::function<Result<std::unique_ptr<protocol::Dealer>>(protocol::Dealer::Options)>;

class Links {
 public:
  static constexpr size_t kLinksMax = 16;          // tried at the same time
  static constexpr int kHandshakeFailuresMax = 3;  // in a row: wrong secret
  // How long one of several links is listened to before the next one, while connecting.
  static constexpr Millis kSlice{2};

  struct Options {
    std::vector<std::string> endpoints;  // named by the user
    std::shared_ptr<Finder> finder;      // or looked for; may be null
    std::vector<Keys> keys;              // at least one
    protocol::Hello hello;
    Millis connect_timeout{10'000};
    Millis reconnect{300'000};
    OpenDealer open_dealer;
  };
  enum class State : uint8_t { connecting, up, lost, failed };

  Links(Options options, MonoTime now);

  // Looks at link events and at the clock.
  void turn(MonoTime now);
  // The next message, Welcome and Refused excepted. False: none waits, or the session changed.
  // `pinned`: something is outstanding that only the same store knows.
  bool receive(protocol::Message& into, bool pinned);
  // False while not up, or when the queue is full.
  bool send(const protocol::Frames& frames);
  // Queues a message behind the first hello, before anybody answered it; false where it must wait
  // for the welcome: more than one link is tried, or one was up already.
  bool send_ahead(const protocol::Frames& frames);
  void wait(Millis timeout, std::span<const int> fds);
  void wake();

  [[nodiscard]] State state() const { return state_; }
  // Set once the state is failed.
  [[nodiscard]] const Error& error() const { return error_; }
  // Whether a handshake succeeded yet: before the first, nothing was received by anybody.
  [[nodiscard]] bool was_reached() const { return was_reached_; }
  // Whether what was sent ahead may have been lost: another link had to be greeted.
  [[nodiscard]] bool lost_ahead() const { return lost_ahead_; }
  // Counts welcomes: when it changes, everything outstanding must be sent again.
  [[nodiscard]] uint64_t session() const { return session_; }
  [[nodiscard]] const protocol::Welcome& welcome() const { return welcome_; }
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  // When turn() must run again at the latest.
  [[nodiscard]] MonoTime deadline() const;

 private:
  struct Link {
    std::string endpoint;
    size_t key = 0;
    std::shared_ptr<protocol::Dealer> dealer;
    bool hello_queued = true;  // it leaves with the first link that comes up
    MonoTime connected_at;
    int failures = 0;
    bool dead = false;
    std::optional<Error> refusal;  // what the broker itself said
  };

  void add(const std::string& endpoint, bool named);
  void add_all();
  void on_link_event(Link& link, const protocol::LinkEvent& event, MonoTime now);
  void on_link_down(Link& link, MonoTime now);
  void on_welcome(Link& link, protocol::Welcome welcome, bool pinned);
  void on_refused(Link& link, const Error& error);
  [[nodiscard]] Error not_understood(const Error& refusal) const;
  void on_goodbye(Link& link);
  void give_up_if_due(MonoTime now);
  Error connect_error() const;
  std::string tried() const;
  void fail_with(Error error);

  Options options_;
  protocol::Frames hello_;
  State state_ = State::connecting;
  MonoTime since_;  // of connecting or lost
  MonoTime now_;    // of the latest turn
  std::vector<std::shared_ptr<Link>> links_;
  std::shared_ptr<Link> active_;
  std::shared_ptr<protocol::Dealer> waker_;  // guarded by waker_mutex_: whom wake() wakes
  std::mutex waker_mutex_;
  size_t next_ = 0;  // round robin while connecting
  uint64_t session_ = 0;
  bool was_reached_ = false;
  bool lost_ahead_ = false;
  protocol::Welcome welcome_;
  std::string endpoint_;
  Error error_;
};

}  // namespace zgrid::client
