// The broker's state machine. It decides; it has no socket, disk, clock, thread or log.
//
// A turn: begin(now), any number of events, finish(), which assigns what can be assigned, fires
// what is due and returns the effects. Only what the effects' records say survives a crash.
// The same events at the same times with the same entropy give the same effects.
// Threads: one.
#pragma once

#include <memory>
#include <span>

#include "broker/core/effects.h"
#include "protocol/base/limits.h"

namespace zgrid::broker {

// Unpredictable bytes for nonces; from a seed in simulations.
class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void fill(std::span<uint8_t> into) = 0;
};

struct CoreConfig {
  std::string broker_name, program_version;
  StoreInfo store;
  Millis heartbeat = limits::kHeartbeat;
  Millis lease = limits::kLease;
  Millis client_lease = limits::kClientLease;
  Millis default_time_limit{0};
  uint64_t queue_jobs_max = 10'000'000;
  uint64_t queue_bytes_max = 4ull << 30;
  uint64_t in_flight_max = 1'000'000;
  uint64_t memory_bytes = 64ull << 20;  // of inputs; the others stay in the store
  Millis retention{7 * 24 * 3'600'000LL};
  uint64_t retention_bytes = 1ull << 30;
  uint64_t retention_jobs = 1'000'000;
  Millis retention_ids{7 * 24 * 3'600'000LL};
  Millis wedged_after{60'000};
  bool overtake = true;  // false: no assignment leaves before its commit
};

class Core {
 public:
  Core(CoreConfig config, Entropy& entropy);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Recovery, before the first turn; jobs in order of acceptance.
  void restore(StoredJob&& job);
  void restore(EndedJob&& job);
  void restore(Purge&& purge);
  void restore(const PutDrain& drain);
  void restore(const PutClock& clock);

  void begin(Now now);
  // A message that the session's role may send (see protocol::may_send).
  void receive(SessionId session, protocol::Role role, protocol::Message&& message);
  // The connection is known to be gone. Workers keep their lease: they may come back.
  void session_lost(SessionId session);
  // The store cannot write now, for this reason, or can again (empty): submits are refused
  // meanwhile.
  void set_refusing(std::string reason);
  // So many bytes of records wait for the store. Until the turn's finish(); none if it is not said.
  void set_unwritten(uint64_t bytes);
  // The input of an assignment cannot be read from the store: the job fails.
  void input_lost(const Token& token, const Error& error);
  // What the store has of the jobs of a RETRY; nothing: it has forgotten the job. Only from the
  // turn's begin() to its finish(), as the others.
  struct Retried {
    protocol::Retry::Item item;
    Result<std::optional<StoredJob>> job;
  };
  void retry(SessionId session, uint64_t request, std::vector<Retried> jobs);
  // What the store has of the jobs of an EXPLAIN that have ended; an error is told as it is.
  struct Explained {
    JobId job;
    Result<std::optional<StoredJob>> stored;
  };
  void explain(SessionId session, uint64_t request, std::vector<Explained> jobs);
  // Adds to an answer from the store what only the core knows: signs of life, purged jobs.
  void complete(protocol::Answer& answer) const;
  // The loop itself stood still that long: nobody's lease may suffer from it.
  void extend_leases(Micros gap);
  // A peer sent bytes that are no message; counted for `status`.
  void count_malformed();
  // Ends the turn. `inbox_empty`: no message waited any more, so that silence is really silence;
  // only then leases expire. The effects are valid until the next begin().
  Effects& finish(bool inbox_empty);
  // Ends every session in good order (for a stop of the broker), as a turn of its own.
  Effects& shut_down(Now now);

  // When finish() has something to do again even if no event comes.
  [[nodiscard]] MonoTime next_wake() const;

  // The order of its acceptance, under which the store has a job; 0: it is not known any more.
  [[nodiscard]] uint64_t number_of(const JobId& id) const;

  struct Counts {
    uint64_t unfinished = 0, queued = 0, queued_bytes = 0, workers = 0;
    uint64_t accepted = 0, ended = 0, stale = 0, duplicate = 0, requeued = 0;
    uint64_t input_bytes = 0;  // in memory
    uint64_t in_flight = 0;    // unfinished jobs that count for their owners
    uint64_t kept = 0;         // ended jobs with their results
  };
  [[nodiscard]] Counts counts() const;

 private:
  std::unique_ptr<struct State> state_;
};

}  // namespace zgrid::broker
