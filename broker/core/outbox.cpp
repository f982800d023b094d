#include "broker/core/outbox.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Neighbours are mostly alike: look at the last few. A missed one stands in the table twice.
constexpr size_t kLookBack = 16;

template <class Table, class Same>
uint32_t index_in(Table& table, Same same) {
  const size_t stop = table.size() > kLookBack ? table.size() - kLookBack : 0;
  for (size_t i = table.size(); i > stop; --i) {
    if (same(table[i - 1])) return static_cast<uint32_t>(i - 1);
  }
  return UINT32_MAX;
}

}  // namespace

void Outbox::begin_turn() { peers_.clear(); }

void Outbox::send(SessionId to, Gate gate, Message message) {
  sends_.push_back({to, gate, std::move(message), false});
}

void Outbox::send_lazily(SessionId to, Message message) {
  sends_.push_back({to, Gate::after_commit, std::move(message), true});
}

template <class M>
M& Outbox::open(Open& open, SessionId to, Gate gate, Weight weight) {
  if (open.index == SIZE_MAX || !open.meter.add(weight)) {
    open.meter.reset();
    open.meter.add(weight);
    open.index = sends_.size();
    sends_.push_back({to, gate, M{}, false});
  }
  return std::get<M>(sends_[open.index].message);
}

void Outbox::assign(SessionId to, Gate gate, const SpecRef& spec, Assignment entry) {
  Peer& peer = peers_[to];
  Weight w = weight(entry);
  w.header_bytes += spec->raw.size();
  auto& m = open<Request>(gate == Gate::overtake ? peer.overtaking : peer.assignments, to, gate, w);
  entry.spec = index_in(m.specs, [&](const SpecRef& other) { return other == spec; });
  if (entry.spec == UINT32_MAX) {
    entry.spec = static_cast<uint32_t>(m.specs.size());
    m.specs.push_back(spec);
  }
  m.items.push_back(std::move(entry));
}

void Outbox::result(SessionId to, const WorkerFactsRef& worker, const JobHead& head,
                    ResultEntry entry) {
  auto& m = open<Results>(peers_[to].results, to, Gate::after_commit, weight(entry));
  entry.worker = kNoWorker;
  if (worker) {
    entry.worker =
        index_in(m.workers, [&](const WorkerFactsRef& other) { return other == worker; });
    if (entry.worker == UINT32_MAX) {
      entry.worker = static_cast<uint32_t>(m.workers.size());
      m.workers.push_back(worker);
    }
  }
  entry.head = index_in(m.heads, [&](const JobHead& other) { return other == head; });
  if (entry.head == UINT32_MAX) {
    entry.head = static_cast<uint32_t>(m.heads.size());
    m.heads.push_back(head);
  }
  m.items.push_back(std::move(entry));
}

void Outbox::event(SessionId to, const JobId& job, uint32_t attempt, const JobEvent& event) {
  auto& m = open<Events>(peers_[to].events, to, Gate::after_commit, weight(event));
  m.items.push_back({job, attempt, event});
}

void Outbox::abort(SessionId to, const Token& token, Abort::Reason reason) {
  auto& m = open<Abort>(peers_[to].aborts, to, Gate::after_commit, Weight{48, 0});
  m.items.push_back({token, reason});
}

void Outbox::recall(SessionId to, const Token& token) {
  auto& m = open<Recall>(peers_[to].recalls, to, Gate::after_commit, Weight{48, 0});
  m.items.push_back(token);
}

}  // namespace zgrid::broker
