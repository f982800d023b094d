#include "broker/core/history.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

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

std::optional<uint32_t> History::place_of(const JobId& id) const {
  return index_.find(id, [&](uint32_t place) { return at(place).id == id; });
}

const Past* History::find(const JobId& id) const {
  const auto place = place_of(id);
  return place ? &at(*place) : nullptr;
}

void History::add(const Past& past, std::string key, std::vector<JobId> children) {
  append(past, std::move(key), std::move(children));
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
  }
  next_number_ = std::max(next_number_, purge.number + 1);
  chunks_.push_back(std::move(chunk));
  next_kept_ = end();
}

void History::sort() {
  // Purged ones stand in chunks and keep their places.
  const auto kept =
      std::find_if(pasts_.begin(), pasts_.end(), [](const Past& p) { return !p.purged; });
  std::sort(kept, pasts_.end(), [](const Past& a, const Past& b) {
    return std::tie(a.ended, a.seq) < std::tie(b.ended, b.seq);
  });
  index_.clear();
  for (size_t i = 0; i < pasts_.size(); ++i)
    index_.add(pasts_[i].id, first_ + static_cast<uint32_t>(i));
}

const std::vector<JobId>* History::children(const JobId& id) const {
  const auto it = children_.find(id);
  return it == children_.end() ? nullptr : &it->second;
}

const Past* History::oldest_kept() {
  while (next_kept_ != end() && at(next_kept_).purged) ++next_kept_;
  return next_kept_ != end() ? &at(next_kept_) : nullptr;
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
    const auto place = place_of(id);
    if (place && !this->at(*place).purged) purge_place(*place, purge, chunk);
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

void History::purge_place(uint32_t place, Purge& into, Chunk& chunk) {
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

uint32_t History::append(const Past& past, std::string key, std::vector<JobId> children) {
  pasts_.push_back(past);
  ++known_;
  if (!key.empty()) keys_[past.id] = std::move(key);
  if (!children.empty()) children_[past.id] = std::move(children);
  const uint32_t place = end() - 1;
  index_.add(past.id, place);
  return place;
}

void History::drop(uint32_t place) {
  Past& past = at(place);
  index_.erase(past.id, place);
  keys_.erase(past.id);
  children_.erase(past.id);
  past.forgotten = true;
  --known_;
}

void History::pop_forgotten() {
  while (!pasts_.empty() && pasts_.front().forgotten) {
    pasts_.pop_front();
    if (next_kept_ == first_) ++next_kept_;
    ++first_;
  }
}

}  // namespace zgrid::broker
