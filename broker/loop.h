// The broker's loop: the shell around the core.
//
// One turn: read a bounded batch, step the core with each message, hand the turn's records to the
// store as one commit, let go what may go, and let go the rest when the commit is durable.
// Threads: one, the one that made the sockets.
#pragma once

#include <memory>
#include <vector>

#include "broker/announce.h"
#include "broker/core/core.h"
#include "broker/core/gate.h"
#include "broker/delivery.h"
#include "broker/sessions.h"
#include "broker/store/committer.h"
#include "client/clock.h"
#include "protocol/log/log.h"
#include "protocol/transport/event_fd.h"
#include "protocol/transport/socket.h"

namespace zgrid::broker {

class Loop {
 public:
  struct Parts {
    std::unique_ptr<protocol::Router> router;
    std::unique_ptr<JobStore> store;
    std::unique_ptr<Announcer> announcer;  // may be null
    CoreConfig config;
    Entropy* entropy = nullptr;
    client::Clock clock;
    Log* log = nullptr;
    int stop_fd = -1;
  };
  explicit Loop(Parts parts);
  ~Loop();

  // Reads the store into the core. Before run().
  Result<void> recover();
  // Until stop_fd is readable or the store fails for good (Errc::io).
  Result<void> run();

 private:
  // One turn reads so many messages at most, and no more once they have so many entries.
  static constexpr int kBatch = 1000;
  static constexpr size_t kBatchEntries = limits::kBatchItemsTarget;
  // A loop that was away longer than this did not hear heartbeats that were there.
  static constexpr Millis kGap{200};

  bool turn();  // false: the store failed for good
  bool receive_batch();
  size_t receive_one(protocol::Router::Received& received);  // how many entries it had
  void handle(Effects& effects);
  void run_read(StoreRead read);
  void collect(const Committer::Done& done);
  void sweep_silent();
  void notice_gap();
  void mind_descriptors();
  void wait();
  void watch_fds();
  bool stop_requested() const;

  Parts parts_;
  Core core_;
  CommitGate gate_;
  Sessions sessions_;
  Delivery delivery_;
  protocol::EventFd wake_;
  int epoll_ = -1;  // wake_, stop_fd and the beacons'

  std::unique_ptr<Committer> committer_;  // after what its callbacks use

  Now now_;
  MonoTime slept_until_;  // when the last wait was to end at the latest
  MonoTime next_sweep_;
  uint64_t turn_ = 0;
  MonoTime hold_due_ = MonoTime::never();  // when a commit need not wait for results any more
  bool woken_ = true;                      // by something else than a message: see what it is
  bool inbox_empty_ = true;
  size_t inputs_due_ = 0;   // assignments that wait for the store to read their inputs
  std::string refusing_;    // the store's reason
  bool keeps_out_ = false;  // newcomers, for lack of file descriptors
  std::vector<int> watched_;
  std::vector<Send> outgoing_;
  protocol::Router::Received received_;
  std::string failure_;
};

}  // namespace zgrid::broker
