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

}  // namespace

bool MemoryStore::Kept::matches(const JobFilter& filter) const {
  const JobSpec& spec = ended ? ended->spec() : job->accepted.spec->job;
  if (spec.kind == JobKind::broadcast) return false;
  if (!filter.run.empty() && spec.run != filter.run) return false;
  const JobStatus status = ended ? ShortJob::kStatus : job->status();
  return filter.states.empty() ||
         std::find(filter.states.begin(), filter.states.end(), status) != filter.states.end();
}

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

std::deque<MemoryStore::Kept>::iterator MemoryStore::place_of(uint64_t seq) {
  const uint64_t first = jobs_.empty() ? 0 : jobs_.front().seq;
  if (seq >= first && seq - first < jobs_.size()) {
    const auto guess = jobs_.begin() + static_cast<ptrdiff_t>(seq - first);
    if (guess->seq == seq) return guess;
  }
  if (jobs_.empty() || jobs_.back().seq < seq) return jobs_.end();
  return std::lower_bound(jobs_.begin(), jobs_.end(), seq,
                          [](const Kept& kept, uint64_t wanted) { return kept.seq < wanted; });
}

MemoryStore::Kept* MemoryStore::find(uint64_t seq) {
  const auto at = place_of(seq);
  return at == jobs_.end() || at->seq != seq || at->is_purged() ? nullptr : &*at;
}

void MemoryStore::keep(const PutJob& job) {
  auto kept = std::make_unique<StoredJob>(StoredJob{job, PutState{}, std::nullopt, 0});
  kept->state.id = job.id;
  kept->state.seq = job.seq;
  auto at = place_of(job.seq);
  if (at == jobs_.end() || at->seq != job.seq) {
    at = jobs_.insert(at, Kept{job.seq, nullptr, nullptr});
  } else if (at->is_purged()) {
    --holes_;
  }
  at->job = std::move(kept);
  at->ended.reset();
}

void MemoryStore::drop(uint64_t seq) {
  const auto at = place_of(seq);
  if (at == jobs_.end() || at->seq != seq) return;
  if (!at->is_purged()) ++holes_;
  at->job.reset();
  at->ended.reset();
  for (; !jobs_.empty() && jobs_.front().is_purged(); --holes_) jobs_.pop_front();
  // One old job must not keep the places of all that ended after it.
  if (holes_ > kHolesMin && holes_ > jobs_.size() / 2) {
    std::erase_if(jobs_, [](const Kept& kept) { return kept.is_purged(); });
    holes_ = 0;
  }
}

void MemoryStore::write(const Folded& folded) {
  if (folded.job) keep(*folded.job);
  Kept* const kept = find(folded.seq);
  ZGRID_CHECK(kept != nullptr);  // the core tells of accepted jobs only
  if (!kept->job) {              // a commit is repeated when its outcome was not known
    kept->job = std::make_unique<StoredJob>(kept->whole());
    kept->ended.reset();
  }
  if (folded.state) kept->job->state = *folded.state;
  if (!folded.end) return;
  kept->job->ended = *folded.end;
  kept->ended = ShortJob::of(*kept->job, owner_);
  if (kept->ended) kept->job.reset();
}

void MemoryStore::purge(const Purge& purge) {
  for (const EndedJob& job : purge.jobs) drop(job.seq);
  Purge& kept = purged_[purge.number];
  kept = purge;
  for (EndedJob& job : kept.jobs) job.bytes = 0;
}

Result<void> MemoryStore::recover(const Recovered& into) {
  if (clock_) into.clock(*clock_);
  for (const auto& [number, purge] : purged_) into.purged(Purge(purge));
  uint64_t room = into.input_bytes_max;
  for (const Kept& kept : jobs_) {
    if (kept.is_purged()) continue;
    StoredJob copy = kept.whole();
    if (copy.ended) {
      into.ended(ended_of(copy));
      continue;
    }
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

Result<std::optional<StoredJob>> MemoryStore::read(const JobId& id, uint64_t seq) {
  const Kept* const kept = find(seq);
  if (kept == nullptr || kept->id() != id) return std::nullopt;
  return kept->whole();
}

Result<void> MemoryStore::backup(const std::string&) {
  return fail(Errc::unsupported, "the store is in memory, there is nothing to copy",
              "start the broker with --store PATH");
}

Result<std::vector<StoredJob>> MemoryStore::list(const JobFilter& filter) {
  std::vector<StoredJob> found;
  for (auto at = jobs_.rbegin(); at != jobs_.rend(); ++at) {
    if (at->is_purged() || !at->matches(filter)) continue;
    found.push_back(at->whole());
    found.back().accepted.input.data = {};
    if (found.back().ended) found.back().ended->output.data = {};
    if (found.size() == filter.limit) break;
  }
  return found;
}

}  // namespace zgrid::broker
