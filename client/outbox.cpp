#include "client/outbox.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "protocol/base/check.h"
#include "protocol/base/units.h"

namespace zgrid::client {
namespace {

// A session that never is: sent, and to be sent again.
constexpr uint64_t kDoubtful = std::numeric_limits<uint64_t>::max();

Failure too_long(std::string_view what, size_t max) {
  return fail(Errc::bad_input,
              std::string(what) + " is longer than " + std::to_string(max) + " bytes",
              "shorten it");
}

}  // namespace

bool is_passing(const Error& error) {
  return error.code == Errc::queue_full || error.code == Errc::store_unavailable;
}

MonoTime next_try(const Error& error, const JobId& job, MonoTime now, MonoTime deadline) {
  const Millis advice =
      error.retry_after_ms > 0 ? Millis{error.retry_after_ms} : Outbox::kRetryDefault;
  // The tail of an id is random: no other source of chance is needed.
  const Micros at = Micros(advice) + Micros(advice) * job.bytes.back() / 512;
  if (deadline == MonoTime::never() || now + at < deadline) return now + at;
  const MonoTime last = deadline - Micros(Outbox::kLastTry);
  return now < last ? last : MonoTime::never();
}

Result<void> check_spec(const JobSpec& spec) {
  if (spec.service.empty()) return fail(Errc::bad_input, "the workflow's name is empty");
  if (spec.service.size() > limits::kServiceBytesMax) {
    return too_long("the workflow's name", limits::kServiceBytesMax);
  }
  if (spec.steps.size() > limits::kStepsMax) {
    return fail(Errc::bad_input, "more than " + std::to_string(limits::kStepsMax) + " steps");
  }
  if (spec.cache.size() > limits::kCacheKeysMax) {
    return fail(Errc::bad_input,
                "more than " + std::to_string(limits::kCacheKeysMax) + " cache keys");
  }
  if (spec.target.names.size() > limits::kTagsMax || spec.target.tags.size() > limits::kTagsMax) {
    return fail(Errc::bad_input,
                "a target of more than " + std::to_string(limits::kTagsMax) + " names or tags");
  }
  if (!spec.run.empty() && !is_name(spec.run)) {
    return fail(Errc::bad_input, "'" + spec.run + "' is not a name for a run",
                "use 1 to 63 of A-Z a-z 0-9 . _ - and not 'any' or 'all'");
  }
  if (spec.system.size() > limits::kSystemPromptBytesMax) {
    return too_long("the system prompt", limits::kSystemPromptBytesMax);
  }
  if (spec.model.size() > limits::kServiceBytesMax) {
    return too_long("the model's name", limits::kServiceBytesMax);
  }
  if (spec.provider.size() > limits::kNameBytesMax) {
    return too_long("the provider's name", limits::kNameBytesMax);
  }
  if (spec.priority > limits::kPriorityMax) {
    return fail(Errc::bad_input, "the priority is not one of 0 to 9");
  }
  if (spec.retries > limits::kRetriesMax) {
    return fail(Errc::bad_input, "more than " + std::to_string(limits::kRetriesMax) + " retries");
  }
  return {};
}

Result<void> check_submission(const Submission& submission) {
  const protocol::JobEntry& entry = submission.entry;
  if (entry.input.data.size() > limits::kPayloadBytesMax) {
    return fail(Errc::too_large,
                "the input of " + format_size(entry.input.data.size()) + " is over the limit of " +
                    format_size(limits::kPayloadBytesMax),
                "pass a path or an address instead of the data");
  }
  if (entry.key.size() > limits::kKeyBytesMax) return too_long("the key", limits::kKeyBytesMax);
  if (entry.trace.size() > 255) return too_long("the trace", 255);
  return {};
}

// A batch is closed by full lists, other flags or a deadline too far away.
Outbox::Batch& Outbox::open_batch(const SubmitFlags& flags, MonoTime deadline) {
  if (open_) {
    Batch& last = batches_.rbegin()->second;
    const Micros apart = std::max(deadline, last.deadline) - std::min(deadline, last.deadline);
    if (last.flags == flags && apart <= kDeadlineSpread) return last;
  }
  Batch batch;
  batch.flags = flags;
  batch.deadline = deadline;
  protocol::Submit submit;
  submit.watch = flags.watch;
  submit.events = flags.events;
  submit.rerun_failed = flags.rerun_failed;
  batch.message = std::move(submit);
  earliest_ = std::min(earliest_, deadline);
  open_ = true;
  meter_.reset();
  spec_index_.clear();
  return batches_.emplace(next_key_++, std::move(batch)).first->second;
}

// False if the batch is full.
bool Outbox::join(Batch& batch, Submission& submission) {
  protocol::Submit& submit = batch.submit();
  const bool same_as_last =
      !submit.specs.empty() && submit.specs.back().get() == submission.spec.get();
  const auto known = same_as_last ? spec_index_.end() : spec_index_.find(submission.spec.get());
  const bool is_new = !same_as_last && known == spec_index_.end();
  protocol::Weight weight = protocol::weight(submission.entry);
  if (is_new) weight.header_bytes += submission.spec->raw.size();
  if (!meter_.add(weight)) return false;
  if (is_new) {
    spec_index_.emplace(submission.spec.get(), static_cast<uint32_t>(submit.specs.size()));
    submit.specs.push_back(submission.spec);
  }
  submission.entry.spec =
      is_new || same_as_last ? static_cast<uint32_t>(submit.specs.size() - 1) : known->second;
  submit.jobs.push_back(std::move(submission.entry));
  return true;
}

void Outbox::add(Submission submission, const SubmitFlags& flags, MonoTime deadline) {
  if (join(open_batch(flags, deadline), submission)) return;
  open_ = false;
  ZGRID_CHECK(join(open_batch(flags, deadline), submission));
}

void Outbox::flush(uint64_t session, uint64_t& next_request,
                   const std::function<bool(const protocol::Message&)>& send) {
  if (session != std::exchange(session_, session)) unsent_from_ = 0;
  for (auto at = batches_.lower_bound(unsent_from_); at != batches_.end(); ++at) {
    auto& [key, batch] = *at;
    unsent_from_ = key;
    if (batch.session == session) continue;
    if (batch.session == 0) {
      batch.submit().request = next_request;
      by_request_.emplace(next_request, key);
      ++next_request;
    }
    if (!send(batch.message)) {
      if (batch.session == 0) by_request_.erase(batch.submit().request);
      return;
    }
    batch.session = session;
    open_ = false;  // only the last batch can be open, and what was sent takes no more
  }
  unsent_from_ = next_key_;
}

void Outbox::doubt_all() {
  unsent_from_ = 0;
  for (auto& [key, batch] : batches_) {
    if (batch.session != 0) batch.session = kDoubtful;
  }
}

bool Outbox::has_unsent(uint64_t session) const {
  const auto first = session == session_ ? batches_.lower_bound(unsent_from_) : batches_.begin();
  return std::any_of(first, batches_.end(),
                     [&](const auto& item) { return item.second.session != session; });
}

std::optional<Outbox::Acked> Outbox::on_ack(protocol::SubmitAck ack, MonoTime now) {
  const auto request = by_request_.find(ack.request);
  if (request == by_request_.end()) return std::nullopt;
  const auto found = batches_.find(request->second);
  by_request_.erase(request);
  ZGRID_CHECK(found != batches_.end());
  Batch batch = std::move(found->second);
  batches_.erase(found);

  protocol::Submit& submit = batch.submit();
  std::vector<bool> again(submit.jobs.size(), false);
  bool any_again = false;
  std::erase_if(ack.items, [&](const protocol::SubmitAck::Item& item) {
    if (item.entry >= submit.jobs.size()) return true;
    if (!batch.flags.retry_full || !item.error || !is_passing(*item.error)) return false;
    // Of one batch all come back together, as they came.
    const MonoTime at = next_try(*item.error, submit.jobs.front().id, now, batch.deadline);
    if (at == MonoTime::never()) return false;
    protocol::JobEntry entry = submit.jobs[item.entry];
    SpecRef spec = submit.specs[entry.spec];
    retries_.emplace(at, Retry{Submission{std::move(spec), std::move(entry)}, batch.flags,
                               batch.deadline, *item.error});
    again[item.entry] = any_again = true;
    return true;
  });
  if (any_again) {
    // The caller hears of these later: leave only the others, and let the ack follow.
    std::vector<uint32_t> moved(submit.jobs.size(), 0);
    std::vector<protocol::JobEntry> kept;
    for (size_t i = 0; i < submit.jobs.size(); ++i) {
      moved[i] = static_cast<uint32_t>(kept.size());
      if (!again[i]) kept.push_back(std::move(submit.jobs[i]));
    }
    submit.jobs = std::move(kept);
    for (auto& item : ack.items) item.entry = moved[item.entry];
  }
  return Acked{std::move(submit), std::move(ack)};
}

void Outbox::take_all(const Batch& batch, Error error, std::vector<Refusal>& into) {
  error.effect = batch.session == 0 ? Effect::none : Effect::unknown;
  for (const protocol::JobEntry& entry : batch.submit().jobs) into.push_back({entry.id, error});
}

std::vector<Outbox::Refusal> Outbox::on_time(MonoTime now) {
  std::vector<Refusal> refused;
  while (!retries_.empty() && retries_.begin()->first <= now) {
    Retry retry = std::move(retries_.begin()->second);
    retries_.erase(retries_.begin());
    if (retry.deadline <= now) {
      refused.push_back({retry.submission.entry.id, retry.error});
    } else {
      add(std::move(retry.submission), retry.flags, retry.deadline);
    }
  }
  if (now < earliest_) return refused;
  earliest_ = MonoTime::never();
  for (auto batch = batches_.begin(); batch != batches_.end();) {
    if (batch->second.deadline > now) {
      earliest_ = std::min(earliest_, batch->second.deadline);
      ++batch;
      continue;
    }
    take_all(batch->second,
             {Errc::timeout, "the broker did not acknowledge the job in time",
              "submitting it again with the same key or id is safe", Effect::unknown, 0},
             refused);
    if (open_ && std::next(batch) == batches_.end()) open_ = false;
    by_request_.erase(batch->second.submit().request);
    batch = batches_.erase(batch);
  }
  return refused;
}

std::vector<JobId> Outbox::withdraw() {
  std::vector<JobId> jobs;
  for (const auto& [at, retry] : std::exchange(retries_, {})) {
    jobs.push_back(retry.submission.entry.id);
  }
  return jobs;
}

std::vector<Outbox::Refusal> Outbox::fail_all(const Error& error) {
  std::vector<Refusal> refused;
  for (const auto& [key, batch] : batches_) take_all(batch, error, refused);
  for (const auto& [at, retry] : retries_) {
    refused.push_back({retry.submission.entry.id, error});
    refused.back().error.effect = Effect::none;
  }
  batches_.clear();
  earliest_ = MonoTime::never();
  by_request_.clear();
  retries_.clear();
  open_ = false;
  return refused;
}

MonoTime Outbox::deadline() const {
  return retries_.empty() ? earliest_ : std::min(earliest_, retries_.begin()->first);
}

std::unordered_set<JobId> Outbox::pending() const {
  std::unordered_set<JobId> ids;
  for (const auto& [key, batch] : batches_) {
    for (const protocol::JobEntry& entry : batch.submit().jobs) ids.insert(entry.id);
  }
  for (const auto& [at, retry] : retries_) ids.insert(retry.submission.entry.id);
  return ids;
}

}  // namespace zgrid::client
