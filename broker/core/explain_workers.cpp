// Who could run a job, and the rule that excludes each of the others. The matching in match.cpp
// goes by the same rules.
#include <algorithm>

#include "broker/core/explain.h"
#include "protocol/base/units.h"

namespace zgrid::broker {

std::string ago(Micros duration) {
  return format_duration(std::chrono::floor<Seconds>(std::max(duration, Micros{0})));
}
std::string in_time(Micros duration) {
  const auto ms = std::chrono::ceil<Millis>(std::max(duration, Micros{0})).count();
  return format_duration(Millis{(ms + 99) / 100 * 100});
}
std::string count_of(size_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}
std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kNamesMax = 8;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kNamesMax; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return names.size() <= kNamesMax ? text : text + ", …";
}

bool offers(const Worker& worker, const std::string& service) {
  return std::binary_search(worker.services.begin(), worker.services.end(), service);
}

namespace {

std::string wrong_tag(const Worker& worker, const Target& target) {
  for (const auto& [key, value] : target.tags) {
    const auto has = std::find_if(worker.tags.begin(), worker.tags.end(),
                                  [&key = key](const auto& tag) { return tag.first == key; });
    if (has == worker.tags.end()) return "has no tag '" + key + "'";
    if (has->second != value) {
      return "its tag '" + key + "' is '" + has->second + "', not '" + value + "'";
    }
  }
  return {};
}

// What time does not change.
Exclusion lasting_exclusion(const Worker& worker, const Demand::Key& key) {
  const Target& target = key.target;
  if (!key.pinned.is_nil()) {
    if (worker.facts->id == key.pinned) return {};
    return {"pinned", "the job belongs to another worker: a broadcast has one for each", true};
  }
  if (!offers(worker, key.service))
    return {"service", "does not offer '" + key.service + "'", true};
  if (target.mode == Target::Mode::names) {
    const auto& names = target.names;
    if (std::find(names.begin(), names.end(), worker.facts->name) == names.end()) {
      return {"name", "is not " + listed(names), true};
    }
  } else if (std::string text = wrong_tag(worker, target); !text.empty()) {
    return {"tags", std::move(text), true};
  }
  if (!version_fits(worker.facts->version, key.version)) {
    return {"version", "is version " + worker.facts->version + ", not " + key.version, true};
  }
  return {};
}

Exclusion exclusion(const State& s, const Worker& worker, const Demand::Key& key,
                    const Demand* demand) {
  if (Exclusion lasting = lasting_exclusion(worker, key); !lasting.rule.empty()) return lasting;
  if (!worker.online) {
    return {"offline", "is offline, last seen " + ago(s.now.mono - worker.last_seen) + " ago"};
  }
  if (worker.drained) return {"draining", "was drained by `zgrid drain`"};
  if (worker.draining) return {"draining", "is stopping: it finishes what it has"};
  if (!offers(worker, key.service)) return {"service", "does not offer '" + key.service + "' now"};
  if (worker.alone > 0) return {"alone", "runs a job that must be alone on its worker"};
  if (worker.reserved != nullptr) {
    return {"reserved", worker.reserved == demand
                            ? "finishes its other jobs, since this one must be alone on a worker"
                            : "is kept free for a job that must be alone on its worker"};
  }
  if (worker.jobs.size() >= worker.window) {
    return {"full", "has " + count_of(worker.jobs.size(), "job") +
                        " in hand, as many as it wants (" + count_of(worker.slots, "slot") + ")"};
  }
  if (key.alone && !worker.jobs.empty()) {
    return {"not_empty",
            "has " + count_of(worker.jobs.size(), "job") + " in hand, and this one must be alone"};
  }
  return {};
}

}  // namespace

std::vector<Candidate> look_at_workers(const State& s, const Demand::Key& key,
                                       const Demand* demand) {
  std::vector<Candidate> seen;
  for (const auto& [id, worker] : s.workers) {
    seen.push_back({worker.get(), exclusion(s, *worker, key, demand)});
  }
  // As find_free() in match.cpp; who can take it has a place.
  const auto order = [](const Worker& worker) {
    return std::make_pair(worker.place.value_or(Place{}), worker.number);
  };
  std::sort(seen.begin(), seen.end(), [&](const Candidate& a, const Candidate& b) {
    const bool a_can = a.excluded.rule.empty();
    const bool b_can = b.excluded.rule.empty();
    if (a_can != b_can) return a_can;
    if (a_can) return order(*a.worker) < order(*b.worker);
    if (a.excluded.is_lasting != b.excluded.is_lasting) return b.excluded.is_lasting;
    return std::tie(a.worker->facts->name, a.worker->number) <
           std::tie(b.worker->facts->name, b.worker->number);
  });
  return seen;
}

}  // namespace zgrid::broker
