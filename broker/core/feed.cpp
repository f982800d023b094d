#include "broker/core/feed.h"

#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

using namespace protocol;

void Feed::add(GridEvent event) {
  event.seq = next_seq_++;
  if (event.text.size() > limits::kGridEventTextMax) {
    event.text = event.text.substr(0, limits::kGridEventTextMax);
  }
  events_.push_back(std::move(event));
  if (events_.size() > limits::kGridEventsKept) events_.pop_front();
}

void Feed::follow(MonoTime now) {
  followed_until_ = now + Micros(limits::kFollowed);
  is_followed_ = true;
}

void Feed::read(uint64_t since, Answer& into) const {
  // A number from the future is of a broker whose clock was ahead: all of this is new to it.
  const bool is_unknown = since >= next_seq_;
  if (is_unknown) since = 0;
  const auto first = std::find_if(events_.begin(), events_.end(),
                                  [&](const GridEvent& event) { return event.seq > since; });
  into.events.assign(first, events_.end());
  const uint64_t oldest = events_.empty() ? next_seq_ : events_.front().seq;
  into.gap = is_unknown || (since != 0 && since + 1 < oldest);
}

namespace {

// With what holds the lines: most are short.
size_t bytes_of(const EventLog& log) { return log.bytes + log.events.size() * sizeof(JobEvent); }

}  // namespace

void PastLogs::keep(const JobId& job, uint32_t attempt, EventLog log) {
  drop(job);
  bytes_ += bytes_of(log);
  order_.push_back(job);
  logs_[job] = {attempt, std::move(log)};
  while (order_.size() > limits::kPastLogsKept || bytes_ > limits::kPastLogBytesKept) {
    const JobId oldest = order_.front();
    order_.pop_front();
    drop(oldest);
  }
}

void PastLogs::drop(const JobId& job) {
  const auto it = logs_.find(job);
  if (it == logs_.end()) return;
  bytes_ -= bytes_of(it->second.log);
  logs_.erase(it);
  std::erase(order_, job);
}

const PastLogs::Kept* PastLogs::find(const JobId& job) const {
  const auto it = logs_.find(job);
  return it == logs_.end() ? nullptr : &it->second;
}

void note(State& s, std::string_view name, bool is_warning, std::string text, NoteFields fields) {
  GridEvent event;
  event.at = s.now.wall;
  event.warning = is_warning;
  event.name = name;
  std::string details;
  for (const auto& [field, value] : fields) {
    if (field == "job") {
      event.job = JobId::parse(value).value_or(JobId{});
    } else if (field == "worker") {
      event.worker = value;
    } else {
      details += (details.empty() ? "" : ", ") + std::string(field) + ": " + value;
    }
  }
  event.text = text + (details.empty() ? "" : " (" + details + ")");
  s.feed.add(std::move(event));
  s.effects.notes.push_back({is_warning, std::move(text), std::move(fields)});
}

void tell_status(State& s, const Job& job, std::string details) {
  GridEvent event;
  event.at = s.now.wall;
  event.warning = is_terminal(job.status) && job.status != JobStatus::succeeded;
  event.name = "job_" + std::string(status_name(job.status));
  event.job = job.id;
  if (job.last_worker) event.worker = job.last_worker->name;
  event.text = job.spec().service;
  if (job.attempt > 1) event.text += ", attempt " + std::to_string(job.attempt);
  if (!details.empty()) event.text += ": " + details;
  s.feed.add(std::move(event));
}

void on_events(State& s, SessionId session, const Query& m) {
  Answer answer;
  answer.request = m.request;
  s.feed.read(m.since, answer);
  if (m.follow) s.feed.follow(s.now.mono);
  s.outbox.send(session, Gate::after_commit, std::move(answer));
}

void send_past_events(State& s, SessionId session, const JobId& job) {
  const PastLogs::Kept* kept = s.past_logs.find(job);
  if (kept == nullptr) return;
  send_events(s, session, job, kept->attempt, kept->log);
}

void send_events(State& s, SessionId session, const JobId& job, uint32_t attempt,
                 const EventLog& log) {
  if (log.cut) {
    JobEvent gap;
    gap.kind = EventKind::gap;
    gap.at = s.now.wall;
    s.outbox.event(session, job, attempt, gap);
  }
  for (const JobEvent& event : log.events) s.outbox.event(session, job, attempt, event);
}

}  // namespace zgrid::broker
