// The worker's state machine: slots, attempts in hand, results until they are acknowledged,
// heartbeats, and coming back after the broker was away. It has no socket, clock, thread or log.
//
// A turn: begin(now), any number of events, next_start() until there is none (an attempt that ends
// inside its start frees its slot at once), finish() → effects. Same inputs, same effects.
// Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/messages.h"

namespace zgrid::worker {

struct CoreConfig {
  WorkerFacts facts;
  BootId boot;
  uint32_t slots = 1;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
  // The store seen last and its highest epoch, if the process remembers; nil and 0 at first.
  StoreId store;
  uint64_t epoch = 0;
};

// A result that was not acknowledged yet.
struct Finished {
  StoreId store;  // only that store's broker gets it
  Token token;
  Outcome outcome;
  Payload output;
};

// An attempt to be started.
struct Start {
  Token token;
  SpecRef spec;
  Payload input;
  uint64_t index = 0;
  std::string trace;
};

struct Effects {
  struct Stop {
    Token token;
    JobStatus reason = JobStatus::cancelled;  // cancelled or timed_out
  };
  std::vector<protocol::Message> sends;  // to the broker, in order
  std::vector<Stop> stops;
  std::vector<Finished> spool_put;  // the broker is away: keep these on disk
  std::vector<Nonce> spool_drop;    // acknowledged: forget them
  bool reconnect = false;           // the connection is of no use: make a new one
  std::optional<Error> fatal;       // stop the worker with this
  bool finished = false;            // drained: nothing is in hand and nothing unacknowledged
  void clear();
};

class Core {
 public:
  explicit Core(CoreConfig config);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // From the spool, before the first turn: results of an earlier life or an absent broker.
  void restore(Finished result);

  void begin(Now now);
  // A connection was made (again): introduces itself.
  void connected();
  void disconnected();
  void receive(protocol::Message&& message);
  // From the runner.
  void attempt_event(const Token& token, JobEvent event);
  void attempt_ended(const Token& token, Outcome outcome, Payload output);
  // What the shell measured; goes with the next heartbeat.
  void set_load(uint32_t load_permille);
  void set_activity(std::vector<protocol::InHand> activity);
  void set_services(std::vector<std::string> services);  // after a reload
  void drain();                                          // take nothing new, finish what runs
  // Says goodbye and hands back everything (a stop at once).
  void leave();

  // The next attempt to start; it has its slot from now on. Nothing when all slots are in use.
  std::optional<Start> next_start();
  Effects& finish();
  [[nodiscard]] MonoTime next_wake() const;

  struct Counts {
    size_t queued = 0, running = 0, unacknowledged = 0;
    bool welcomed = false;
  };
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] StoreId store() const;
  [[nodiscard]] uint64_t epoch() const;

 private:
  std::unique_ptr<struct State> state_;
};

}  // namespace zgrid::worker
