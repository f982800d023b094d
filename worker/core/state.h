// The tables of the worker's core. Only the files of this folder include it.
#pragma once

#include <deque>
#include <unordered_map>

#include "worker/core/core.h"

namespace zgrid::worker {

enum class Phase : uint8_t {
  disconnected,
  introduced,  // READY is sent
  welcomed,
};

struct Attempt {
  Start start;
  StoreId store;
  bool running = false;
  bool announced = false;  // STARTED is sent, or not needed any more
  bool discard = false;    // its end is of no interest to anyone
  MonoTime started_at;
};

// A result waits so long for others, while every slot has more to do.
inline constexpr Micros kResultsTogether{2000};
// The same where attempts take less than kShortUs: a message costs all who see it about a third
// of such an attempt's process, so it carries some fifteen of them.
inline constexpr Micros kShortResultsTogether{6000};
inline constexpr double kShortUs = 2000;

// Results that went out in one FINAL and wait for its acknowledgement.
struct Batch {
  uint64_t number = 0;
  std::vector<Finished> results;
};

struct State {
  explicit State(CoreConfig configuration) : config(std::move(configuration)) {}

  CoreConfig config;
  Now now;
  Phase phase = Phase::disconnected;
  bool draining = false;
  bool goodbye_sent = false;
  StoreId store;
  uint64_t epoch = 0;
  Millis heartbeat = limits::kHeartbeat;
  Millis lease = limits::kLease;
  MonoTime last_heard, next_beat, next_ready;

  std::unordered_map<Nonce, Attempt> attempts;  // in hand; only looked up
  std::deque<Nonce> queue;                      // not started, in order of arrival
  std::deque<Nonce> unannounced;                // running, in order of their start
  uint32_t running = 0;

  std::deque<Batch> batches;        // sent, not acknowledged
  std::vector<Finished> finished;   // not sent
  MonoTime results_due;             // when the first of those goes out at the latest
  std::vector<Finished> elsewhere;  // of stores whose broker is not the one we talk to
  std::unordered_map<Nonce, bool> spooled;
  uint64_t next_batch = 1;

  std::vector<protocol::Partial::Item> events;
  std::vector<Token> released;
  std::vector<Token> started;

  double mean_run_us = -1;        // of recent attempts; negative: none yet
  uint32_t window_announced = 0;  // what the broker believes

  uint32_t load_permille = 0;
  std::vector<protocol::InHand> activity;
  bool services_changed = false;
  bool beat_now = false;

  Effects effects;
};

// Whether recent attempts were short.
inline bool has_short_attempts(const State& s) {
  return s.mean_run_us >= 0 && s.mean_run_us < kShortUs;
}
uint32_t window(const State& s);
void introduce(State& s);
void on_request(State& s, protocol::Request&& m);
void on_abort(State& s, const protocol::Abort& m);
void on_recall(State& s, const protocol::Recall& m);
void on_welcome(State& s, protocol::Welcome&& m);
void on_final_ack(State& s, const protocol::FinalAck& m);
void on_away(State& s);  // the broker: missed, or disconnected
void release_queued(State& s);
void finish_attempt(State& s, Attempt& attempt, Outcome outcome, Payload output);
// All that have ended, at once.
void send_results(State& s);
// When results must be on disk because the broker has missed a beat: the connection may be cut, and
// we may be killed meanwhile.
MonoTime spool_due(const State& s);
void flush(State& s);

}  // namespace zgrid::worker
