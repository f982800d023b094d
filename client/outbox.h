// Submits on their way: gathered into lists, kept until acknowledged, sent again when in doubt.
// Threads: one thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "protocol/batch.h"
#include "protocol/messages.h"

namespace zgrid::client {

// One job to submit; entry.spec is filled in by the outbox.
struct Submission {
  SpecRef spec;
  protocol::JobEntry entry;
};
struct SubmitFlags {
  bool watch = true;          // its result is to be reported
  bool events = false;        // and its events
  bool rerun_failed = false;  // with a key: run again what did not succeed
  bool retry_full = true;     // try again while the broker is full, within the deadline
  friend bool operator==(const SubmitFlags&, const SubmitFlags&) = default;
};

// What a broker would refuse or the codec would cut, found before anything is sent: Errc::too_large
// for a payload, Errc::bad_input for a name or text over its limit.
Result<void> check_spec(const JobSpec& spec);
Result<void> check_submission(const Submission& submission);

// Whether the same can be accepted before long: the broker is full, or its store cannot write.
bool is_passing(const Error& error);
// When to try again what was refused for such a reason at `now`: after the broker's advice and up
// to half as much again, by chance taken from the id; once more shortly before the deadline if that
// would be too late; never() if there is no time for that either.
MonoTime next_try(const Error& error, const JobId& job, MonoTime now, MonoTime deadline);

class Outbox {
 public:
  // Jobs whose calls end within this of each other share a message.
  static constexpr Millis kDeadlineSpread{100};
  // When the broker is full and gives no advice.
  static constexpr Millis kRetryDefault{100};
  // The last try of a submit: so long before its deadline that the answer comes in time.
  static constexpr Millis kLastTry{100};

  struct Refusal {
    JobId job;
    Error error;
  };
  // An acknowledged batch with what was said of it.
  struct Acked {
    protocol::Submit submit;
    protocol::SubmitAck ack;
  };

  void add(Submission submission, const SubmitFlags& flags, MonoTime deadline);
  // Sends what was not sent in this session, oldest first, until `send` says false.
  void flush(uint64_t session, uint64_t& next_request,
             const std::function<bool(const protocol::Message&)>& send);
  // What was sent may have been lost: it is sent again in whatever session comes.
  void doubt_all();
  // Nothing if that request is not (any more) of this outbox. Entries refused for a reason that
  // passes are taken out of the ack and submitted again at their next_try(), all of them at once.
  std::optional<Acked> on_ack(protocol::SubmitAck ack, MonoTime now);
  // Requeues what waited for its retry, and returns what is out of time.
  std::vector<Refusal> on_time(MonoTime now);
  // Takes what waits for its retry; the broker has none of it.
  std::vector<JobId> withdraw();
  // Takes everything, because the connection is over.
  std::vector<Refusal> fail_all(const Error& error);

  // on_time() has nothing to do before; it may have nothing to do then, too.
  [[nodiscard]] MonoTime deadline() const;
  [[nodiscard]] bool empty() const { return batches_.empty() && retries_.empty(); }
  // The latest reason for which submits wait for another try; null: none does.
  [[nodiscard]] const Error* waits_for_room() const {
    // One that was sent again may be accepted by now: then nobody knows.
    return !retries_.empty() && batches_.empty() ? &retries_.rbegin()->second.error : nullptr;
  }
  [[nodiscard]] bool has_unsent(uint64_t session) const;
  // Ids that are not acknowledged yet.
  [[nodiscard]] std::unordered_set<JobId> pending() const;

 private:
  struct Batch {
    protocol::Message message;  // a Submit
    SubmitFlags flags;
    MonoTime deadline;
    uint64_t session = 0;  // in which it was last sent; 0 = never
    protocol::Submit& submit() { return std::get<protocol::Submit>(message); }
    [[nodiscard]] const protocol::Submit& submit() const {
      return std::get<protocol::Submit>(message);
    }
  };
  struct Retry {
    Submission submission;
    SubmitFlags flags;
    MonoTime deadline;
    Error error;
  };

  Batch& open_batch(const SubmitFlags& flags, MonoTime deadline);
  bool join(Batch& batch, Submission& submission);
  static void take_all(const Batch& batch, Error error, std::vector<Refusal>& into);

  // In order of submission; the last one is open while `meter_` counts for it.
  std::map<uint64_t, Batch> batches_;
  // Of a hundred thousand jobs in flight few are new and none is late, each turn: what comes before
  // `unsent_from_` was sent in `session_`, and no deadline is before `earliest_`.
  uint64_t session_ = 0, unsent_from_ = 0;
  MonoTime earliest_ = MonoTime::never();
  uint64_t next_key_ = 1;
  bool open_ = false;
  protocol::BatchMeter meter_;
  std::unordered_map<const Spec*, uint32_t> spec_index_;  // of the open batch
  std::unordered_map<uint64_t, uint64_t> by_request_;     // request number to key
  std::multimap<MonoTime, Retry> retries_;
};

}  // namespace zgrid::client
