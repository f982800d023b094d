#include "tests/sim/oracle.h"

#include <algorithm>

#include "protocol/codec.h"
#include "tests/sim/network.h"

namespace zgrid::sim {

using namespace protocol;
using broker::PutEnd;
using broker::PutJob;
using broker::PutState;
using broker::Record;

namespace {

uint32_t bit(JobStatus status) { return 1u << static_cast<uint32_t>(status); }

bool same_end(const PutEnd& a, const PutEnd& b) {
  return a.outcome == b.outcome && a.attempt == b.attempt && a.output == b.output &&
         a.started == b.started && a.finished == b.finished;
}

}  // namespace

const Row* Oracle::find(const JobId& id) const {
  const auto it = rows_.find(id);
  return it == rows_.end() ? nullptr : &it->second;
}

std::optional<Token> Oracle::current(const JobId& id) const {
  const auto it = issued_.find(id);
  if (it == issued_.end() || it->second.ended || it->second.nonce.is_nil()) return std::nullopt;
  return Token{id, it->second.attempt, it->second.nonce};
}

// ---- records ------------------------------------------------------------------------------------

void Oracle::on_broker_start() {
  ++tally_.restarts;
  rules_.on_broker_start(rows_);
  issued_.clear();
  for (const auto& [id, row] : rows_) {
    issued_[id] = {row.state.nonce, row.state.attempt, row.end.has_value()};
  }
}

void Oracle::on_issued(std::span<const Record> records) {
  for (const Record& record : records) {
    if (const auto* job = std::get_if<PutJob>(&record)) {
      issued_[job->id] = {};
    } else if (const auto* state = std::get_if<PutState>(&record)) {
      Issued& issued = issued_[state->id];
      if (issued.ended) violate("job " + brief(state->id) + " changes after its end");
      if (state->attempt < issued.attempt) {
        violate("job " + brief(state->id) + " counts its attempts backwards");
      }
      issued.nonce = state->nonce;
      issued.attempt = state->attempt;
    } else if (const auto* end = std::get_if<PutEnd>(&record)) {
      issue(*end);
    } else if (const auto* forget = std::get_if<broker::Forget>(&record)) {
      // What was promised of these is over.
      for (const JobId& id : rules_.purged_in(forget->number)) acknowledged_.erase(id);
    }
  }
}

void Oracle::issue(const PutEnd& end) {
  Issued& issued = issued_[end.id];
  if (issued.ended) violate("job " + brief(end.id) + " ends twice");
  issued.ended = true;
  if (!is_terminal(end.outcome.status)) violate("job " + brief(end.id) + " ends without an end");
  // Simulated attempts write their nonce into their output.
  if (end.output.data.empty()) return;
  const std::string mark = issued.nonce.str();
  if (!end.output.data.view().starts_with(mark)) {
    violate("job " + brief(end.id) + " ended with the result of an attempt that is not current");
  }
}

void Oracle::on_committed(uint64_t batch, std::span<const Record> records) {
  if (!batches_.insert(batch).second) return;
  ++tally_.commits;
  for (const Record& record : records) {
    std::visit([this](const auto& r) { commit(r); }, record);
  }
  rules_.on_committed(records);
}

void Oracle::commit(const PutJob& record) {
  Row row;
  row.job = record;
  row.state.id = record.id;
  row.state.status = PutState{}.status;
  row.seen = bit(JobStatus::queued);
  ++tally_.accepted;
  if (const auto it = rows_.find(record.id); it != rows_.end() && it->second.forgotten) {
    reborn_.insert(record.id);
    rows_.erase(it);
  }
  if (!rows_.emplace(record.id, std::move(row)).second) {
    violate("job " + brief(record.id) + " is stored twice");
  }
}

void Oracle::commit(const broker::Purge& record) {
  std::vector<JobId>& ids = purges_[record.number];
  for (const broker::EndedJob& job : record.jobs) {
    ids.push_back(job.id);
    const auto it = rows_.find(job.id);
    if (it == rows_.end()) {
      violate("an unknown job is purged");
      continue;
    }
    if (!it->second.end) violate("job " + brief(job.id) + " is purged before its end");
    if (it->second.purged) violate("job " + brief(job.id) + " is purged twice");
    it->second.purged = true;
  }
}

void Oracle::commit(const broker::Forget& record) {
  for (const JobId& id : purges_[record.number]) rows_.at(id).forgotten = true;
  purges_.erase(record.number);
}

void Oracle::commit(const PutState& record) {
  const auto it = rows_.find(record.id);
  if (it == rows_.end()) return violate("the state of an unknown job is stored");
  if (it->second.end) return violate("job " + brief(record.id) + " changes after its end");
  it->second.state = record;
  it->second.seen |= bit(record.status);
  if (!record.nonce.is_nil()) committed_nonces_.insert(record.nonce);
}

void Oracle::commit(const PutEnd& record) {
  const auto it = rows_.find(record.id);
  if (it == rows_.end()) return violate("the end of an unknown job is stored");
  if (it->second.end) {
    return violate("job " + brief(record.id) + " has two ends in the store" +
                   (same_end(*it->second.end, record) ? "" : ", with different results"));
  }
  ++tally_.ended;
  it->second.end = record;
  it->second.seen |= bit(record.outcome.status);
}

// ---- what leaves the broker -----------------------------------------------------------------

void Oracle::on_broker_sends(uint64_t link, const Message& message) {
  std::visit([this, link](const auto& m) { check(link, m); }, message);
}

void Oracle::must_be_seen(const char* where, const JobId& id, JobStatus status) {
  const Row* row = find(id);
  if (row == nullptr) {
    return violate(std::string(where) + " reveals job " + brief(id) + ", which is not committed");
  }
  if ((row->seen & bit(status)) == 0) {
    violate(std::string(where) + " says that job " + brief(id) + " is " +
            std::string(status_name(status)) + ", which was never committed");
  }
}

void Oracle::check(uint64_t link, const SubmitAck& ack) {
  const auto it = submits_.find({link, ack.request});
  if (it == submits_.end()) return violate("a submit is acknowledged that was never sent");
  std::vector<JobId> accepted = it->second;
  for (const SubmitAck::Item& item : ack.items) {
    if (item.entry >= accepted.size()) return violate("an acknowledgement names no entry");
    accepted[item.entry] = item.error ? JobId{} : item.job;
    if (item.error) continue;
    must_be_seen("SUBMIT_ACK", item.job, item.status);
    for (const JobId& child : item.children) accepted.push_back(child);
  }
  for (const JobId& id : accepted) {
    if (id.is_nil()) continue;
    if (find(id) == nullptr) {
      return violate("job " + brief(id) + " is acknowledged and not committed");
    }
    acknowledged_.insert(id);
  }
}

void Oracle::check(uint64_t, const WatchAck& ack) {
  for (const auto& item : ack.items) {
    if (item.known) {
      must_be_seen("WATCH_ACK", item.job, item.status);
    } else if (const Row* row = find(item.job);
               acknowledged_.contains(item.job) && (row == nullptr || !row->forgotten)) {
      violate("job " + brief(item.job) + " was acknowledged and is not known");
    }
  }
}

void Oracle::check(uint64_t, const CancelAck& ack) {
  for (const auto& item : ack.items) {
    if (item.known) must_be_seen("CANCEL_ACK", item.job, item.status);
  }
}

void Oracle::check(uint64_t, const Results& results) {
  for (const ResultEntry& entry : results.items) {
    const Row* row = find(entry.job);
    if (reborn_.contains(entry.job)) continue;  // it may be the former one's
    if (entry.purged) {
      check_purged(entry);
    } else if (row == nullptr || !row->end) {
      violate("the result of job " + brief(entry.job) + " leaves before it is committed");
    } else if (entry.attempt != row->end->attempt || !(entry.outcome == row->end->outcome) ||
               !(entry.output == row->end->output) || entry.finished != row->end->finished) {
      violate("the result of job " + brief(entry.job) + " is not the one that is committed");
    }
  }
}

// The result is gone, but what is told of the job must be true.
void Oracle::check_purged(const ResultEntry& entry) {
  const Row* row = find(entry.job);
  if (row == nullptr || !row->purged) {
    violate("job " + brief(entry.job) + " is said to be purged and is not");
  } else if (entry.attempt != row->end->attempt || entry.outcome.status != row->status()) {
    violate("job " + brief(entry.job) + " is purged, and not told as it ended");
  }
}

void Oracle::check(uint64_t, const Answer& answer) {
  for (const JobSummary& job : answer.jobs) must_be_seen("ANSWER", job.job, job.status);
}

void Oracle::check(uint64_t, const RetryAck& ack) {
  for (const RetryAck::Item& item : ack.items) {
    if (item.error) continue;
    if (find(item.new_id) == nullptr) {
      violate("job " + brief(item.new_id) + " is acknowledged and not committed");
    }
    acknowledged_.insert(item.new_id);
  }
}

void Oracle::on_called_back(uint64_t link, const Token& token) {
  if (!assigned_.contains({link, token.nonce})) called_back_.insert({link, token.nonce});
}
void Oracle::check(uint64_t link, const Abort& abort) {
  for (const Abort::Item& item : abort.items) on_called_back(link, item.token);
}
void Oracle::check(uint64_t link, const Recall& recall) {
  for (const Token& token : recall.items) on_called_back(link, token);
}

void Oracle::check(uint64_t link, const Request& request) {
  for (const Assignment& item : request.items) {
    assigned_.insert({link, item.token.nonce});
    if (called_back_.contains({link, item.token.nonce})) {
      violate("attempt " + brief(item.token) + " is called back before it is assigned");
    }
    const broker::PutJob* job = rules_.accepted(item.token.job);
    const bool is_known = job != nullptr && item.spec < request.specs.size();
    if (!is_known || !(item.input == job->input) || item.index != job->index ||
        !(request.specs[item.spec]->job == job->spec->job)) {
      violate("attempt " + brief(item.token) + " is not given what was submitted");
    }
    if (committed_nonces_.contains(item.token.nonce)) continue;
    if (item.token.attempt != 1 || acknowledged_.contains(item.token.job)) {
      violate("attempt " + brief(item.token) + " is assigned before its commit");
    }
  }
}

void Oracle::check(uint64_t link, const FinalAck& ack) {
  const auto it = finals_.find({link, ack.batch});
  if (it == finals_.end()) return violate("results are acknowledged that were never sent");
  for (const Token& token : it->second) {
    const Row* row = find(token.job);
    if (row != nullptr && !row->end && row->state.status == JobStatus::running &&
        row->state.nonce == token.nonce) {
      violate("the result of " + brief(token) + " is acknowledged before its commit");
    }
  }
  tally_.stale += ack.refused.size();
}

void Oracle::check(uint64_t, const Events& events) {
  for (const Events::Item& item : events.items) {
    if (item.event.kind != EventKind::status) continue;
    if (const auto status = parse_status(item.event.name)) {
      must_be_seen("an event", item.job, *status);
    }
  }
}

void Oracle::on_leases_ended(size_t ended, size_t silent) {
  if (ended > silent) {
    violate(std::to_string(ended) + " workers were declared lost, but only " +
            std::to_string(silent) + " had been silent");
  }
}

// ---- peers ----------------------------------------------------------------------------------

void Oracle::on_submit_sent(uint64_t link, const Submit& submit) {
  auto& ids = submits_[{link, submit.request}];
  ids.clear();
  for (const JobEntry& entry : submit.jobs) ids.push_back(entry.id);
}

void Oracle::on_final_sent(uint64_t link, const Final& final) {
  auto& tokens = finals_[{link, final.batch}];
  for (const FinalEntry& entry : final.items) tokens.push_back(entry.token);
}

void Oracle::on_attempt_started(const std::string& worker, const Token& token) {
  ++tally_.attempts;
  auto [it, is_new] = attempts_.try_emplace(token.nonce);
  if (is_new) {
    it->second.token = token;
    it->second.worker = worker;
    attempts_of_[token.job].push_back(token.nonce);
  } else if (it->second.worker != worker) {
    violate("attempt " + brief(token) + " runs on " + it->second.worker + " and on " + worker);
  }
  if (!no_second_run_) return;
  for (const Nonce& nonce : attempts_of_[token.job]) {
    const Attempt& earlier = attempts_[nonce];
    // One that was never committed belongs to a job that nobody had been promised.
    if (nonce == token.nonce || !committed_nonces_.contains(nonce)) continue;
    if (earlier.ended && earlier.again) continue;
    violate("a restart of the broker made " + brief(token) + " run though " + brief(earlier.token) +
            " ran");
  }
}

void Oracle::on_attempt_ended(const std::string&, const Token& token, bool again) {
  Attempt& attempt = attempts_[token.nonce];
  attempt.ended = true;
  attempt.again = again;
}

void Oracle::on_attempt_disowned(const Token& token) {
  const auto it = attempts_.find(token.nonce);
  if (it != attempts_.end()) it->second.disowned = true;
}

void Oracle::on_worker_died(const std::string& worker) {
  for (auto& [nonce, attempt] : attempts_) {
    if (attempt.worker == worker) attempt.died = true;
  }
}

void Oracle::on_ready_sent(const std::string& worker, const Ready& ready) {
  std::set<Nonce> held;
  for (const InHand& item : ready.in_hand) held.insert(item.token.nonce);
  for (const auto& [id, row] : rows_) {
    if (row.end || row.state.status != JobStatus::running) continue;
    const auto it = attempts_.find(row.state.nonce);
    if (it == attempts_.end() || it->second.worker != worker) continue;
    const Attempt& attempt = it->second;
    if (attempt.disowned || attempt.died || held.contains(row.state.nonce)) continue;
    violate(worker + " has forgotten " + brief(attempt.token) + ", whose result is not committed");
  }
}

void Oracle::on_result_received(const std::string& client, const Results& results) {
  for (const ResultEntry& entry : results.items) {
    if (entry.purged || reborn_.contains(entry.job)) continue;
    Results one;
    one.items.push_back(entry);
    one.items.back().worker = kNoWorker;
    one.items.back().head = 0;
    one.heads.emplace_back();
    std::string bytes;
    for (const Bytes& frame : encode(Message(std::move(one)))) bytes += frame.view();
    const auto [it, is_first] = results_.emplace(entry.job, bytes);
    if (!is_first && it->second != bytes) {
      violate(client + " got two different results of job " + brief(entry.job));
    }
  }
}

// ---- the end --------------------------------------------------------------------------------

void Oracle::check_end(broker::JobStore& store) {
  for (const JobId& id : acknowledged_) {
    if (!rows_.contains(id)) violate("job " + brief(id) + " was acknowledged and is lost");
  }
  for (const auto& [id, row] : rows_) {
    if (!row.end) {
      violate("job " + brief(id) + " never ended: it is " + std::string(status_name(row.status())));
      return;
    }
    const auto stored = store.read(id, row.job.seq);
    if (row.purged) {
      if (stored && *stored) violate("the store still holds the purged job " + brief(id));
      continue;
    }
    if (!stored || !*stored || !(*stored)->ended || !same_end(*(*stored)->ended, *row.end)) {
      violate("the store does not hold the end of job " + brief(id));
    }
  }
}

std::vector<uint64_t> Oracle::expected_counts() const {
  std::vector<uint64_t> expected(kJobStatusCount);
  for (const auto& [id, row] : rows_) {
    if (!row.forgotten) ++expected[static_cast<size_t>(row.status())];
  }
  return expected;
}

void Oracle::check_counts(const std::vector<uint64_t>& by_status) {
  const std::vector<uint64_t> expected = expected_counts();
  if (by_status == expected) return;
  std::string text = "the broker counts";
  for (size_t i = 0; i < kJobStatusCount; ++i) {
    const uint64_t counted = i < by_status.size() ? by_status[i] : 0;
    if (counted == expected[i]) continue;
    text += " " + std::to_string(counted) + " " +
            std::string(status_name(static_cast<JobStatus>(i))) + " of " +
            std::to_string(expected[i]);
  }
  violate(text);
}

}  // namespace zgrid::sim
