#include "broker/store/fold.h"

#include "protocol/base/check.h"

namespace zgrid::broker {

void Fold::fold(std::span<const Record> records) {
  jobs_.clear();
  purges_.clear();
  forgotten_.clear();
  drains_.clear();
  clock_.reset();
  places_.clear();
  for (const Record& record : records) {
    std::visit([&](const auto& each) { on(each); }, record);
  }
}

void Fold::on(const PutState& state) {
  ZGRID_CHECK(!is_terminal(state.status));
  of(state.id).state = &state;
}

void Fold::on(const PutEnd& end) {
  ZGRID_CHECK(is_terminal(end.outcome.status));
  of(end.id).end = &end;
}

void Fold::on(const Purge& purge) {
  purges_.push_back(&purge);
  for (const EndedJob& job : purge.jobs) {
    const auto place = places_.find(job.id);
    if (!place) continue;
    jobs_[*place].purged = true;
    places_.erase(job.id);
  }
}

Folded& Fold::of(const JobId& id) {
  // Records of one job mostly follow each other.
  if (!jobs_.empty() && jobs_.back().id == id && !jobs_.back().purged) return jobs_.back();
  if (const auto place = places_.find(id)) return jobs_[*place];
  places_.set(id, jobs_.size());
  jobs_.push_back(Folded{id, nullptr, nullptr, nullptr, false});
  return jobs_.back();
}

}  // namespace zgrid::broker
