#include "broker/core/gate.h"

#include "protocol/base/check.h"

namespace zgrid::broker {

void CommitGate::add(uint64_t turn, bool has_records, std::vector<Send>& sends,
                     std::vector<Send>& out) {
  ZGRID_CHECK(turn > pending_commit_);
  if (has_records) pending_commit_ = turn;
  for (Send& send : sends) {
    const bool waits = send.gate == Gate::after_commit && pending_commit_ != 0;
    if (waits) {
      held_.push_back({pending_commit_, std::move(send)});
    } else {
      out.push_back(std::move(send));
    }
  }
  sends.clear();
}

void CommitGate::durable(uint64_t turn, std::vector<Send>& out) {
  while (!held_.empty() && held_.front().turn <= turn) {
    out.push_back(std::move(held_.front().send));
    held_.pop_front();
  }
  if (pending_commit_ <= turn) pending_commit_ = 0;
}

}  // namespace zgrid::broker
