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
  of(state.seq).state = &state;
}

void Fold::on(const PutEnd& end) {
  ZGRID_CHECK(is_terminal(end.outcome.status));
  of(end.seq).end = &end;
}

void Fold::on(const Purge& purge) {
  purges_.push_back(&purge);
  for (const EndedJob& job : purge.jobs) {
    const auto place = places_.find(job.seq);
    if (place) jobs_[*place].purged = true;
  }
}

Folded& Fold::of(uint64_t seq) {
  ZGRID_CHECK(seq > 0 && seq <= INT64_MAX / 16);
  // Records of one job mostly follow each other.
  if (!jobs_.empty() && jobs_.back().seq == seq) return jobs_.back();
  if (const auto place = places_.find(seq)) return jobs_[*place];
  places_.set(seq, jobs_.size());
  jobs_.push_back(Folded{seq, nullptr, nullptr, nullptr, false});
  return jobs_.back();
}

}  // namespace zgrid::broker
