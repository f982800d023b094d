#include "tests/sim/turn_rules.h"

#include <algorithm>

#include "tests/sim/network.h"
#include "tests/sim/oracle.h"

namespace zgrid::sim {

using namespace protocol;
using broker::PutEnd;
using broker::PutJob;
using broker::Record;

void TurnRules::Tally::add(const Tally& other) {
  losses += other.losses;
  forgiven += other.forgiven;
  alone += other.alone;
  dead += other.dead;
  wedged += other.wedged;
  purged += other.purged;
  forgotten += other.forgotten;
  deadlines += other.deadlines;
  retries += other.retries;
}

// ---- a broker's life ----------------------------------------------------------------------------

void TurnRules::on_broker_start(const std::map<JobId, Row>& rows) {
  jobs_.clear();
  hands_.clear();
  keys_.clear();
  boots_.clear();
  deadlines_.clear();
  started_at_.reset();
  purges_ = committed_purges_;
  kept_ = kept_bytes_ = 0;
  kept_ends_.clear();
  for (const auto& [id, row] : rows) {
    if (row.forgotten) continue;
    Job& job = jobs_[id];
    job.accepted = row.job;
    job.state = row.state;
    job.purged = row.purged;
    job.alone = row.state.losses >= limits::kLossesBeforeAlone;
    if (row.end) {
      job.ended = row.end->ended;
      job.bytes = broker::stored_bytes(row.job.input.data.size(), row.end->output.data.size());
      if (!row.purged) {
        kept_ends_.insert(*job.ended);
        ++kept_;
        kept_bytes_ += job.bytes;
      }
    } else if (row.job.spec->job.deadline.count() > 0) {
      deadlines_.insert({deadline_of(job), id});
    }
    if (row.job.key.empty()) continue;
    const auto [it, is_new] = keys_.emplace(row.job.key, id);
    if (!is_new && jobs_.at(it->second).accepted.seq < row.job.seq) it->second = id;
  }
}

void TurnRules::on_committed(std::span<const Record> records) {
  for (const Record& record : records) {
    if (const auto* clock = std::get_if<broker::PutClock>(&record)) clock_ = *clock;
    if (const auto* forget = std::get_if<broker::Forget>(&record)) {
      committed_purges_.erase(forget->number);
    }
    if (const auto* purge = std::get_if<broker::Purge>(&record)) {
      Purged& purged = committed_purges_[purge->number];
      purged.at = purge->at;
      for (const broker::EndedJob& job : purge->jobs) purged.jobs.push_back(job.id);
    }
  }
}

// The grid's clock: where it stood when it was stored last, the absence up to a day, and then as
// the monotonic clock goes.
void TurnRules::begin(Now now) {
  now_ = now;
  if (started_at_) {
    grid_ = grid_at_start_ + (now.mono - *started_at_);
    return;
  }
  started_at_ = now.mono;
  grid_at_start_ = GridTime{now.wall.us};
  if (clock_) {
    const Micros day{24LL * 3600 * 1'000'000};
    grid_at_start_ = clock_->grid + std::clamp(now.wall - clock_->wall, Micros{0}, day);
  }
  if (grid_at_start_ < grid_) went_back_ = true;
  grid_ = grid_at_start_;
}

void TurnRules::hear(const WorkerId& worker, bool is_current, const Message& message) {
  if (const auto* ready = std::get_if<Ready>(&message)) return hear(worker, *ready);
  if (const auto* purge = std::get_if<Purge>(&message)) {
    purge_now_.insert(purge->jobs.begin(), purge->jobs.end());
  } else if (const auto* retry = std::get_if<Retry>(&message)) {
    for (const Retry::Item& item : retry->items) retries_.insert({item.job, item.new_id});
  } else if (const auto* final = std::get_if<Final>(&message)) {
    for (const FinalEntry& entry : final->items) heard_of_.insert(entry.token.nonce);
  } else if (const auto* released = std::get_if<Released>(&message)) {
    for (const Token& token : released->items) heard_of_.insert(token.nonce);
  } else if (const auto* started = std::get_if<Started>(&message)) {
    for (const Token& token : started->items) started_.insert(token.nonce);
  } else if (const auto* beat = std::get_if<Heartbeat>(&message)) {
    for (const InHand& item : beat->in_hand) started_.insert(item.token.nonce);
    if (is_current) hear(worker, *beat);
  }
}

std::vector<JobId> TurnRules::purged_in(uint64_t number) const {
  const auto it = purges_.find(number);
  return it == purges_.end() ? std::vector<JobId>() : it->second.jobs;
}

void TurnRules::end(const broker::Effects& effects, bool is_last) {
  for (const Record& record : effects.records) {
    std::visit([this](const auto& one) { apply(one); }, record);
  }
  if (!is_last) check_deadlines(effects);
  check_wedged();
  check_forgiven();
  lost_now_.clear();
  rebooted_now_.clear();
  back_now_.clear();
  introduced_now_.clear();
  unstarted_losses_.clear();
  wedged_now_.clear();
  heard_of_.clear();
  purge_now_.clear();
}

// ---- the beginning and the end of a job ---------------------------------------------------------

TurnRules::Job* TurnRules::find(const JobId& id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second;
}

const PutJob* TurnRules::accepted(const JobId& id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? nullptr : &it->second.accepted;
}

GridTime TurnRules::deadline_of(const Job& job) const {
  return job.accepted.accepted + Micros(job.accepted.spec->job.deadline);
}

void TurnRules::apply(const PutJob& record) {
  const std::string name = "job " + brief(record.id);
  if (jobs_.contains(record.id)) return violate(name + " was accepted twice");
  if (record.accepted != grid_) violate(name + " was not accepted at the grid clock's now");
  check_key(record);
  if (!record.retry_of.is_nil()) check_retry(record);
  Job& job = jobs_[record.id];
  job.accepted = record;
  if (!record.key.empty()) keys_[record.key] = record.id;
  if (record.spec->job.deadline.count() > 0) deadlines_.insert({deadline_of(job), record.id});
}

void TurnRules::check_key(const PutJob& record) {
  if (record.key.empty() || !record.retry_of.is_nil()) return;
  const auto it = keys_.find(record.key);
  if (it != keys_.end() && jobs_.contains(it->second)) {
    violate("job " + brief(record.id) + " was accepted though its key belongs to job " +
            brief(it->second) + ", which is remembered");
  }
}

void TurnRules::check_retry(const PutJob& record) {
  const std::string name = "job " + brief(record.id);
  ++tally_.retries;
  if (!retries_.contains({record.retry_of, record.id})) {
    return violate(name + " runs a job again that nobody asked for");
  }
  const Job* old = find(record.retry_of);
  if (old == nullptr || !old->ended) {
    return violate(name + " runs a job again that is not known to have ended");
  }
  const PutJob& first = old->accepted;
  if (record.spec->raw != first.spec->raw || !(record.input == first.input) ||
      record.index != first.index || record.key != first.key || !(record.body == first.body)) {
    violate(name + " is not like job " + brief(record.retry_of) + ", which it runs again");
  }
}

void TurnRules::apply(const PutEnd& record) {
  Job* const job = find(record.id);
  if (job == nullptr) return;  // said elsewhere
  const std::string name = "job " + brief(record.id);
  if (record.ended != grid_) violate(name + " did not end at the grid clock's now");
  const bool is_group = !job->accepted.children.empty();  // it ends as the worst of them did
  if (record.outcome.status == JobStatus::dead_letter && !is_group) {
    ++tally_.dead;
    if (job->state.losses + 1 != limits::kLossesMax) {
      violate(name + " is a dead letter after " + std::to_string(job->state.losses) + " losses");
    }
    count_loss(*job, "became a dead letter");
  }
  const bool by_deadline = record.outcome.status == JobStatus::timed_out && record.outcome.error &&
                           record.outcome.error->message.starts_with("its deadline passed");
  if (by_deadline) {
    ++tally_.deadlines;
    if (grid_ < deadline_of(*job)) violate(name + " ends by its deadline before the grid's clock");
  }
  take_from_hand(*job);
  job->ended = record.ended;
  kept_ends_.insert(record.ended);
  job->bytes = broker::stored_bytes(job->accepted.input.data.size(), record.output.data.size());
  ++kept_;
  kept_bytes_ += job->bytes;
}

void TurnRules::check_deadlines(const broker::Effects& effects) {
  std::set<Nonce> ended;
  for (const broker::Send& send : effects.sends) {
    const auto* abort = std::get_if<Abort>(&send.message);
    if (abort == nullptr) continue;
    for (const Abort::Item& item : abort->items) {
      if (item.reason != Abort::Reason::deadline) continue;
      ended.insert(item.token.nonce);
      const Job* job = find(item.token.job);
      if (job != nullptr && grid_ < deadline_of(*job)) {
        violate(brief(item.token) + " is ended by its deadline before the grid's clock");
      }
    }
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= grid_) {
    const JobId id = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    const Job* job = find(id);
    if (job == nullptr || job->ended || !job->accepted.children.empty()) continue;
    if (deadline_of(*job) > grid_) continue;  // a former job's of the same id
    if (!ended.contains(job->state.nonce)) violate("job " + brief(id) + " outlives its deadline");
  }
}

// ---- retention ----------------------------------------------------------------------------------

void TurnRules::apply(const broker::Purge& record) {
  if (record.at != grid_) violate("a purge is not of the grid clock's now");
  if (purges_.contains(record.number)) violate("two purges have one number");
  Purged& purged = purges_[record.number];
  purged.at = record.at;
  for (const broker::EndedJob& one : record.jobs) {
    const std::string name = "job " + brief(one.id);
    Job* const job = find(one.id);
    if (job == nullptr || !job->ended || job->purged) {
      violate(name + " is purged, but it has not ended or is purged already");
      continue;
    }
    ++tally_.purged;
    const bool is_due = kept_ > config_.retention_jobs || kept_bytes_ > config_.retention_bytes ||
                        *job->ended + Micros(config_.retention) <= grid_;
    if (!purge_now_.contains(one.id)) {
      if (!is_due) violate(name + " is purged too early");
      check_order(*job);
    }
    job->purged = true;
    if (const auto end = kept_ends_.find(*job->ended); end != kept_ends_.end()) {
      kept_ends_.erase(end);
    }
    --kept_;
    kept_bytes_ -= job->bytes;
    purged.jobs.push_back(one.id);
  }
}

// The oldest goes first.
void TurnRules::check_order(const Job& job) {
  if (went_back_) return;
  if (!kept_ends_.empty() && *kept_ends_.begin() < *job.ended) {
    violate("job " + brief(job.accepted.id) + " is purged before an older one");
  }
}

void TurnRules::apply(const broker::Forget& record) {
  const auto it = purges_.find(record.number);
  if (it == purges_.end()) return violate("what was never purged is forgotten");
  if (it->second.at + Micros(config_.retention_ids) > grid_) {
    violate("the ids of purged jobs are forgotten too early");
  }
  for (const JobId& id : it->second.jobs) {
    ++tally_.forgotten;
    const auto key = keys_.find(jobs_.at(id).accepted.key);
    if (key != keys_.end() && key->second == id) keys_.erase(key);
    jobs_.erase(id);
  }
  purges_.erase(it);
}

void TurnRules::apply(const broker::PutClock& record) {
  if (record.grid != grid_) violate("the clock that is stored is not the grid clock's now");
  if (record.wall != now_.wall) violate("the clock is stored with another wall clock's time");
}

}  // namespace zgrid::sim
