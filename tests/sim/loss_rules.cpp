// The half of TurnRules that is about workers' hands: losses, jobs that must be alone, wedged
// attempts.
#include <algorithm>

#include "tests/sim/network.h"
#include "tests/sim/turn_rules.h"

namespace zgrid::sim {

using namespace protocol;
using broker::PutState;

// ---- what is heard ------------------------------------------------------------------------------

void TurnRules::hear(const WorkerId& worker, const Ready& ready) {
  introduced_now_.insert(worker);
  slots_[worker] = ready.slots;
  const auto [known, is_new] = boots_.emplace(worker, ready.boot);
  const bool is_same = !is_new && known->second == ready.boot;
  known->second = ready.boot;
  if (is_same) back_now_.insert(worker);
  if (!is_same && !is_new) rebooted_now_.insert(worker);
  for (const InHand& item : ready.in_hand) {
    if (item.state != InHand::State::queued) started_.insert(item.token.nonce);
    Job* const job = find(item.token.job);
    if (job == nullptr || job->ended || job->worker) continue;
    if (job->state.status != JobStatus::running || job->state.nonce != item.token.nonce) continue;
    job->worker = worker;  // it kept what it had before the broker's restart
    hands_[worker].push_back(item.token.job);
  }
  if (is_same) return;
  for (auto& [id, job] : jobs_) {
    std::erase_if(job.lost_to, [&](const LostTo& lost) { return lost.worker == worker; });
  }
}

void TurnRules::hear(const WorkerId& worker, const Heartbeat& beat) {
  if (introduced_now_.contains(worker)) return;
  for (const InHand& item : beat.in_hand) {
    const Millis limit = item.stopped ? std::min(limits::kWedgedStopped, config_.wedged_after)
                                      : config_.wedged_after;
    if (item.state != InHand::State::running || item.idle < limit) continue;
    const Job* job = find(item.token.job);
    if (job == nullptr || job->ended || job->worker != worker) continue;
    if (job->state.nonce != item.token.nonce || heard_of_.contains(item.token.nonce)) continue;
    ++tally_.wedged;
    wedged_now_[item.token.nonce] = {item.token.job, job->state.losses,
                                     job->accepted.spec->job.on_wedged};
  }
}

bool TurnRules::is_wedged_now(const JobId& id) const {
  return std::any_of(wedged_now_.begin(), wedged_now_.end(),
                     [&](const auto& one) { return one.second.job == id; });
}

WorkerFactsRef TurnRules::alone_worker() const {
  for (const auto& [worker, hand] : hands_) {
    for (const JobId& id : hand) {
      if (jobs_.at(id).alone) return jobs_.at(id).state.worker;
    }
  }
  return nullptr;
}

// ---- hands --------------------------------------------------------------------------------------

void TurnRules::take_from_hand(Job& job) {
  if (job.worker) std::erase(hands_[*job.worker], job.accepted.id);
  job.worker.reset();
}

void TurnRules::apply(const PutState& record) {
  Job* const job = find(record.id);
  if (job == nullptr || job->ended) return;  // said elsewhere
  check_losses(*job, record);
  const bool is_running = record.status == JobStatus::running && !record.nonce.is_nil();
  const bool is_new = is_running && record.nonce != job->state.nonce;
  if (is_new) check_assignment(*job, record);
  if (!is_running) take_from_hand(*job);
  job->state = record;
}

void TurnRules::check_assignment(Job& job, const PutState& record) {
  const std::string name = "job " + brief(record.id);
  if (job.worker) violate(name + " is assigned while it is in hand");
  if (job.state.status == JobStatus::waiting && grid_ < record.not_before) {
    violate(name + " runs before its time by the grid's clock");
  }
  const WorkerId worker = record.worker->id;
  std::vector<JobId>& hand = hands_[worker];
  job.alone = record.losses >= limits::kLossesBeforeAlone;
  if (job.alone) {
    ++tally_.alone;
    if (!hand.empty()) violate(name + " must be alone and is given to a busy worker");
  }
  for (const JobId& id : hand) {
    const Job& other = jobs_.at(id);
    if (!other.alone || other.state.losses < limits::kLossesBeforeAlone) continue;
    violate(name + " is given to a worker where job " + brief(id) + " must be alone");
  }
  hand.push_back(record.id);
  job.worker = worker;
}

// ---- losses -------------------------------------------------------------------------------------

void TurnRules::check_losses(Job& job, const PutState& record) {
  const std::string name = "job " + brief(record.id);
  const uint32_t before = job.state.losses;
  if (record.losses == before) return;
  if (record.losses == before + 1) {
    if (record.losses >= limits::kLossesMax && !record.cancel_requested) {
      violate(name + " goes on after " + std::to_string(record.losses) + " losses");
    }
    return count_loss(job, "lost an attempt");
  }
  if (record.losses + 1 != before) {
    return violate(name + " had " + std::to_string(before) + " losses and now has " +
                   std::to_string(record.losses));
  }
  const auto it = std::find_if(job.lost_to.begin(), job.lost_to.end(), [&](const LostTo& lost) {
    return back_now_.contains(lost.worker) && now_.mono - lost.at <= Micros(limits::kLossForgiven);
  });
  if (it == job.lost_to.end()) return violate(name + " has a loss taken back without a reason");
  ++tally_.forgiven;
  job.lost_to.erase(it);
}

// A loss needs a reason: its worker fell silent or was started anew, or the attempt hangs.
void TurnRules::count_loss(Job& job, const char* what) {
  const std::string name = "job " + brief(job.accepted.id);
  ++tally_.losses;
  const auto wedged = wedged_now_.find(job.state.nonce);
  if (wedged != wedged_now_.end() && wedged->second.action == WedgedAction::retry) return;
  if (!job.worker) return violate(name + " " + what + ", but nobody had it in hand");
  const bool is_silent = lost_now_.contains(*job.worker);
  if (!is_silent && !rebooted_now_.contains(*job.worker)) {
    return violate(name + " " + what + ", but its worker is neither silent nor started anew");
  }
  if (is_silent) job.lost_to.push_back({*job.worker, boots_[*job.worker], now_.mono});
  if (started_.contains(job.state.nonce)) return;
  if (++unstarted_losses_[*job.worker] > slots_[*job.worker]) {
    violate(name + " " + what + ", which it cannot have begun");
  }
}

// The same process came back in time: its losses are taken back.
void TurnRules::check_forgiven() {
  if (back_now_.empty()) return;
  for (auto& [id, job] : jobs_) {
    if (job.lost_to.empty()) continue;
    for (const LostTo& lost : job.lost_to) {
      const Micros age = now_.mono - lost.at;
      const bool is_due = back_now_.contains(lost.worker) && age.count() > 0 &&
                          age <= Micros(limits::kLossForgiven);
      if (is_due && !job.ended) violate("job " + brief(id) + " keeps a loss that was none");
    }
    std::erase_if(job.lost_to, [&](const LostTo& lost) {
      return back_now_.contains(lost.worker) && lost.at < now_.mono;
    });
  }
}

void TurnRules::check_wedged() {
  for (const auto& [nonce, wedged] : wedged_now_) {
    const Job* job = find(wedged.job);
    if (job == nullptr || job->ended || wedged.action == WedgedAction::warn) continue;
    const std::string name = "job " + brief(wedged.job);
    if (wedged.action == WedgedAction::kill) {
      violate(name + " hangs and is not ended");
    } else if (job->state.nonce == nonce) {
      violate(name + " hangs and is not run again");
    } else if (job->state.losses != wedged.losses + 1 && back_now_.empty()) {
      violate(name + " hung and was run again, which must count as a loss");
    }
  }
}

}  // namespace zgrid::sim
