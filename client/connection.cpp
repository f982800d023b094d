#include "client/connection.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::client {
namespace {

// What Links will count the first welcome as.
constexpr uint64_t kFirstSession = 1;

Links::Options link_options(const Connection::Options& options) {
  Links::Options links;
  links.endpoints = options.endpoints;
  links.finder = options.finder;
  links.keys = options.keys;
  links.hello.program_version = options.program_version;
  links.hello.user_host = options.user_host;
  links.hello.acks_ride = true;
  links.connect_timeout = options.connect_timeout;
  links.reconnect = options.reconnect;
  links.open_dealer = options.open_dealer;
  return links;
}

}  // namespace

Connection::Connection(Options options, Listener& listener)
    : options_(std::move(options)),
      listener_(listener),
      links_(link_options(options_), options_.clock().mono) {}

// ---- what is asked for ----------------------------------------------------------------

void Connection::submit(Submission submission, const SubmitFlags& flags, MonoTime deadline) {
  if (auto ok = check_submission(submission); !ok) {
    invalid_.push_back({submission.entry.id, ok.error()});
    return;
  }
  if (flags.watch) follow(submission.entry.id, flags.events);
  outbox_.add(std::move(submission), flags, deadline);
}

void Connection::follow(const JobId& job, bool events) {
  watched_.set(job, events || watched_.find(job).value_or(0) != 0 ? 1 : 0);
}

void Connection::add_call(Call call) { calls_.emplace(next_request_++, std::move(call)); }

void Connection::watch(std::vector<JobId> jobs, bool events, MonoTime deadline, WatchDone done) {
  ZGRID_CHECK(jobs.size() <= limits::kIdsMax);
  for (const JobId& job : jobs) follow(job, events);
  add_watch(std::move(jobs), events, deadline, std::move(done));
}

void Connection::add_watch(std::vector<JobId> jobs, bool events, MonoTime deadline,
                           WatchDone done) {
  Call call;
  protocol::Watch watch;
  watch.request = next_request_;
  watch.jobs = std::move(jobs);
  watch.events = events;
  call.message = std::move(watch);
  call.deadline = deadline;
  call.on_watch = std::move(done);
  add_call(std::move(call));
}

void Connection::unwatch(std::span<const JobId> jobs) {
  for (const JobId& job : jobs) watched_.erase(job);
}

void Connection::withdraw() {
  for (const JobId& job : outbox_.withdraw()) watched_.erase(job);
}

std::vector<JobId> Connection::watched_jobs() const {
  std::vector<JobId> jobs;
  jobs.reserve(watched_.size());
  watched_.for_each([&](const JobId& job, uint64_t) { jobs.push_back(job); });
  return jobs;
}

void Connection::cancel(std::vector<JobId> jobs, MonoTime deadline, CancelDone done) {
  ZGRID_CHECK(jobs.size() <= limits::kIdsMax);
  Call call;
  protocol::Cancel cancel;
  cancel.request = next_request_;
  cancel.jobs = std::move(jobs);
  call.message = std::move(cancel);
  call.deadline = deadline;
  call.on_cancel = std::move(done);
  add_call(std::move(call));
}

void Connection::retry(std::vector<protocol::Retry::Item> items, MonoTime deadline,
                       RetryDone done) {
  ZGRID_CHECK(items.size() <= limits::kBatchItemsMax);
  Call call;
  protocol::Retry retry;
  retry.request = next_request_;
  retry.items = std::move(items);
  call.message = std::move(retry);
  call.deadline = deadline;
  call.on_retry = std::move(done);
  add_call(std::move(call));
}

void Connection::purge(std::vector<JobId> jobs, MonoTime deadline, CancelDone done) {
  ZGRID_CHECK(jobs.size() <= limits::kIdsMax);
  Call call;
  protocol::Purge purge;
  purge.request = next_request_;
  purge.jobs = std::move(jobs);
  call.message = std::move(purge);
  call.deadline = deadline;
  call.on_cancel = std::move(done);
  add_call(std::move(call));
}

void Connection::query(protocol::Query query, MonoTime deadline, AnswerDone done) {
  Call call;
  query.request = next_request_;
  call.message = std::move(query);
  call.deadline = deadline;
  call.on_answer = std::move(done);
  add_call(std::move(call));
}

void Connection::control(protocol::Control control, MonoTime deadline, AnswerDone done) {
  Call call;
  control.request = next_request_;
  call.message = std::move(control);
  call.deadline = deadline;
  call.on_answer = std::move(done);
  add_call(std::move(call));
}

// ---- one turn -------------------------------------------------------------------------

void Connection::run(Millis max_wait, std::span<const int> fds) {
  MonoTime now = options_.clock().mono;
  links_.turn(now);
  bool heard = receive(now);
  // Whoever fails to connect hears of that, not of a submit that is out of time by now.
  if (links_.state() == Links::State::failed) return finish_all(links_.error());
  heard |= on_time(now);
  send_all(now);
  if (links_.state() == Links::State::failed) return finish_all(links_.error());
  // What the caller waits for may have come between two turns: let it look before we sleep.
  if (heard) return;
  const Millis wait = sleep_for(max_wait, now);
  if (wait <= Millis{0}) return;
  links_.wait(wait, fds);
  // What woke us is handled in this turn, so that one run() is one exchange.
  now = options_.clock().mono;
  links_.turn(now);
  receive(now);
  send_all(now);
}

