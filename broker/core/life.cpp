// Busy, wedged or dead. A worker whose heartbeats arrive is alive, however busy. Its heartbeats say
// of each attempt when it last used CPU time or printed anything: an attempt that has done neither
// for long is wedged. That is shown, and the job says what else is to be done.
#include "broker/core/state.h"
#include "protocol/base/units.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

// Below this nobody needs to keep a note of it.
constexpr Millis kWorthNoting{2000};

void tell_watchers(State& s, Job& job, const std::string& text) {
  JobEvent event;
  event.kind = EventKind::log;
  event.name = "zgrid";
  event.at = s.now.wall;
  event.data = {PayloadTag::utf8, Bytes::own(std::string(text))};
  keep_event(job, event);
  for (SessionId watcher : job.extra->event_watchers) {
    if (s.clients.contains(watcher)) s.outbox.event(watcher, job.id, job.attempt, event);
  }
}

void act(State& s, Job& job, const std::string& text) {
  const auto end_attempt = [&] {
    s.outbox.abort(job.worker->session, {job.id, job.attempt, job.nonce}, Abort::Reason::stale);
  };
  switch (job.spec().on_wedged) {
    case WedgedAction::warn: return;
    case WedgedAction::retry: end_attempt(); return on_attempt_lost(s, job, true, text);
    case WedgedAction::kill:
      end_attempt();
      return end_by_broker(s, job, JobStatus::timed_out, JobErrorKind::timeout, text);
  }
}

}  // namespace

void look_at_life(State& s, Job& job, const InHand& item) {
  if (item.idle < kWorthNoting && !job.extra) return;
  Life& life = job.more().life;
  life.active_at = s.now.mono - Micros(item.idle);
  life.stopped = item.stopped;
  const Millis limit = item.stopped ? std::min(limits::kWedgedStopped, s.config.wedged_after)
                                    : s.config.wedged_after;
  const bool is_wedged = item.idle >= limit;
  if (is_wedged == life.wedged) return;
  life.wedged = is_wedged;
  const std::string& worker = job.last_worker->name;
  if (!is_wedged) {
    note(s, "job_lives", false, "a wedged job goes on",
         {{"job", job.id.str()}, {"worker", worker}});
    return tell_watchers(s, job, "it shows signs of life again");
  }
  const std::string text =
      "no sign of life for " + format_duration(std::chrono::floor<Seconds>(item.idle)) +
      (item.stopped ? ": its processes are stopped by a signal" : ": no CPU time, no output");
  note(s, "job_wedged", true, "a job is wedged",
       {{"job", job.id.str()}, {"worker", worker}, {"reason", text}});
  tell_watchers(s, job, text);
  act(s, job, text);
}

}  // namespace zgrid::broker
