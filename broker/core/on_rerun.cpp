// RETRY and PURGE: what becomes of jobs that ended. A retry reads the old job from the store and
// accepts a new one like it; its id is the client's, so that asking twice makes one job.
#include "broker/core/state.h"
#include "protocol/hash.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

RetryAck::Item refused(const Retry::Item& item, Errc code, std::string message, std::string hint) {
  RetryAck::Item out;
  out.job = item.job;
  out.error = Error{code, std::move(message), std::move(hint), Effect::none, 0};
  return out;
}

// What can be said without looking into the store; nothing: look there.
std::optional<RetryAck::Item> judge(State& s, const Retry::Item& item) {
  const std::string name = "job " + item.job.str();
  if (item.new_id.is_nil() || item.new_id == item.job) {
    return refused(item, Errc::bad_input, "a retry needs a new id", {});
  }
  if (find_job(s, item.new_id) != nullptr || s.history.find(item.new_id) != nullptr) {
    return RetryAck::Item{item.job, item.new_id, {}};  // asked again after a reconnection
  }
  if (const Job* job = find_job(s, item.job)) {
    return refused(item, Errc::not_ready, name + " is " + std::string(status_name(job->status)),
                   "wait for its end, or cancel it first");
  }
  const Past* past = s.history.find(item.job);
  if (past == nullptr) return refused(item, Errc::not_found, "no " + name, "see `zgrid jobs`");
  if (past->purged) {
    return refused(item, Errc::not_found, name + " was purged after its retention",
                   "submit it anew");
  }
  if (s.history.children(item.job) != nullptr) {
    return refused(item, Errc::unsupported, name + " is a broadcast",
                   "retry its jobs, or submit it anew");
  }
  return std::nullopt;
}

RetryAck::Item accept_again(State& s, Owner& owner, Core::Retried& retried) {
  // It may have come twice while the store was read.
  if (auto known = judge(s, retried.item)) return std::move(*known);
  if (!retried.job) {
    RetryAck::Item out;
    out.job = retried.item.job;
    out.error = std::move(retried.job.error());
    return out;
  }
  if (!*retried.job) {
    return refused(retried.item, Errc::not_found, "no job " + retried.item.job.str(), {});
  }
  PutJob& old = (*retried.job)->accepted;
  if (auto error = check_admission(s, owner, old.input.data.size(), 1)) {
    RetryAck::Item out;
    out.job = retried.item.job;
    out.error = std::move(error);
    return out;
  }
  NewJob fresh;
  fresh.id = retried.item.new_id;
  fresh.owner = &owner;
  fresh.spec = intern(s, old.spec, old.pinned);
  fresh.input = std::move(old.input);
  fresh.index = old.index;
  fresh.key = std::move(old.key);
  fresh.trace = std::move(old.trace);
  fresh.retry_of = old.id;
  fresh.body = old.body;
  Job& job = accept(s, std::move(fresh));
  start_life(s, job);
  if (!job.entry->pinned.is_nil()) {  // its worker may have gone for good meanwhile
    set_timer(s, s.now.mono + 2 * Micros(s.config.lease), TimerKind::pinned_lost, job.id);
  }
  return RetryAck::Item{retried.item.job, retried.item.new_id, {}};
}

}  // namespace

void on_retry(State& s, SessionId session, Retry&& m) {
  RetryAck ack;
  ack.request = m.request;
  StoreRead read;
  read.to = session;
  read.request = m.request;
  read.what = StoreRead::What::retries;
  read.retries = std::move(m.items);
  // The store is asked for all or none, so that one acknowledgement tells of all.
  bool ask = false;
  for (const Retry::Item& item : read.retries) {
    auto known = judge(s, item);
    if (known) {
      ack.items.push_back(std::move(*known));
    } else {
      ask = true;
    }
  }
  if (ask) {
    s.effects.reads.push_back(std::move(read));
  } else {
    s.outbox.send(session, Gate::after_commit, std::move(ack));
  }
}

void on_retry_read(State& s, SessionId session, uint64_t request, std::vector<Core::Retried> jobs) {
  const auto client = s.clients.find(session);
  if (client == s.clients.end()) return;  // it will ask again if it still wants to
  RetryAck ack;
  ack.request = request;
  for (Core::Retried& job : jobs) {
    ack.items.push_back(accept_again(s, *client->second.owner, job));
  }
  s.outbox.send(session, Gate::after_commit, std::move(ack));
}

void on_purge(State& s, SessionId session, const protocol::Purge& m) {
  CancelAck ack;
  ack.request = m.request;
  for (size_t at = 0; at < m.jobs.size(); at += limits::kPurgeBatch) {
    const size_t end = std::min(m.jobs.size(), at + limits::kPurgeBatch);
    Purge purge = s.history.purge(
        {m.jobs.begin() + static_cast<ptrdiff_t>(at), m.jobs.begin() + static_cast<ptrdiff_t>(end)},
        s.grid);
    if (!purge.jobs.empty()) s.effects.records.emplace_back(std::move(purge));
  }
  for (const JobId& id : m.jobs) {
    s.past_logs.drop(id);
    ack.items.push_back(state_of(s, id));
  }
  s.outbox.send(session, Gate::after_commit, std::move(ack));
}

ResultEntry purged_result(const JobId& job, const StoreRead::End& end) {
  ResultEntry entry;
  entry.job = job;
  entry.attempt = end.attempt;
  entry.outcome.status = end.status;
  entry.purged = true;
  JobError why;
  why.message = "its result was purged after its retention";
  entry.outcome.error = std::move(why);
  return entry;
}

void send_past_results(State& s, SessionId session, const std::vector<JobId>& ids) {
  StoreRead read;
  read.to = session;
  for (const JobId& id : ids) {
    const Past* known = s.history.find(id);
    if (known == nullptr) continue;
    const Past& past = *known;
    if (!past.purged) {
      read.jobs.push_back(id);
      read.ends.push_back({past.status, past.attempt});
    } else {
      s.outbox.result(session, nullptr, {}, purged_result(id, {past.status, past.attempt}));
    }
  }
  if (!read.jobs.empty()) s.effects.reads.push_back(std::move(read));
}

}  // namespace zgrid::broker
