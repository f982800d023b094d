// CONTROL: draining workers, and a copy of the store.
#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Of several with the name (an old one that is gone, say) the one that is online is meant.
Worker* find_worker(State& s, const std::string& name_or_id) {
  Worker* found = nullptr;
  for (const auto& [id, worker] : s.workers) {
    const bool is_it = worker->facts->name == name_or_id || id.str() == name_or_id;
    if (is_it && (found == nullptr || worker->online)) found = worker.get();
  }
  return found;
}

// A worker that was drained and has not been here since our start.
std::optional<WorkerFacts> find_drained(const State& s, const std::string& name_or_id) {
  for (const auto& [id, name] : s.drained) {
    if (name != name_or_id && id.str() != name_or_id) continue;
    WorkerFacts facts;
    facts.id = id;
    facts.name = name;
    return facts;
  }
  return std::nullopt;
}

void put_drain(State& s, const WorkerFacts& facts, bool draining) {
  if (draining) {
    s.drained[facts.id] = facts.name;
  } else {
    s.drained.erase(facts.id);
  }
  s.effects.records.emplace_back(PutDrain{facts.id, facts.name, draining});
  note(s, draining ? "worker_drained" : "worker_undrained", false,
       draining ? "a worker is drained" : "a worker is undrained", {{"worker", facts.name}});
}

void set_drained(State& s, Worker& worker, bool draining) {
  worker.drained = draining;
  put_drain(s, *worker.facts, draining);
  update_place(s, worker);
  if (!draining || !worker.online) return;
  for (Job* job = worker.jobs.front(); job != nullptr; job = JobsInHand::next(job)) {
    if (!job->started) s.outbox.recall(worker.session, {job->id, job->attempt, job->nonce});
  }
}

void on_drain(State& s, const Control& m, Answer& answer) {
  const bool draining = m.op == Control::Op::drain;
  if (Worker* worker = find_worker(s, m.worker)) {
    set_drained(s, *worker, draining);
    answer.workers.push_back(view_of(s, *worker));
  } else if (const auto facts = find_drained(s, m.worker)) {
    put_drain(s, *facts, draining);
    WorkerView view;
    view.facts = *facts;
    view.draining = draining;
    answer.workers.push_back(std::move(view));
  } else {
    answer.error = Error{Errc::not_found, "no worker '" + m.worker + "'",
                         "see `zgrid workers` for their names", Effect::none, 0};
  }
}

}  // namespace

void on_control(State& s, SessionId session, const Control& m) {
  Answer answer;
  answer.request = m.request;
  if (m.op != Control::Op::backup) {
    on_drain(s, m, answer);
  } else if (m.worker.empty() || m.worker.front() != '/') {
    answer.error = Error{Errc::bad_input,
                         "a backup needs an absolute path on the broker's host",
                         {},
                         Effect::none,
                         0};
  } else {
    StoreRead read;
    read.to = session;
    read.request = m.request;
    read.what = StoreRead::What::backup;
    read.path = m.worker;
    s.effects.reads.push_back(std::move(read));
    return;
  }
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

}  // namespace zgrid::broker
