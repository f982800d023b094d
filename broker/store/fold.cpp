#include "broker/store/fold.h"

#include "protocol/base/check.h"

namespace zgrid::broker {

void Fold::fold(std::span<const Record> records) {
  jobs_.clear();
  drains_.clear();
  places_.clear();
  for (const Record& record : records) {
    if (const auto* job = std::get_if<PutJob>(&record)) {
      of(job->id).job = job;
    } else if (const auto* state = std::get_if<PutState>(&record)) {
      ZGRID_CHECK(!is_terminal(state->status));
      of(state->id).state = state;
    } else if (const auto* end = std::get_if<PutEnd>(&record)) {
      ZGRID_CHECK(is_terminal(end->outcome.status));
      of(end->id).end = end;
    } else if (const auto* drain = std::get_if<PutDrain>(&record)) {
      drains_.push_back(*drain);
    }
  }
}

Folded& Fold::of(const JobId& id) {
  // Records of one job mostly follow each other.
  if (!jobs_.empty() && jobs_.back().id == id) return jobs_.back();
  if (const auto place = places_.find(id)) return jobs_[*place];
  places_.set(id, jobs_.size());
  jobs_.push_back(Folded{id, nullptr, nullptr, nullptr});
  return jobs_.back();
}

}  // namespace zgrid::broker
