// Results until they are acknowledged, and what happens while the broker is away.
#include <algorithm>

#include "protocol/batch.h"
#include "worker/core/state.h"

namespace zgrid::worker {

using namespace protocol;

namespace {

// Sends a list in as many messages as its entries need.
template <class M, class Entry>
void send_list(State& s, std::vector<Entry>& entries) {
  for (size_t at = 0; at < entries.size(); at += limits::kBatchItemsMax) {
    const size_t end = std::min(entries.size(), at + limits::kBatchItemsMax);
    M m;
    m.items.assign(std::make_move_iterator(entries.begin() + static_cast<ptrdiff_t>(at)),
                   std::make_move_iterator(entries.begin() + static_cast<ptrdiff_t>(end)));
    s.effects.sends.emplace_back(std::move(m));
  }
  entries.clear();
}

void send_events(State& s) {
  BatchMeter meter;
  Partial m;
  for (Partial::Item& item : s.events) {
    if (!meter.add(weight(item.event))) {
      s.effects.sends.emplace_back(std::move(m));
      m = {};
      meter.reset();
      meter.add(weight(item.event));
    }
    m.items.push_back(std::move(item));
  }
  if (!m.items.empty()) s.effects.sends.emplace_back(std::move(m));
  s.events.clear();
}

void send_batch(State& s, Batch&& batch, Final&& m) {
  m.batch = batch.number = s.next_batch++;
  if (const uint32_t now = window(s); now != s.window_announced)
    m.window = s.window_announced = now;
  s.effects.sends.emplace_back(std::move(m));
  s.batches.push_back(std::move(batch));
}

// Whether more results will be there in a moment: every slot has its next attempt at hand, so
// nobody waits for the credit; and as much lies ready as is held back, so that a client that waits
// for results before it submits more does so in time. A message for each job of some hundred
// microseconds costs broker, worker and client as much as its process.
bool may_wait(const State& s) {
  return s.queue.size() >= std::max<size_t>(s.config.slots, s.finished.size()) &&
         s.finished.size() < limits::kBatchItemsTarget && s.now.mono < s.results_due;
}

void put_in_spool(State& s, const std::vector<Finished>& results) {
  for (const Finished& result : results) {
    if (s.spooled.emplace(result.token.nonce, true).second) s.effects.spool_put.push_back(result);
  }
}

}  // namespace

void send_results(State& s) {
  BatchMeter meter;
  Batch batch;
  Final m;
  for (Finished& result : s.finished) {
    FinalEntry entry{result.token, result.outcome, result.output};
    if (!meter.add(weight(entry))) {
      send_batch(s, std::move(batch), std::move(m));
      batch = {};
      m = {};
      meter.reset();
      meter.add(weight(entry));
    }
    m.items.push_back(std::move(entry));
    batch.results.push_back(std::move(result));
  }
  if (!m.items.empty()) send_batch(s, std::move(batch), std::move(m));
  s.finished.clear();
}

MonoTime spool_due(const State& s) {
  return s.last_heard + Micros(s.heartbeat) * 3 / 2 + Micros(1);
}

void flush(State& s) {
  if (s.phase != Phase::welcomed) {
    put_in_spool(s, s.finished);
    put_in_spool(s, s.elsewhere);
    s.events.clear();
    s.started.clear();
    s.released.clear();  // what is not presented at the return counts as given back
    return;
  }
  put_in_spool(s, s.elsewhere);
  send_events(s);
  if (!s.started.empty()) send_list<Started>(s, s.started);
  if (!s.finished.empty() && !may_wait(s)) send_results(s);
  if (s.now.mono >= spool_due(s)) {
    for (const Batch& batch : s.batches) put_in_spool(s, batch.results);
    put_in_spool(s, s.finished);
  }
  if (!s.released.empty()) send_list<Released>(s, s.released);
}

void on_away(State& s) {
  s.phase = Phase::disconnected;
  for (Batch& batch : s.batches) {
    for (Finished& result : batch.results) s.finished.push_back(std::move(result));
  }
  s.batches.clear();
}

void on_final_ack(State& s, const FinalAck& m) {
  const auto it = std::find_if(s.batches.begin(), s.batches.end(),
                               [&](const Batch& batch) { return batch.number == m.batch; });
  if (it == s.batches.end()) return;
  // Accepted, duplicate, stale or unknown: in each case the broker needs it no more.
  if (!s.spooled.empty()) {
    for (const Finished& result : it->results) {
      if (s.spooled.erase(result.token.nonce) > 0) {
        s.effects.spool_drop.push_back(result.token.nonce);
      }
    }
  }
  s.batches.erase(it);
}

void on_welcome(State& s, Welcome&& m) {
  if (m.store == s.store && m.epoch < s.epoch) {
    // An old copy of a store that we have seen newer: believing it would undo accepted results.
    on_away(s);
    s.effects.reconnect = true;
    return;
  }
  if (m.store != s.store) {
    // Results belong to the store that assigned their attempts.
    for (Finished& result : s.finished) s.elsewhere.push_back(std::move(result));
    s.finished.clear();
    s.store = m.store;
  }
  s.epoch = m.epoch;
  s.heartbeat = std::max(m.heartbeat, Millis{10});
  s.lease = std::max(m.lease, Millis{100});
  s.phase = Phase::welcomed;
  s.next_beat = s.now.mono + Micros(s.heartbeat);
  const auto first_here =
      std::stable_partition(s.elsewhere.begin(), s.elsewhere.end(),
                            [&](const Finished& result) { return result.store != s.store; });
  for (auto it = first_here; it != s.elsewhere.end(); ++it) s.finished.push_back(std::move(*it));
  s.elsewhere.erase(first_here, s.elsewhere.end());
  Abort discard;
  for (const Token& token : m.discard) {
    const auto it = s.attempts.find(token.nonce);
    const bool is_theirs = it != s.attempts.end() && it->second.store == s.store;
    if (is_theirs) discard.items.push_back({token, Abort::Reason::stale});
  }
  on_abort(s, discard);
}

}  // namespace zgrid::worker
