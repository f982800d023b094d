// Attempts in hand: what the broker hands over, takes back and ends.
#include <algorithm>

#include "worker/core/state.h"

namespace zgrid::worker {

using namespace protocol;

namespace {

// About so much work lies ready behind what runs, so that no slot waits for a round trip.
constexpr double kPrefetchUs = 5000;
// Behind short ones (has_short_attempts()): also for as long as their results wait for each other.
constexpr double kShortPrefetchUs = 15000;
// The weight of the newest attempt in the mean of run times.
constexpr double kMeanWeight = 0.05;

void forget(State& s, Attempt& attempt) { s.attempts.erase(Nonce(attempt.start.token.nonce)); }

void drop_from_queue(State& s, const Nonce& nonce) {
  s.queue.erase(std::find(s.queue.begin(), s.queue.end(), nonce));
}

}  // namespace

uint32_t window(const State& s) {
  const uint32_t slots = s.config.slots;
  if (s.draining || s.mean_run_us < 0) return slots;
  const double ready_us = has_short_attempts(s) ? kShortPrefetchUs : kPrefetchUs;
  const double extra = slots * ready_us / std::max(1.0, s.mean_run_us);
  const double most = std::max(slots, limits::kWindowMax) - slots;
  return slots + static_cast<uint32_t>(std::min(extra, most));
}

void on_request(State& s, Request&& m) {
  for (Assignment& item : m.items) {
    if (s.draining) {
      s.released.push_back(item.token);
      continue;
    }
    Attempt attempt;
    attempt.start = {item.token, m.specs[item.spec], std::move(item.input), item.index,
                     std::move(item.trace)};
    attempt.store = s.store;
    if (s.attempts.emplace(item.token.nonce, std::move(attempt)).second) {
      s.queue.push_back(item.token.nonce);
    }
  }
}

void on_abort(State& s, const Abort& m) {
  for (const Abort::Item& item : m.items) {
    const auto it = s.attempts.find(item.token.nonce);
    if (it == s.attempts.end()) continue;  // it ended: its FINAL is on the way
    Attempt& attempt = it->second;
    const bool is_stale = item.reason == Abort::Reason::stale;
    const JobStatus status =
        item.reason == Abort::Reason::deadline ? JobStatus::timed_out : JobStatus::cancelled;
    if (attempt.running) {
      attempt.discard = attempt.discard || is_stale;
      s.effects.stops.push_back({item.token, status});
      continue;
    }
    drop_from_queue(s, item.token.nonce);
    if (is_stale) {
      forget(s, attempt);
      continue;
    }
    Outcome outcome;
    outcome.status = status;
    JobError error;
    error.kind = status == JobStatus::cancelled ? JobErrorKind::cancelled : JobErrorKind::timeout;
    error.message = status == JobStatus::cancelled ? "cancelled by request" : "its deadline passed";
    error.took_effect = false;
    outcome.error = std::move(error);
    finish_attempt(s, attempt, std::move(outcome), {});
  }
}

void on_recall(State& s, const Recall& m) {
  for (const Token& token : m.items) {
    const auto it = s.attempts.find(token.nonce);
    if (it == s.attempts.end() || it->second.running) continue;  // too late: it runs here
    drop_from_queue(s, token.nonce);
    forget(s, it->second);
    s.released.push_back(token);
  }
}

void release_queued(State& s) {
  for (const Nonce& nonce : s.queue) {
    Attempt& attempt = s.attempts.at(nonce);
    s.released.push_back(attempt.start.token);
    forget(s, attempt);
  }
  s.queue.clear();
}

void finish_attempt(State& s, Attempt& attempt, Outcome outcome, Payload output) {
  if (attempt.running) {
    --s.running;
    const auto run_us = static_cast<double>(outcome.run.count());
    s.mean_run_us =
        s.mean_run_us < 0 ? run_us : s.mean_run_us + kMeanWeight * (run_us - s.mean_run_us);
  }
  if (!attempt.discard) {
    Finished result{attempt.store, attempt.start.token, std::move(outcome), std::move(output)};
    const bool is_here = attempt.store == s.store;
    if (is_here && s.finished.empty()) {
      s.results_due =
          s.now.mono + (has_short_attempts(s) ? kShortResultsTogether : kResultsTogether);
    }
    (is_here ? s.finished : s.elsewhere).push_back(std::move(result));
  }
  forget(s, attempt);
}

}  // namespace zgrid::worker
