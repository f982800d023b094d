// What a connection does with each message of the broker.
#include <algorithm>

#include "client/connection.h"
#include "protocol/base/check.h"

namespace zgrid::client {
namespace {

// Results kept for acknowledgements that are under way; more can only come from a broken broker.
constexpr size_t kEarlyMax = 65'536;

}  // namespace

Error purged_error(const protocol::ResultEntry& entry) {
  return {Errc::not_found,
          "job " + entry.job.str() + ": its result was purged after its retention; its state was " +
              std::string(status_name(entry.outcome.status)),
          "broker.retention, retention_jobs and retention_bytes say how long results stay",
          Effect::none, 0};
}

void Connection::on(protocol::SubmitAck& ack, MonoTime now) {
  auto acked = outbox_.on_ack(std::move(ack), now);
  if (!acked) return;
  protocol::Submit& submit = acked->submit;
  const SubmitFlags flags{submit.watch, submit.events, submit.rerun_failed, true};
  std::vector<const protocol::SubmitAck::Item*> said;
  if (!acked->ack.items.empty()) {
    said.resize(submit.jobs.size());
    for (const auto& item : acked->ack.items) {
      if (item.entry < said.size()) said[item.entry] = &item;
    }
  }
  for (size_t i = 0; i < submit.jobs.size(); ++i) {
    on_accepted(submit.jobs[i], said.empty() ? nullptr : said[i], flags);
  }
  if (outbox_.empty()) early_.clear();
}

void Connection::on_accepted(const protocol::JobEntry& entry, const protocol::SubmitAck::Item* item,
                             const SubmitFlags& flags) {
  Accepted accepted;
  accepted.submitted = accepted.job = entry.id;
  if (item == nullptr) return listener_.on_accepted(accepted);
  if (item->error) return refuse({entry.id, *item->error});
  if (!item->job.is_nil()) accepted.job = item->job;
  accepted.status = item->status;
  accepted.duplicate = item->duplicate;
  accepted.children = item->children;
  if (flags.watch && (accepted.job != entry.id || !item->children.empty())) {
    watched_.erase(entry.id);
    if (item->children.empty()) follow(accepted.job, flags.events);
  }
  listener_.on_accepted(accepted);
  if (!flags.watch) return;
  // Frozen targets have ids of their own: ask for their results, from the start.
  for (size_t at = 0; at < item->children.size(); at += limits::kBatchItemsMax) {
    const size_t end = std::min(item->children.size(), at + limits::kBatchItemsMax);
    watch({item->children.begin() + static_cast<ptrdiff_t>(at),
           item->children.begin() + static_cast<ptrdiff_t>(end)},
          flags.events, MonoTime::never(), nullptr);
  }
  report_early(accepted.job);
}

// A job that was found by its key may have ended, and its result may have come before the ack.
void Connection::report_early(const JobId& job) {
  const auto found = early_.find(job);
  if (found == early_.end()) return;
  protocol::Results results = std::move(found->second);
  early_.erase(found);
  on(results);
}

void Connection::on(protocol::Results& results) {
  static const WorkerFactsRef kNobody;
  static const protocol::JobHead kNoHead;
  for (protocol::ResultEntry& entry : results.items) {
    const auto& worker =
        entry.worker < results.workers.size() ? results.workers[entry.worker] : kNobody;
    const auto& head = entry.head < results.heads.size() ? results.heads[entry.head] : kNoHead;
    if (watched_.erase(entry.job)) {
      listener_.on_result({entry, head, worker});
    } else if (!outbox_.empty() && early_.size() < kEarlyMax) {
      protocol::Results kept;
      if (worker) kept.workers.push_back(worker);
      kept.heads.push_back(head);
      const JobId job = entry.job;
      kept.items.push_back(std::move(entry));
      kept.items.front().worker = worker ? 0 : protocol::kNoWorker;
      kept.items.front().head = 0;
      early_.emplace(job, std::move(kept));
    }
  }
}

void Connection::on(protocol::Events& events) {
  for (auto& item : events.items) {
    if (watched_.find(item.job)) listener_.on_event(item.job, item.attempt, item.event);
  }
}

void Connection::on(protocol::WatchAck& ack) {
  const auto found = calls_.find(ack.request);
  if (found == calls_.end() || !std::holds_alternative<protocol::Watch>(found->second.message)) {
    return;
  }
  Call call = std::move(found->second);
  calls_.erase(found);
  for (const auto& item : ack.items) {
    if (!item.known && watched_.erase(item.job)) listener_.on_unknown(item.job);
  }
  if (call.on_watch) call.on_watch(std::move(ack.items));
}

void Connection::on(protocol::CancelAck& ack) {
  const auto found = calls_.find(ack.request);
  if (found == calls_.end() || !found->second.on_cancel) return;
  Call call = std::move(found->second);
  calls_.erase(found);
  call.on_cancel(std::move(ack.items));
}

void Connection::on(protocol::RetryAck& ack) {
  const auto found = calls_.find(ack.request);
  if (found == calls_.end() || !found->second.on_retry) return;
  Call call = std::move(found->second);
  calls_.erase(found);
  call.on_retry(std::move(ack.items));
}

void Connection::on(protocol::Answer& answer) {
  const auto found = calls_.find(answer.request);
  if (found == calls_.end() || !found->second.on_answer) return;
  protocol::Answer& whole = found->second.answer;
  std::move(answer.jobs.begin(), answer.jobs.end(), std::back_inserter(whole.jobs));
  std::move(answer.workers.begin(), answer.workers.end(), std::back_inserter(whole.workers));
  if (answer.status) whole.status = std::move(answer.status);
  whole.text += answer.text;
  std::move(answer.events.begin(), answer.events.end(), std::back_inserter(whole.events));
  whole.gap |= answer.gap;
  if (!answer.error && answer.more) return;
  Call call = std::move(found->second);
  calls_.erase(found);
  if (answer.error) return call.on_answer(fail(std::move(*answer.error)));
  call.on_answer(std::move(call.answer));
}

}  // namespace zgrid::client
