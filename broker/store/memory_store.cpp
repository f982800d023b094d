#include "broker/store/memory_store.h"

#include <sodium.h>

#include <algorithm>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

EndedJob ended_of(const StoredJob& job) {
  EndedJob ended;
  ended.id = job.accepted.id;
  ended.seq = job.accepted.seq;
  ended.body = job.accepted.body;
  ended.status = job.status();
  ended.attempt = job.ended->attempt;
  ended.ended = job.ended->ended;
  ended.bytes = stored_bytes(job.accepted.input.data.size(), job.ended->output.data.size());
  ended.key = job.accepted.key;
  ended.owner = job.accepted.owner;
  ended.children = job.accepted.children;
  return ended;
}

bool matches(const StoredJob& job, const JobFilter& filter) {
  const JobSpec& spec = job.accepted.spec->job;
  if (spec.kind == JobKind::broadcast) return false;
  if (!filter.run.empty() && spec.run != filter.run) return false;
  return filter.states.empty() ||
         std::find(filter.states.begin(), filter.states.end(), job.status()) != filter.states.end();
}

}  // namespace

MemoryStore::MemoryStore() {
  randombytes_buf(info_.id.bytes.data(), info_.id.bytes.size());
  info_.epoch = 1;
  info_.durable = false;
  info_.description = "memory: nothing survives a restart";
}

CommitResult MemoryStore::commit(std::span<const Record> records) {
  fold_.fold(records);
  for (const Folded& folded : fold_.jobs()) {
    if (!folded.purged) write(folded);
  }
  for (const Purge* each : fold_.purges()) purge(*each);
  for (const uint64_t number : fold_.forgotten()) purged_.erase(number);
  for (const PutDrain* drain : fold_.drains()) {
    if (drain->draining) {
      draining_[drain->worker] = drain->name;
    } else {
      draining_.erase(drain->worker);
    }
  }
  if (fold_.clock()) clock_ = fold_.clock();
  return {};
}

void MemoryStore::write(const Folded& folded) {
  if (folded.job) {
    ZGRID_CHECK(folded.job->seq > 0);
    auto at = jobs_.emplace_hint(jobs_.end(), folded.job->seq, StoredJob{});
    at->second = StoredJob{*folded.job, PutState{}, std::nullopt, 0};
    at->second.state.id = folded.id;
    seqs_.set(folded.id, folded.job->seq);
  }
  const auto seq = seqs_.find(folded.id);
  ZGRID_CHECK(seq);
  StoredJob& job = jobs_.at(*seq);
  if (folded.state) job.state = *folded.state;
  if (folded.end) job.ended = *folded.end;
}

void MemoryStore::purge(const Purge& purge) {
  for (const EndedJob& job : purge.jobs) {
    jobs_.erase(job.seq);
    // The id may be another job's by now.
    if (seqs_.find(job.id) == job.seq) seqs_.erase(job.id);
  }
  Purge& kept = purged_[purge.number];
  kept = purge;
  for (EndedJob& job : kept.jobs) job.bytes = 0;
}

Result<void> MemoryStore::recover(const Recovered& into) {
  if (clock_) into.clock(*clock_);
  for (const auto& [number, purge] : purged_) into.purged(Purge(purge));
  uint64_t room = into.input_bytes_max;
  for (const auto& [seq, job] : jobs_) {
    if (job.ended) {
      into.ended(ended_of(job));
      continue;
    }
    StoredJob copy(job);
    const uint64_t size = copy.accepted.input.data.size();
    if (size > room) {
      copy.input_left_out = size;
      copy.accepted.input.data = {};
    }
    room -= std::min(size, room);
    into.unfinished(std::move(copy));
  }
  for (const auto& [worker, name] : draining_) into.drain(PutDrain{worker, name, true});
  return {};
}

Result<std::optional<StoredJob>> MemoryStore::read(const JobId& id) {
  const auto seq = seqs_.find(id);
  if (!seq) return std::nullopt;
  return jobs_.at(*seq);
}

Result<void> MemoryStore::backup(const std::string&) {
  return fail(Errc::unsupported, "the store is in memory, there is nothing to copy",
              "start the broker with --store PATH");
}

Result<std::vector<StoredJob>> MemoryStore::list(const JobFilter& filter) {
  std::vector<StoredJob> found;
  for (auto at = jobs_.rbegin(); at != jobs_.rend(); ++at) {
    if (!matches(at->second, filter)) continue;
    found.push_back(at->second);
    found.back().accepted.input.data = {};
    if (found.back().ended) found.back().ended->output.data = {};
    if (found.size() == filter.limit) break;
  }
  return found;
}

}  // namespace zgrid::broker
