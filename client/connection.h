// A client's conversation with its broker: submits, results, queries; across restarts of it.
//
// One turn: receive and dispatch, then send everything that was asked for since the last turn in
// as few messages as possible. After a reconnection to the same store, what is not acknowledged is
// submitted again with the same ids and what is outstanding is watched again; by contract that is
// safe. Nothing is called back but from run().
// Threads: one thread, but for wake(). Ownership: the listener outlives the connection.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/clock.h"
#include "client/links.h"
#include "client/outbox.h"
#include "protocol/base/flat_map.h"

namespace zgrid::client {

// What became of a submitted job.
struct Accepted {
  JobId submitted;  // the id it was submitted with
  JobId job;        // the job it stands for: another one if the key was known
  JobStatus status = JobStatus::queued;
  bool duplicate = false;           // it was there before
  std::span<const JobId> children;  // of a broadcast: these are watched, not `job`
};

// The accepted outcome of a job. References are valid during the call; `entry` may be moved from.
struct ResultView {
  protocol::ResultEntry& entry;
  const protocol::JobHead& head;
  const WorkerFactsRef& worker;  // null: none ever had it
};

// What to tell whoever asked for a result that was purged: an empty output would be a lie.
Error purged_error(const protocol::ResultEntry& entry);

// Hears of jobs. May call the connection's functions, but not run().
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_accepted(const Accepted& accepted) = 0;
  // It was not accepted, or (error.effect) it is not known whether it was.
  virtual void on_refused(const JobId& job, const Error& error) = 0;
  // Once for each watched job.
  virtual void on_result(const ResultView& result) = 0;
  virtual void on_event(const JobId& job, uint32_t attempt, JobEvent& event) = 0;
  // A watched job is not known to the broker (any more): no result will come.
  virtual void on_unknown(const JobId& job) = 0;
  // The connection is over. Every submit and call was answered before this.
  virtual void on_lost(const Error& error) = 0;
};

using WatchDone = std::function<void(Result<std::vector<protocol::WatchAck::Item>>)>;
using CancelDone = std::function<void(Result<std::vector<protocol::CancelAck::Item>>)>;
using RetryDone = std::function<void(Result<std::vector<protocol::RetryAck::Item>>)>;
using AnswerDone = std::function<void(Result<protocol::Answer>)>;

