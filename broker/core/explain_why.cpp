// What a job waits for, or how it ended, in one sentence; and what can be done about it.
#include <algorithm>

#include "broker/core/explain.h"
#include "protocol/base/nearest.h"
#include "protocol/base/units.h"

namespace zgrid::broker {
namespace {

std::vector<std::string> names_with(const std::vector<Candidate>& seen, std::string_view rule) {
  std::vector<std::string> names;
  for (const Candidate& one : seen) {
    if (one.excluded.rule == rule) names.push_back(one.worker->facts->name);
  }
  return names;
}

Why nobody_offers(const std::vector<Candidate>& seen, const std::string& service) {
  std::vector<std::string> offered;
  size_t online = 0;
  for (const Candidate& one : seen) {
    if (!one.worker->online) continue;
    ++online;
    offered.insert(offered.end(), one.worker->services.begin(), one.worker->services.end());
  }
  Why why;
  why.waits_for = "service";
  if (service.substr(0, kServicePrompt.size()) == kServicePrompt) {
    why.reason = "no worker online has a prompt provider";
    if (service != kServicePrompt) {
      why.reason += " for '" + service.substr(kServicePrompt.size()) + "'";
    }
    why.fix = "add a [[worker.provider]] to a worker's configuration and restart it";
    return why;
  }
  why.reason = online == 1 ? "the only worker online does not offer '" + service + "'"
                           : "none of the " + std::to_string(online) + " workers online offers '" +
                                 service + "'";
  const auto like = nearest(service, offered);
  why.fix = (like ? "did you mean '" + *like + "'? Cancel it and submit that; or " : "") +
            "start a worker with a workflow file that defines it (`zgrid workflows` lists what is "
            "offered)";
  return why;
}

Why nobody_of_that_name(const State& s, const std::vector<Candidate>& seen,
                        const Demand::Key& key) {
  Why why;
  why.waits_for = "name";
  std::vector<std::string> known, unknown;
  for (const Candidate& one : seen) known.push_back(one.worker->facts->name);
  for (const std::string& name : key.target.names) {
    const auto online = s.online_by_name.find(name);
    if (online != s.online_by_name.end() && !offers(*online->second, key.service)) {
      why.waits_for = "service";
      why.reason = "worker '" + name + "' does not offer '" + key.service + "'";
      why.fix =
          "add it to that worker's workflow files and send it SIGHUP, or cancel the job and "
          "submit it --on any";
      return why;
    }
    if (std::find(known.begin(), known.end(), name) == known.end()) unknown.push_back(name);
  }
  why.reason = "no worker is called '" + listed(unknown) + "'";
  const auto like = nearest(unknown.empty() ? "" : unknown.front(), known);
  why.fix =
      (like ? "did you mean '" + *like + "'? Start" : std::string("start")) +
      " that worker, or cancel the job and submit it --on another (`zgrid workers` lists them)";
  return why;
}

// Only workers that are no candidates for long are left.
Why nobody_fits(const State& s, const std::vector<Candidate>& seen, const Demand::Key& key) {
  const auto tags = names_with(seen, "tags");
  const auto names = names_with(seen, "name");
  const auto versions = names_with(seen, "version");
  Why why;
  if (key.target.mode == Target::Mode::names) return nobody_of_that_name(s, seen, key);
  if (!tags.empty()) {
    why.waits_for = "tags";
    const std::string wanted = format_target(key.target);
    why.reason = "no worker that offers '" + key.service + "' is " + wanted;
    const auto first = std::find_if(
        seen.begin(), seen.end(), [](const Candidate& one) { return one.excluded.rule == "tags"; });
    why.reason += " (" + first->worker->facts->name + ": " + first->excluded.text + ")";
    const auto& tag = key.target.tags.front();
    why.fix = "start a worker with --tag " + tag.first + "=" + tag.second +
              ", or cancel the job and submit it with another --on";
    return why;
  }
  if (!versions.empty()) {
    why.waits_for = "version";
    why.reason = "no worker that offers '" + key.service + "' is of version " + key.version;
    why.fix = "upgrade " + listed(versions);
    return why;
  }
  return nobody_offers(seen, key.service);
}

// How many of its worker's jobs were given to it before this one.
size_t before_it(const Job& job) {
  size_t count = 0;
  for (const Job* at = job.worker->jobs.front(); at != nullptr && at != &job;
       at = JobsInHand::next(at)) {
    ++count;
  }
  return count;
}

// What can be done about a job that ended badly.
std::string fix_of(const JobId& id, const Outcome& outcome, const std::string& worker) {
  if (outcome.status == JobStatus::dead_letter) {
    return "mend what kills its workers, then: zgrid dlq retry " + id.str();
  }
  if (!outcome.error) return {};
  switch (outcome.error->kind) {
    case JobErrorKind::spawn:
      return "install the program on " + worker +
             " or mend its path in the workflow file; "
             "`zgrid workflow check FILE` there finds such mistakes";
    case JobErrorKind::workflow: return "the step's own messages are in: zgrid logs " + id.str();
    case JobErrorKind::timeout: return "give it more: --time-limit or --deadline";
    case JobErrorKind::provider: return "on " + worker + ": zgrid doctor";
    case JobErrorKind::output_too_large: return "raise worker.output_bytes_max on " + worker;
    case JobErrorKind::unknown_step: return "see the workflow file on " + worker;
    case JobErrorKind::worker_lost: return "zgrid retry " + id.str();
    case JobErrorKind::internal:
    case JobErrorKind::cancelled:
    case JobErrorKind::unknown_workflow:
    case JobErrorKind::validation:
    case JobErrorKind::unsupported:
    case JobErrorKind::transport:
    case JobErrorKind::envelope_version:
    case JobErrorKind::auth:
    case JobErrorKind::collect_incomplete:
    case JobErrorKind::workflow_changed:
    case JobErrorKind::need_failed:
    case JobErrorKind::budget: return {};
  }
  return {};
}

}  // namespace

Why why_queued(const State& s, const Demand::Key& key, const Demand& demand,
               const std::vector<Candidate>& seen) {
  const auto has = [&](std::string_view rule) {
    return std::any_of(seen.begin(), seen.end(),
                       [&](const Candidate& one) { return one.excluded.rule == rule; });
  };
  const bool any_online = std::any_of(seen.begin(), seen.end(),
                                      [](const Candidate& one) { return one.worker->online; });
  if (has("")) return {"turn", "a worker is free: it is about to be assigned", {}};
  if (has("full") || has("not_empty") || has("alone") || has("reserved")) {
    Why why;
    why.waits_for = key.alone ? "empty_worker" : "slot";
    why.reason = key.alone ? "it lost two workers and must now be alone on one: it waits until one "
                             "has finished its other jobs"
                           : "all slots of the workers that can run it are in use; " +
                                 count_of(demand.queued, "job") + " of its kind " +
                                 (demand.queued == 1 ? "waits" : "wait");
    why.fix = "wait, or start another worker (or this one with more --slots)";
    return why;
  }
  if (has("draining")) {
    const auto names = names_with(seen, "draining");
    return {"drain", "the workers that can run it take no new jobs: " + listed(names) + " drains",
            "zgrid undrain " + names.front() + ", or start another worker"};
  }
  if (has("offline")) {
    const auto names = names_with(seen, "offline");
    const auto first = std::find_if(seen.begin(), seen.end(), [](const Candidate& one) {
      return one.excluded.rule == "offline";
    });
    Why why;
    why.waits_for = "worker";
    why.reason = (any_online ? std::string("the workers that can run it are offline: ")
                             : std::string("no worker is online: ")) +
                 first->worker->facts->name + " was last seen " +
                 ago(s.now.mono - first->worker->last_seen) + " ago";
    if (names.size() > 1) why.reason += ", and " + count_of(names.size() - 1, "other");
    why.fix = "start it again (`zgrid worker`); on its machine `zgrid doctor` tells what is wrong";
    return why;
  }
  if (!any_online) {
    return {"worker", "no worker is online",
            "start one: zgrid worker --workflows FILE; `zgrid doctor` on its machine tells what is "
            "wrong if it does not join"};
  }
  return nobody_fits(s, seen, key);
}

Why why_waiting(const State& s, const Job& job) {
  const std::string left = in_time(job.not_before - s.grid);
  if (job.failures > 0) {
    return {"backoff",
            "its attempt " + std::to_string(job.attempt) + " failed (" +
                std::to_string(job.failures) + " of " + std::to_string(job.spec().retries) +
                " retries used); the next one starts in " + left,
            {}};
  }
  return {"delay", "it was submitted with a delay and starts in " + left, {}};
}

Why why_running(const State& s, const Job& job) {
  const std::string name = job.last_worker ? job.last_worker->name : "its worker";
  const std::string id = job.id.str();
  if (job.worker == nullptr) {
    const std::string left = in_time(*s.started_at + 2 * Micros(s.config.lease) - s.now.mono);
    return {"grace",
            "the broker was restarted; it ran on " + name + ", which has " + left +
                " more to come back before it runs elsewhere",
            "nothing: if " + name + " is gone for good it runs elsewhere"};
  }
  if (job.cancel_requested) {
    return {"cancel", "it was cancelled; " + name + " is ending its processes", {}};
  }
  if (job.deadline_passed) {
    return {"cancel", "its deadline passed; " + name + " is ending its processes", {}};
  }
  if (job.extra && job.extra->life.wedged) {
    const Life& life = job.extra->life;
    return {
        "life",
        "runs on " + name + ", but shows no sign of life (" +
            (life.stopped ? "its processes are stopped by a signal" : "no CPU time, no output") +
            ") for " + ago(s.now.mono - life.active_at),
        "look at it on " + name + "; zgrid cancel " + id +
            ", and submit with --on-wedged retry to have that done for you"};
  }
  const size_t before = before_it(job);
  if (!job.started && before >= job.worker->slots) {
    return {"slot",
            "is in the hands of " + name + " and waits there behind " + count_of(before, "job") +
                ", " + std::to_string(job.worker->slots) + " at a time",
            {}};
  }
  return {
      "",
      "runs on " + name + (job.attempt > 1 ? " (attempt " + std::to_string(job.attempt) + ")" : ""),
      {}};
}

Why why_broadcast(const Job& job) {
  return {"jobs",
          std::to_string(job.extra->children_left) + " of the " +
              count_of(job.extra->children.size(), "job") +
              " it made, one for each worker, have not ended",
          "zgrid explain one of them"};
}

Why why_ended(const StoredJob& job) {
  const Outcome& outcome = job.ended->outcome;
  const std::string worker = job.ended->worker ? job.ended->worker->name : "";
  Why why;
  why.reason = std::string(status_name(outcome.status));
  if (!worker.empty()) why.reason += " on " + worker;
  if (job.ended->attempt > 1) why.reason += ", attempt " + std::to_string(job.ended->attempt);
  if (outcome.error) {
    const JobError& error = *outcome.error;
    if (!error.step.empty()) why.reason += ", in step '" + error.step + "'";
    why.reason += ": " + error.message.substr(0, error.message.find('\n'));
    const bool is_told = error.message.find("exit code") != std::string::npos;
    if (error.exit_code && !is_told)
      why.reason += " (exit code " + std::to_string(*error.exit_code) + ")";
  }
  why.fix = fix_of(job.accepted.id, outcome, worker);
  return why;
}

}  // namespace zgrid::broker