bool Connection::receive(MonoTime now) {
  bool heard = false;
  protocol::Message message;
  size_t entries = 0;  // the caller may want to answer the first results before the last are read
  while (entries < limits::kBatchItemsTarget && links_.receive(message, is_pinned())) {
    heard = true;
    ++entries;
    if (auto* m = std::get_if<protocol::SubmitAck>(&message)) {
      on(*m, now);
    } else if (auto* results = std::get_if<protocol::Results>(&message)) {
      entries += results->items.size();
      for (const uint64_t request : results->accepted) {
        protocol::SubmitAck ack;
        ack.request = request;
        on(ack, now);
      }
      on(*results);
    } else if (auto* events = std::get_if<protocol::Events>(&message)) {
      on(*events);
    } else if (auto* watched = std::get_if<protocol::WatchAck>(&message)) {
      on(*watched);
    } else if (auto* cancelled = std::get_if<protocol::CancelAck>(&message)) {
      on(*cancelled);
    } else if (auto* retried = std::get_if<protocol::RetryAck>(&message)) {
      on(*retried);
    } else if (auto* answer = std::get_if<protocol::Answer>(&message)) {
      on(*answer);
    }  // heartbeats and a goodbye need no answer: the link's end is seen by itself
  }
  if (links_.session() == session_) return heard;
  on_new_session();
  return true;
}

Millis Connection::sleep_for(Millis max_wait, MonoTime now) const {
  if (!invalid_.empty()) return Millis{0};
  if (is_up() && has_unsent()) max_wait = std::min(max_wait, kFullRetry);
  MonoTime due = std::min(links_.deadline(), outbox_.deadline());
  for (const auto& [request, call] : calls_) due = std::min(due, call.deadline);
  if (is_up()) due = std::min(due, last_sent_ + kHeartbeat);
  if (due == MonoTime::never()) return max_wait;
  const auto left = std::chrono::ceil<Millis>(due - now);
  return std::clamp(left, Millis{0}, max_wait);
}

// ---- sending --------------------------------------------------------------------------

bool Connection::has_unsent() const {
  if (outbox_.has_unsent(session_)) return true;
  return std::any_of(calls_.rbegin(), calls_.rend(),
                     [&](const auto& item) { return item.second.session != session_; });
}

bool Connection::is_flushed() const { return is_up() && !has_unsent(); }

void Connection::send_all(MonoTime now) {
  if (session_ == 0 && options_.submit_ahead) {
    outbox_.flush(kFirstSession, next_request_, [&](const protocol::Message& message) {
      return links_.send_ahead(protocol::encode(message));
    });
  }
  if (!is_up()) return;
  const auto send = [&](const protocol::Message& message) {
    if (!links_.send(protocol::encode(message))) return false;
    last_sent_ = now;
    return true;
  };
  outbox_.flush(session_, next_request_, send);
  for (auto& [request, call] : calls_) {
    if (call.session == session_) continue;
    if (!send(call.message)) return;
    call.session = session_;
    call.answer = {};
  }
  if (now >= last_sent_ + kHeartbeat) send(protocol::Heartbeat{});
}

void Connection::on_new_session() {
  const bool is_first = session_ == 0;
  session_ = links_.session();
  last_sent_ = options_.clock().mono;
  if (is_first && links_.lost_ahead()) outbox_.doubt_all();
  if (!is_first) rewatch();
}

// Asks again for what the old session would have sent. Submits that are not acknowledged watch
// their jobs themselves.
void Connection::rewatch() {
  const auto pending = outbox_.pending();
  for (const bool events : {false, true}) {
    std::vector<JobId> jobs;
    const auto ask = [&] {
      if (!jobs.empty()) add_watch(std::exchange(jobs, {}), events, MonoTime::never(), nullptr);
    };
    watched_.for_each([&](const JobId& job, uint64_t with_events) {
      if ((with_events != 0) != events || pending.contains(job)) return;
      jobs.push_back(job);
      if (jobs.size() == limits::kBatchItemsMax) ask();
    });
    ask();
  }
}

// ---- time and ends --------------------------------------------------------------------

void Connection::refuse(const Outbox::Refusal& refusal) {
  watched_.erase(refusal.job);
  listener_.on_refused(refusal.job, refusal.error);
}

void Connection::finish(Call& call, const Error& error) {
  if (call.on_watch) call.on_watch(fail(error));
  if (call.on_cancel) call.on_cancel(fail(error));
  if (call.on_retry) call.on_retry(fail(error));
  if (call.on_answer) call.on_answer(fail(error));
}

bool Connection::on_time(MonoTime now) {
  std::vector<Outbox::Refusal> refusals = std::exchange(invalid_, {});
  for (auto& refusal : outbox_.on_time(now)) refusals.push_back(std::move(refusal));
  for (const auto& refusal : refusals) refuse(refusal);
  std::vector<Call> late;
  std::erase_if(calls_, [&](auto& item) {
    if (item.second.deadline > now) return false;
    late.push_back(std::move(item.second));
    return true;
  });
  for (Call& call : late) {
    finish(call, {Errc::timeout, "the broker did not answer in time", "",
                  call.session == 0 ? Effect::none : Effect::unknown, 0});
  }
  return !refusals.empty() || !late.empty();
}

void Connection::finish_all(const Error& error) {
  for (const auto& refusal : std::exchange(invalid_, {})) refuse(refusal);
  for (auto& refusal : outbox_.fail_all(error)) {
    if (!links_.was_reached()) refusal.error.effect = Effect::none;
    refuse(refusal);
  }
  for (auto& [request, call] : std::exchange(calls_, {})) finish(call, error);
  watched_.clear();
  if (!std::exchange(is_over_, true)) listener_.on_lost(error);
}

}  // namespace zgrid::client
