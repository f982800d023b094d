#include "broker/core/history.h"

#include <algorithm>
#include <cstring>

#include "broker/core/job_table.h"
#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

constexpr size_t kSlotsMin = 1024;
const std::string kNoKey;

EndedJob ended_job(const Past& past) {
  EndedJob job;
  job.id = past.id;
  job.seq = past.seq;
  job.body = past.body;
  job.status = past.status;
  job.attempt = past.attempt;
  job.ended = past.ended;
  return job;
}

}  // namespace

const Past* History::find(const JobId& id) const {
  if (slots_.empty()) return nullptr;
  const size_t slot = slot_of(id);
  return tags_[slot] == 0 ? nullptr : &at(slots_[slot] - 1);
}

void History::add(const Past& past, std::string key, std::vector<JobId> children) {
  index(append(past, std::move(key), std::move(children)));
  ++kept_;
  kept_bytes_ += past.bytes;
}

void History::restore(Purge&& purge) {
  Chunk chunk{purge.number, purge.at, {}};
  for (EndedJob& job : purge.jobs) {
    Past past;
    past.id = job.id;
    past.seq = job.seq;
    past.body = job.body;
    past.status = job.status;
    past.attempt = job.attempt;
    past.ended = job.ended;
    past.purged = true;
    chunk.places.push_back(append(past, std::move(job.key), std::move(job.children)));
    index(chunk.places.back());
  }
  next_number_ = std::max(next_number_, purge.number + 1);
  chunks_.push_back(std::move(chunk));
  next_kept_ = first_ + pasts_.size();
}

void History::sort() {
  // Purged ones stand in chunks and keep their places.
  const auto kept =
      std::find_if(pasts_.begin(), pasts_.end(), [](const Past& p) { return !p.purged; });
  std::sort(kept, pasts_.end(), [](const Past& a, const Past& b) {
    return std::tie(a.ended, a.seq) < std::tie(b.ended, b.seq);
  });
  std::fill(slots_.begin(), slots_.end(), 0);
  std::fill(tags_.begin(), tags_.end(), uint8_t{0});
  for (size_t i = 0; i < pasts_.size(); ++i) index(first_ + i);
}

const std::vector<JobId>* History::children(const JobId& id) const {
  const auto it = children_.find(id);
  return it == children_.end() ? nullptr : &it->second;
}

const Past* History::oldest_kept() {
  const uint64_t end = first_ + pasts_.size();
  next_kept_ = std::max(next_kept_, first_);
  while (next_kept_ < end && at(next_kept_).purged) ++next_kept_;
  return next_kept_ < end ? &at(next_kept_) : nullptr;
}

Purge History::purge_oldest(GridTime at) {
  Chunk chunk;
  Purge purge = open_purge(at, chunk);
  chunks_.push_back(std::move(chunk));
  purge_more(purge);
  return purge;
}

void History::purge_more(Purge& purge) {
  ZGRID_CHECK(!chunks_.empty() && chunks_.back().number == purge.number);
  if (oldest_kept() != nullptr) purge_place(next_kept_, purge, chunks_.back());
}

Purge History::purge(const std::vector<JobId>& ids, GridTime at) {
  Chunk chunk;
  Purge purge = open_purge(at, chunk);
  for (const JobId& id : ids) {
    const uint64_t slot = slots_.empty() ? 0 : slots_[slot_of(id)];
    if (slot != 0 && !this->at(slot - 1).purged) purge_place(slot - 1, purge, chunk);
  }
  if (!purge.jobs.empty()) chunks_.push_back(std::move(chunk));
  return purge;
}

std::optional<GridTime> History::oldest_purge() const {
  if (chunks_.empty()) return std::nullopt;
  return chunks_.front().at;
}

Purge History::open_purge(GridTime at, Chunk& chunk) {
  chunk.number = next_number_++;
  chunk.at = at;
  Purge purge;
  purge.number = chunk.number;
  purge.at = at;
  return purge;
}

void History::purge_place(uint64_t place, Purge& into, Chunk& chunk) {
  Past& past = at(place);
  EndedJob job = ended_job(past);
  job.key = key_of(past.id);
  if (const auto* list = children(past.id)) job.children = *list;
  into.jobs.push_back(std::move(job));
  chunk.places.push_back(place);
  --kept_;
  kept_bytes_ -= past.bytes;
  past.bytes = 0;
  past.purged = true;
}

const std::string& History::key_of(const JobId& id) const {
  const auto it = keys_.find(id);
  return it == keys_.end() ? kNoKey : it->second;
}

uint64_t History::append(const Past& past, std::string key, std::vector<JobId> children) {
  pasts_.push_back(past);
  ++known_;
  if (!key.empty()) keys_[past.id] = std::move(key);
  if (!children.empty()) children_[past.id] = std::move(children);
  return first_ + pasts_.size() - 1;
}

void History::drop(uint64_t place) {
  Past& past = at(place);
  unindex(past.id);
  keys_.erase(past.id);
  children_.erase(past.id);
  past.forgotten = true;
  --known_;
}

void History::pop_forgotten() {
  while (!pasts_.empty() && pasts_.front().forgotten) {
    pasts_.pop_front();
    ++first_;
  }
}

// ---- places by id ---------------------------------------------------------------------

namespace {

uint64_t hash_of(const JobId& id) { return IdTailHash{}(id); }
uint8_t tag_of(uint64_t hash) { return static_cast<uint8_t>(hash >> 56) | 1; }

}  // namespace

size_t History::home(const JobId& id) const {
  return static_cast<size_t>(hash_of(id)) & (slots_.size() - 1);
}

void History::prefetch(const JobId& id) const {
  if (slots_.empty()) return;
  const size_t slot = home(id);
  __builtin_prefetch(&tags_[slot]);
  __builtin_prefetch(&slots_[slot]);
}

size_t History::slot_of(const JobId& id) const {
  const uint64_t hash = hash_of(id);
  const uint8_t tag = tag_of(hash);
  const size_t mask = slots_.size() - 1;
  size_t slot = static_cast<size_t>(hash) & mask;
  while (tags_[slot] != 0 && (tags_[slot] != tag || at(slots_[slot] - 1).id != id)) {
    slot = (slot + 1) & mask;
  }
  return slot;
}

void History::index(uint64_t place) {
  if (slots_.size() < 2 * (known_ + 1)) return grow();
  put_into(slot_of(at(place).id), place);
}

void History::put_into(size_t slot, uint64_t place) {
  slots_[slot] = place + 1;
  tags_[slot] = tag_of(hash_of(at(place).id));
}

void History::grow() {
  size_t size = kSlotsMin;
  while (size < 4 * (known_ + 1)) size *= 2;
  slots_.assign(size, 0);
  tags_.assign(size, 0);
  for (size_t i = 0; i < pasts_.size(); ++i) {
    if (!pasts_[i].forgotten) put_into(slot_of(pasts_[i].id), first_ + i);
  }
}

void History::unindex(const JobId& id) {
  const size_t mask = slots_.size() - 1;
  size_t hole = slot_of(id);
  if (tags_[hole] == 0) return;
  // What stands behind it moves up, as far as its own home allows.
  for (size_t slot = (hole + 1) & mask; tags_[slot] != 0; slot = (slot + 1) & mask) {
    const size_t wanted = home(at(slots_[slot] - 1).id);
    if (((slot - wanted) & mask) >= ((slot - hole) & mask)) {
      slots_[hole] = slots_[slot];
      tags_[hole] = tags_[slot];
      hole = slot;
    }
  }
  slots_[hole] = 0;
  tags_[hole] = 0;
}

}  // namespace zgrid::broker