class Connection {
 public:
  // The broker drops a client that says nothing for limits::kClientLease.
  static constexpr Millis kHeartbeat{10'000};
  // How soon a full socket queue is tried again.
  static constexpr Millis kFullRetry{5};

  struct Options {
    std::vector<std::string> endpoints;  // named by the user, or
    std::shared_ptr<Finder> finder;      // found
    std::vector<Keys> keys;              // one, or two during a rotation of the secret
    std::string user_host;               // user@host: whose newest job `last` is
    std::string program_version;
    // Submits do not wait for the welcome if there is one place to connect to: a round trip less
    // for who submits one job.
    bool submit_ahead = false;
    Millis connect_timeout{10'000};
    Millis reconnect{300'000};
    Clock clock = system_now;
    OpenDealer open_dealer;
  };

  // Starts connecting and returns at once. Failures arrive at the listener.
  Connection(Options options, Listener& listener);

  void submit(Submission submission, const SubmitFlags& flags, MonoTime deadline);
  // Reports the results (and events) of these jobs to the listener, those of ended ones as well.
  void watch(std::vector<JobId> jobs, bool events, MonoTime deadline, WatchDone done);
  // Forgets them: their results are not reported.
  void unwatch(std::span<const JobId> jobs);
  // Forgets the submits that wait for room at the broker: they are not tried again.
  void withdraw();
  void cancel(std::vector<JobId> jobs, MonoTime deadline, CancelDone done);
  // Runs ended jobs again, as new ones. Their ids are the caller's, so that asking again after a
  // reconnection makes no second one. The new jobs are not watched. At most kBatchItemsMax.
  void retry(std::vector<protocol::Retry::Item> items, MonoTime deadline, RetryDone done);
  // Forgets the results of ended jobs; the others are left alone. At most kIdsMax.
  void purge(std::vector<JobId> jobs, MonoTime deadline, CancelDone done);
  // The parts of an answer arrive as one.
  void query(protocol::Query query, MonoTime deadline, AnswerDone done);
  void control(protocol::Control control, MonoTime deadline, AnswerDone done);

  // One turn; sleeps for at most `max_wait` when there is nothing to do, and returns early when
  // one of `fds` is readable or wake() was called. A turn in which something arrived never sleeps
  // after it, so that a caller who waits for it sees it at once.
  void run(Millis max_wait, std::span<const int> fds = {});
  // Once it is over, run() never sleeps and answers everything with the error.
  // Ends a run() that sleeps. From any thread.
  void wake() { links_.wake(); }

  [[nodiscard]] Now now() const { return options_.clock(); }
  [[nodiscard]] MonoTime deadline_in(Micros duration) const { return now().mono + duration; }
  // Everything asked for was sent and answered: ending now loses nothing.
  [[nodiscard]] bool is_idle() const {
    return outbox_.empty() && calls_.empty() && invalid_.empty();
  }
  [[nodiscard]] bool is_up() const { return links_.state() == Links::State::up; }
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] const Error& error() const { return links_.error(); }
  [[nodiscard]] const std::string& endpoint() const { return links_.endpoint(); }
  [[nodiscard]] const protocol::Welcome& welcome() const { return links_.welcome(); }
  // Watched jobs whose results have not come yet.
  [[nodiscard]] size_t watched() const { return watched_.size(); }
  [[nodiscard]] std::vector<JobId> watched_jobs() const;
  // Why submits wait for another try; null: none does.
  [[nodiscard]] const Error* waits_for_room() const { return outbox_.waits_for_room(); }
  // True when all that was asked for is on its way.
  [[nodiscard]] bool is_flushed() const;

 private:
  // A question with one answer, asked again after a reconnection.
  struct Call {
    protocol::Message message;
    MonoTime deadline;
    uint64_t session = 0;     // in which it was last sent
    protocol::Answer answer;  // the parts so far
    WatchDone on_watch;
    CancelDone on_cancel;  // of a CANCEL or a PURGE
    RetryDone on_retry;
    AnswerDone on_answer;
  };

  void add_call(Call call);
  void add_watch(std::vector<JobId> jobs, bool events, MonoTime deadline, WatchDone done);
  // Each: whether the listener or a caller may have heard something.
  bool receive(MonoTime now);
  bool on_time(MonoTime now);
  void on(protocol::SubmitAck& ack, MonoTime now);
  void on(protocol::Results& results);
  void on(protocol::Events& events);
  void on(protocol::WatchAck& ack);
  void on(protocol::CancelAck& ack);
  void on(protocol::RetryAck& ack);
  void on(protocol::Answer& answer);
  void on_accepted(const protocol::JobEntry& entry, const protocol::SubmitAck::Item* item,
                   const SubmitFlags& flags);
  // With its events if any wish for it asks for them, as the broker keeps it.
  void follow(const JobId& job, bool events);
  void on_new_session();
  void report_early(const JobId& job);
  void send_all(MonoTime now);
  void finish(Call& call, const Error& error);
  void refuse(const Outbox::Refusal& refusal);
  void finish_all(const Error& error);
  void rewatch();
  [[nodiscard]] bool has_unsent() const;
  [[nodiscard]] bool is_pinned() const { return watched_.size() != 0 || !outbox_.empty(); }
  [[nodiscard]] Millis sleep_for(Millis max_wait, MonoTime now) const;

  Options options_;
  Listener& listener_;
  Links links_;
  Outbox outbox_;
  std::vector<Outbox::Refusal> invalid_;  // found at submit(), reported by the next run()
  std::map<uint64_t, Call> calls_;        // by request number
  FlatMap<JobId, IdTailHash> watched_;    // with its events?
  // Results that came before the acknowledgement that tells whose they are.
  std::unordered_map<JobId, protocol::Results> early_;
  uint64_t next_request_ = 1;
  uint64_t session_ = 0;  // as of Links
  MonoTime last_sent_;
  bool is_over_ = false;
};

}  // namespace zgrid::client
