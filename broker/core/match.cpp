// Who runs what: demands are compared with groups of equal workers; within a group the least
// loaded worker is first. What an assignment costs does not depend on how many workers there are.
#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

std::string signature(const Worker& worker) {
  // Lengths before texts, so that no two different lists have the same signature.
  std::string text;
  const auto add = [&text](const std::string& part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
  };
  add(worker.facts->version);
  for (const std::string& service : worker.services) add(service);
  text += '|';
  for (const auto& [key, value] : worker.tags) {
    add(key);
    add(value);
  }
  return text;
}

bool tags_fit(const std::vector<std::pair<std::string, std::string>>& has,
              const std::vector<std::pair<std::string, std::string>>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& tag) {
    return std::find(has.begin(), has.end(), tag) != has.end();
  });
}

bool offers(const std::vector<std::string>& services, const std::string& service) {
  return std::binary_search(services.begin(), services.end(), service);
}

void refresh_groups(State& s, Demand& demand) {
  if (demand.generation == s.group_generation) return;
  demand.generation = s.group_generation;
  demand.groups.clear();
  for (const auto& [key, group] : s.groups) {
    if (offers(group->services, demand.key.service) &&
        version_fits(group->version, demand.key.version) &&
        tags_fit(group->tags, demand.key.target.tags)) {
      demand.groups.push_back(group.get());
    }
  }
}

bool is_directed(const Demand::Key& key) {
  return !key.pinned.is_nil() || key.target.mode == Target::Mode::names;
}

// The workers that a directed demand names, as far as they are online.
std::vector<Worker*> named_workers(State& s, const Demand::Key& key) {
  std::vector<Worker*> workers;
  if (!key.pinned.is_nil()) {
    const auto it = s.workers.find(key.pinned);
    if (it != s.workers.end() && it->second->online) workers.push_back(it->second.get());
    return workers;
  }
  for (const std::string& name : key.target.names) {
    const auto it = s.online_by_name.find(name);
    if (it != s.online_by_name.end()) workers.push_back(it->second);
  }
  return workers;
}

uint32_t load_of(const Worker& worker) {
  return static_cast<uint32_t>(worker.jobs.size() * 1000 / worker.slots);
}

void leave_place(Worker& worker) {
  if (!worker.place) return;
  Group& group = *worker.group;
  const auto list = group.candidates.find(worker.place->load);
  list->second.remove(&worker);
  if (list->second.empty()) group.spare = group.candidates.extract(list);
  worker.place.reset();
}

void take_place(Worker& worker, const Place& place) {
  Group& group = *worker.group;
  auto list = group.candidates.lower_bound(place.load);
  if (list == group.candidates.end() || list->first != place.load) {
    if (group.spare.empty()) {
      list = group.candidates.emplace_hint(list, place.load, Candidates{});
    } else {
      group.spare.key() = place.load;
      list = group.candidates.insert(list, std::move(group.spare));
    }
  }
  list->second.push_back(&worker);
  worker.place = place;
}

Worker* find_named(State& s, const Demand::Key& key) {
  Worker* best = nullptr;
  for (Worker* worker : named_workers(s, key)) {
    if (!worker->place || !can_run(*worker, key)) continue;
    if (best == nullptr || *worker->place < *best->place) best = worker;
  }
  return best;
}

// The store's thread adds the input on the way.
void fill_and_send(State& s, SessionId to, AssignmentToFill assignment) {
  auto& reads = s.effects.reads;
  const auto open = std::find_if(reads.rbegin(), reads.rend(), [&](const StoreRead& read) {
    return read.what == StoreRead::What::inputs && read.to == to;
  });
  if (open != reads.rend()) return open->assignments.push_back(std::move(assignment));
  StoreRead read;
  read.to = to;
  read.what = StoreRead::What::inputs;
  read.assignments.push_back(std::move(assignment));
  reads.push_back(std::move(read));
}

