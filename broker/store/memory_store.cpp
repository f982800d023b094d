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
  for (const Folded& folded : fold_.jobs()) write(folded);
  for (const PutDrain& drain : fold_.drains()) {
    if (drain.draining) {
      draining_.insert(drain.worker);
    } else {
      draining_.erase(drain.worker);
    }
  }
  return {};
}

void MemoryStore::write(const Folded& folded) {
  if (folded.job) {
    ZGRID_CHECK(folded.job->seq > 0);
    auto at = jobs_.emplace_hint(jobs_.end(), folded.job->seq, StoredJob{});
    at->second = StoredJob{*folded.job, PutState{}, std::nullopt};
    at->second.state.id = folded.id;
    seqs_.set(folded.id, folded.job->seq);
  }
  const auto seq = seqs_.find(folded.id);
  ZGRID_CHECK(seq);
  StoredJob& job = jobs_.at(*seq);
  if (folded.state) job.state = *folded.state;
  if (folded.end) job.ended = *folded.end;
}

Result<void> MemoryStore::recover(const Recovered& into) {
  for (const auto& [seq, job] : jobs_) {
    if (job.ended) {
      into.ended(ended_of(job));
    } else {
      into.unfinished(StoredJob(job));
    }
  }
  for (const WorkerId& worker : draining_) into.drain(PutDrain{worker, true});
  return {};
}

Result<std::optional<StoredJob>> MemoryStore::read(const JobId& id) {
  const auto seq = seqs_.find(id);
  if (!seq) return std::nullopt;
  return jobs_.at(*seq);
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
