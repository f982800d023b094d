#include "broker/store/short_job.h"

#include <utility>

namespace zgrid::broker {
namespace {

bool is_ordinary(const PutJob& job) {
  return job.key.empty() && job.trace.empty() && job.retry_of.is_nil() && job.parent.is_nil() &&
         job.pinned.is_nil() && job.children.empty();
}

bool is_ordinary(const PutState& state) {
  return state.failures == 0 && state.losses == 0 && !state.cancel_requested &&
         state.not_before == GridTime{} && state.lost.empty() && !state.spent;
}

bool is_ordinary(const Outcome& outcome) {
  static const Outcome plain;
  return outcome.status == ShortJob::kStatus && outcome.event_type == plain.event_type &&
         outcome.usage == plain.usage && !outcome.error;
}

}  // namespace

std::unique_ptr<ShortJob> ShortJob::of(StoredJob& job, std::shared_ptr<const std::string>& newest) {
  const bool fits = job.ended && is_ordinary(job.accepted) && is_ordinary(job.state) &&
                    is_ordinary(job.ended->outcome);
  if (!fits) return nullptr;
  if (!newest || *newest != job.accepted.owner) {
    newest = std::make_shared<const std::string>(std::move(job.accepted.owner));
  }
  PutEnd& end = *job.ended;
  auto made = std::make_unique<ShortJob>();
  made->id_ = job.accepted.id;
  made->spec_ = std::move(job.accepted.spec);
  made->input_ = std::move(job.accepted.input);
  made->output_ = std::move(end.output);
  made->index_ = job.accepted.index;
  made->owner_ = newest;
  made->body_ = job.accepted.body;
  made->submitted_ = job.accepted.submitted;
  made->started_ = end.started;
  made->finished_ = end.finished;
  made->accepted_ = job.accepted.accepted;
  made->ended_ = end.ended;
  made->run_ = end.outcome.run;
  made->worker_ = std::move(end.worker);
  made->attempt_ = end.attempt;
  return made;
}

StoredJob ShortJob::whole(uint64_t seq) const {
  StoredJob job;
  job.accepted.id = job.state.id = id_;
  job.accepted.seq = job.state.seq = seq;
  job.accepted.spec = spec_;
  job.accepted.input = input_;
  job.accepted.index = index_;
  job.accepted.owner = *owner_;
  job.accepted.body = body_;
  job.accepted.submitted = submitted_;
  job.accepted.accepted = accepted_;
  PutEnd& end = job.ended.emplace();
  end.id = id_;
  end.seq = seq;
  end.outcome.status = kStatus;
  end.outcome.run = run_;
  end.attempt = attempt_;
  end.worker = worker_;
  end.output = output_;
  end.started = started_;
  end.finished = finished_;
  end.ended = ended_;
  return job;
}

}  // namespace zgrid::broker