void assign(State& s, Job& job, Worker& worker) {
  dequeue(s, job);
  ++job.attempt;
  s.entropy.fill(job.nonce.bytes);
  job.last_worker = worker.facts;
  job.started = false;
  job.recalled = false;
  job.assigned = s.now.wall;
  set_status(s, job, JobStatus::running);
  add_in_hand(s, worker, job);
  worker.last_used = ++s.assignments;
  leave_place(worker);  // among equals it goes to the end
  update_place(s, worker);
  put_state(s, job);
  // What nobody was promised yet may start before it is on disk; its record is in this commit.
  const bool overtakes = s.config.overtake && job.accepted_turn == s.turn && job.attempt == 1;
  Assignment entry;
  entry.token = {job.id, job.attempt, job.nonce};
  entry.input = job.input;
  entry.index = job.index;
  if (job.extra) entry.trace = job.extra->trace;
  if (job.input_stored) {
    fill_and_send(s, worker.session, {job.entry->spec, std::move(entry)});
  } else {
    // A window beyond its slots says that its jobs are short.
    if (overtakes && worker.window > worker.slots) ++s.effects.expected_soon;
    s.outbox.assign(worker.session, overtakes ? Gate::overtake : Gate::after_commit,
                    job.entry->spec, std::move(entry));
    // A large input goes with its only copy; should it be needed again, the store has it.
    if (job.input_size > limits::kInlinePayloadBytesMax) leave_input(s, job);
  }
  notify_status(s, job);
}

// Assigns from one demand at one priority until jobs or candidates run out.
void assign_from(State& s, Demand& demand, uint8_t priority) {
  while (Job* job = head_of(demand, priority)) {
    Worker* worker = find_candidate(s, demand);
    if (worker == nullptr) return;
    if (const Worker* next = Candidates::next(worker)) prefetch(*next);
    if (demand.emptying == worker) stop_emptying(s, demand);
    end_turn_of_run(demand, priority);
    assign(s, *job, *worker);
  }
}

}  // namespace

bool version_fits(const std::string& version, const std::string& demanded) {
  if (demanded.empty()) return true;
  return version.compare(0, demanded.size(), demanded) == 0 &&
         (version.size() == demanded.size() || version[demanded.size()] == '.');
}

bool can_run(const Worker& worker, const Demand::Key& key) {
  if (!worker.takes_work() || !offers(worker.services, key.service)) return false;
  if (!version_fits(worker.facts->version, key.version)) return false;
  if (!key.pinned.is_nil()) return worker.facts->id == key.pinned;
  if (key.target.mode == Target::Mode::names) {
    const auto& names = key.target.names;
    return std::find(names.begin(), names.end(), worker.facts->name) != names.end();
  }
  return tags_fit(worker.tags, key.target.tags);
}

void join_group(State& s, Worker& worker) {
  ZGRID_CHECK(worker.group == nullptr);
  auto& group = s.groups[signature(worker)];
  if (!group) {
    group = std::make_unique<Group>();
    group->services = worker.services;
    group->tags = worker.tags;
    group->version = worker.facts->version;
    ++s.group_generation;
  }
  ++group->workers;
  worker.group = group.get();
  update_place(s, worker);
}

void leave_group(State& s, Worker& worker) {
  if (worker.group == nullptr) return;
  if (worker.reserved != nullptr) stop_emptying(s, *worker.reserved);
  leave_place(worker);
  if (--worker.group->workers == 0) {
    ++s.group_generation;
    s.groups.erase(signature(worker));
  }
  worker.group = nullptr;
}

void update_place(State& s, Worker& worker) {
  if (worker.group == nullptr) return;
  if (!worker.takes_work() || !worker.has_credit()) return leave_place(worker);
  const uint32_t load = load_of(worker);
  if (worker.place && worker.place->load == load) return;
  leave_place(worker);
  take_place(worker, {load, ++s.placements});
}

void stop_emptying(State& s, Demand& demand) {
  if (demand.emptying == nullptr) return;
  demand.emptying->reserved = nullptr;
  update_place(s, *demand.emptying);
  demand.emptying = nullptr;
}

void add_in_hand(State& s, Worker& worker, Job& job) {
  job.worker = &worker;
  worker.jobs.push_back(&job);
  if (job.entry->alone) ++worker.alone;
  count_overfull(s, worker);
}

void remove_in_hand(State& s, Job& job) {
  Worker& worker = *job.worker;
  if (job.entry->alone) --worker.alone;
  worker.jobs.remove(&job);
  job.worker = nullptr;
  count_overfull(s, worker);
}

void count_overfull(State& s, Worker& worker) {
  const bool is_overfull = worker.jobs.size() > worker.slots;
  if (is_overfull == worker.overfull) return;
  worker.overfull = is_overfull;
  is_overfull ? ++s.overfull : --s.overfull;
}

