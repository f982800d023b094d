// Specs that jobs share, and the queues: by demand, then priority, then run, then age.
#include <utility>

#include "broker/core/state.h"
#include "protocol/codec.h"
#include "protocol/hash.h"

namespace zgrid::broker {
namespace {

Demand* demand_of(State& s, Demand::Key key) {
  auto [it, is_new] = s.demands.try_emplace(std::move(key));
  if (is_new) {
    it->second = std::make_unique<Demand>();
    it->second->key = it->first;
  }
  return it->second.get();
}

RunQueue* run_queue_of(Demand& demand, uint8_t priority, const std::string& run) {
  auto& queue = demand.queues[{priority, run}];
  if (!queue) {
    queue = std::make_unique<RunQueue>();
    queue->run = run;
    queue->priority = priority;
    queue->demand = &demand;
  }
  return queue.get();
}

SpecRef with_defaults(const State& s, const SpecRef& spec) {
  if (spec->job.time_limit.count() != 0 || s.config.default_time_limit.count() == 0) return spec;
  JobSpec job = spec->job;
  job.time_limit = s.config.default_time_limit;
  return protocol::make_spec(std::move(job));
}

// Of a spec that no job has.
void forget(State& s, const SpecEntry* entry) {
  Demand& demand = *entry->demand;
  RunQueue& queue = *entry->queue;
  if (--queue.entries == 0) {
    ZGRID_CHECK(queue.jobs.empty());
    demand.queues.erase({queue.priority, queue.run});
  }
  if (demand.queues.empty()) {
    stop_emptying(s, demand);
    s.demands.erase(Demand::Key(demand.key));
  }
  s.specs.erase({entry->raw.str(), entry->pinned, entry->alone});
}

}  // namespace

SpecEntry* intern(State& s, const SpecRef& spec, const WorkerId& pinned, bool alone) {
  auto [it, is_new] = s.specs.try_emplace({spec->raw.str(), pinned, alone});
  if (!is_new) return it->second.get();
  auto entry = std::make_unique<SpecEntry>();
  entry->spec = with_defaults(s, spec);
  entry->raw = spec->raw;
  entry->hash = protocol::hash_bytes({}, spec->raw.view());
  entry->pinned = pinned;
  entry->alone = alone;
  const JobSpec& job = spec->job;
  Target target = pinned.is_nil() ? job.target : Target{};
  entry->demand = demand_of(s, {job.service, std::move(target), job.demand_version, pinned, alone});
  entry->queue = run_queue_of(*entry->demand, job.priority, job.run);
  ++entry->queue->entries;
  it->second = std::move(entry);
  return it->second.get();
}

void acquire(SpecEntry* entry) { ++entry->jobs; }

void release(State& s, SpecEntry* entry) {
  ZGRID_CHECK(entry->jobs > 0);
  if (--entry->jobs > 0) return;
  SpecEntry* const before = std::exchange(s.idle_spec, entry);
  if (before != nullptr && before != entry && before->jobs == 0) forget(s, before);
}

void enqueue(State& s, Job& job) {
  RunQueue& queue = *job.entry->queue;
  Demand& demand = *queue.demand;
  if (queue.jobs.empty()) demand.turns[queue.priority].push_back(&queue);
  // New jobs go to the end; one that comes back goes where its age puts it.
  Job* before = queue.jobs.back();
  if (before != nullptr && before->seq > job.seq) {
    before = nullptr;
    for (Job* at = queue.jobs.front(); at != nullptr && at->seq < job.seq;
         at = JobQueue::next(at)) {
      before = at;
    }
  }
  queue.jobs.insert_after(before, &job);
  if (demand.queued++ == 0) s.ready.push_back(&demand);
  ++s.counts.queued;
  s.counts.queued_bytes += job.input_size;
}

void dequeue(State& s, Job& job) {
  RunQueue& queue = *job.entry->queue;
  Demand& demand = *queue.demand;
  queue.jobs.remove(&job);
  if (queue.jobs.empty()) demand.turns[queue.priority].remove(&queue);
  if (--demand.queued == 0) {
    s.ready.remove(&demand);
    stop_emptying(s, demand);
  }
  --s.counts.queued;
  s.counts.queued_bytes -= job.input_size;
}

void refresh_entry(State& s, Job& job) {
  const bool alone = job.losses >= limits::kLossesBeforeAlone;
  SpecEntry* const before = job.entry;
  if (before->alone == alone) return;
  // A spec with the broker's defaults has other bytes than the one that was submitted.
  job.entry = intern(s, before->spec, before->pinned, alone);
  acquire(job.entry);
  release(s, before);
}

Job* head_of(Demand& demand, uint8_t priority) {
  RunQueue* queue = demand.turns[priority].front();
  return queue ? queue->jobs.front() : nullptr;
}

void end_turn_of_run(Demand& demand, uint8_t priority) {
  RunTurns& turns = demand.turns[priority];
  if (turns.size() < 2) return;
  RunQueue* queue = turns.front();
  turns.remove(queue);
  turns.push_back(queue);
}

}  // namespace zgrid::broker
