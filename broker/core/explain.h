// The parts of EXPLAIN: who could run a job, and what it waits for. Only explain*.cpp include it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/core/state.h"

namespace zgrid::broker {

// Why one worker cannot take a job now. No rule: it can.
struct Exclusion {
  std::string_view rule;
  std::string text;
  // It will not pass by itself: the worker is not one for this job.
  bool is_lasting = false;
};

struct Candidate {
  const Worker* worker = nullptr;
  Exclusion excluded;
};

// Every worker that is known: those that could take it first, the best one first, then those that
// may once be able to, then the others. `demand`: the job's; null if it has none any more.
std::vector<Candidate> look_at_workers(const State& s, const Demand::Key& key,
                                       const Demand* demand);

// What a job waits for: a word for scripts, and for people the cause and what can be done.
struct Why {
  std::string_view waits_for;  // empty: for nothing
  std::string reason, fix;
};
Why why_queued(const State& s, const Demand::Key& key, const Demand& demand,
               const std::vector<Candidate>& candidates);
// For every other state.
Why why_waiting(const State& s, const Job& job);
Why why_running(const State& s, const Job& job);
Why why_broadcast(const Job& job);
Why why_ended(const StoredJob& job);

// ---- words ----------------------------------------------------------------------------

std::string ago(Micros duration);      // in whole seconds
std::string in_time(Micros duration);  // to a tenth of a second, rounded up
std::string count_of(size_t number, const std::string& noun);
std::string listed(const std::vector<std::string>& names);  // the first few
bool offers(const Worker& worker, const std::string& service);

}  // namespace zgrid::broker