namespace {

Worker* find_free(State& s, Demand& demand) {
  if (is_directed(demand.key)) return find_named(s, demand.key);
  refresh_groups(s, demand);
  Worker* best = nullptr;
  for (const Group* group : demand.groups) {
    if (group->candidates.empty()) continue;
    Worker* const first = group->candidates.begin()->second.front();
    if (best == nullptr || *first->place < *best->place) best = first;
  }
  return best;
}

// For a job that must be alone: a worker with empty hands. If there is none, one gets no further
// jobs until its hands are, so that a busy grid cannot starve such a job.
Worker* find_empty(State& s, Demand& demand) {
  if (Worker* chosen = demand.emptying; chosen != nullptr) {
    if (can_run(*chosen, demand.key)) {
      if (chosen->jobs.empty()) return chosen;
      // Somebody else may have become idle first.
      Worker* const other = find_free(s, demand);
      if (other == nullptr || !other->jobs.empty()) return nullptr;
      stop_emptying(s, demand);
      return other;
    }
    stop_emptying(s, demand);
  }
  Worker* const best = find_free(s, demand);
  if (best == nullptr || best->jobs.empty()) return best;
  demand.emptying = best;
  best->reserved = &demand;
  update_place(s, *best);
  for (Job* job = best->jobs.front(); job != nullptr; job = JobsInHand::next(job)) {
    // One that is assigned in this very turn is still on its way: it would come after its recall.
    const bool has_left = job->assigned != s.now.wall;
    if (!job->started && has_left) {
      s.outbox.recall(best->session, {job->id, job->attempt, job->nonce});
    }
  }
  return nullptr;
}

}  // namespace

Worker* find_candidate(State& s, Demand& demand) {
  return demand.key.alone ? find_empty(s, demand) : find_free(s, demand);
}

std::vector<Worker*> offering(State& s, const Demand& demand) {
  std::vector<Worker*> found;
  for (const auto& [id, worker] : s.workers) {
    if (can_run(*worker, demand.key)) found.push_back(worker.get());
  }
  std::sort(found.begin(), found.end(),
            [](const Worker* a, const Worker* b) { return a->number < b->number; });
  return found;
}

bool anyone_offers(State& s, Demand& demand) {
  if (is_directed(demand.key)) {
    const auto workers = named_workers(s, demand.key);
    return std::any_of(workers.begin(), workers.end(),
                       [&](const Worker* w) { return can_run(*w, demand.key); });
  }
  refresh_groups(s, demand);
  return std::any_of(demand.groups.begin(), demand.groups.end(),
                     [](const Group* g) { return g->workers > 0; });
}

void assign_all(State& s) {
  for (int priority = limits::kPriorityMax; priority >= 0 && !s.ready.empty(); --priority) {
    Demand* next = nullptr;
    for (Demand* demand = s.ready.front(); demand != nullptr; demand = next) {
      next = ReadyDemands::next(demand);  // an assignment may empty the demand and unlink it
      assign_from(s, *demand, static_cast<uint8_t>(priority));
    }
  }
}

void recall_excess(State& s) {
  // Work that waits behind a long job is taken back when somebody else has nothing to do. What is
  // queued at the end of a turn is nothing that an idle worker could take.
  if (s.now.mono < s.next_recall) return;
  s.next_recall = s.now.mono + Micros(limits::kTick);
  size_t idle = 0;
  if (s.overfull == 0) return;
  for (const auto& [id, worker] : s.workers) {
    if (worker->takes_work() && worker->jobs.empty()) idle += worker->slots;
  }
  if (idle == 0) return;
  for (const auto& [id, worker] : s.workers) {
    if (!worker->online || worker->jobs.size() <= worker->slots) continue;
    size_t excess = worker->jobs.size() - worker->slots;
    for (Job* job = worker->jobs.back(); job != nullptr && excess > 0 && idle > 0; --excess) {
      // A wall clock that was set back must not keep it there.
      const bool waited =
          s.now.wall < job->assigned || s.now.wall - job->assigned > Micros(limits::kRecallAfter);
      if (waited && !job->recalled && !job->started) {
        Worker* other = find_free(s, *job->entry->demand);
        if (other != nullptr && other != worker.get() && other->jobs.empty()) {
          job->recalled = true;
          --idle;
          s.outbox.recall(worker->session, {job->id, job->attempt, job->nonce});
        }
      }
      job = JobsInHand::previous(job);
    }
  }
}

}  // namespace zgrid::broker
