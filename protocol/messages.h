// The native protocol ZGRID/1: one struct per message. docs/protocol.md is its specification.
//
// Majordomo's dialogue (READY, REQUEST, PARTIAL, FINAL, HEARTBEAT, DISCONNECT) with lists: a
// thousand small jobs cost one frame. What many entries share (specs, workers) is sent once a
// message and referred to by index; the codec refuses an index that points nowhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/job.h"

namespace zgrid::protocol {

inline constexpr uint8_t kVersion = 1;     // the newest that we speak
inline constexpr uint8_t kVersionMin = 1;  // the oldest that we speak

// The second element of every header. Never renumber.
enum class Kind : uint8_t {
  hello = 1,
  ready = 2,
  welcome = 3,
  refused = 4,
  heartbeat = 5,
  disconnect = 6,
  submit = 10,
  submit_ack = 11,
  watch = 12,
  watch_ack = 13,
  results = 14,
  events = 15,
  cancel = 16,
  cancel_ack = 17,
  query = 18,
  answer = 19,
  control = 20,
  retry = 21,
  retry_ack = 22,
  purge = 23,
  request = 30,
  final_ = 31,
  final_ack = 32,
  partial = 33,
  abort = 34,
  recall = 35,
  released = 36,
  started = 37,
};
std::string_view message_name(Kind kind);

// What a session may do. It comes from its CURVE key.
enum class Role : uint8_t { none = 0, broker = 1, worker = 2, client = 3, readonly = 4 };
std::string_view role_name(Role role);
// Whether a peer of that role may send that message to a broker.
bool may_send(Role role, Kind kind);

// ---- both ways ------------------------------------------------------------------------

// A client's first message.
struct Hello {
  uint8_t version_min = kVersionMin;
  uint8_t version_max = kVersion;
  std::string program_version;
  std::string user_host;   // user@host: whose newest job `last` is
  bool acks_ride = false;  // understands Results.accepted
};

// An attempt that a worker holds, with what it did last.
struct InHand {
  enum class State : uint8_t { queued = 0, running = 1, finished = 2 };
  Token token;
  State state = State::queued;
  Millis idle{0};       // since the attempt last showed activity
  uint64_t cpu_ms = 0;  // used by its processes so far
  uint64_t bytes_out = 0;
  bool stopped = false;  // its processes are stopped by a signal
};

// A worker's first message, and again after every reconnection.
struct Ready {
  uint8_t version_min = kVersionMin;
  uint8_t version_max = kVersion;
  WorkerFacts facts;
  BootId boot;
  uint32_t slots = 1;
  uint32_t window = 1;  // how many attempts it wants in hand at most
  bool draining = false;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
  std::vector<std::string> cache;
  StoreId store;       // the store its attempts belong to; nil = none
  uint64_t epoch = 0;  // the highest epoch seen of that store
  std::vector<InHand> in_hand;
  bool acks_ride = false;  // understands Request.settled
};

struct Welcome {
  uint8_t version = kVersion;
  std::string program_version;
  std::string broker_name;
  StoreId store;
  uint64_t epoch = 0;
  Millis heartbeat{1000};
  Millis lease{3000};
  WallTime now;
  bool durable = true;         // false with a memory store
  std::vector<Token> discard;  // of Ready.in_hand: abort these and forget them
};

// The answer to a hello that is not accepted, or to a message that may not be sent.
struct Refused {
  Error error;
};

// From a worker: its state. From clients and the broker: empty.
struct Heartbeat {
  uint32_t running = 0;        // slots in use
  uint32_t window = 0;         // 0 = unchanged
  uint32_t load_permille = 0;  // 1-minute load average per core
  bool draining = false;
  std::vector<InHand> in_hand;        // those that run
  std::vector<std::string> services;  // after a reload; empty = unchanged
  std::vector<std::string> cache_added, cache_dropped;
  WallTime now;  // a worker's clock, so that one that is wrong is noticed; 0 = not told
};

struct Disconnect {
  std::string reason;
};

// ---- client and broker ----------------------------------------------------------------

// One job of a list. `spec` indexes the message's specs.
struct JobEntry {
  JobId id;
  uint32_t spec = 0;
  Payload input;
  uint64_t index = 0;  // within a bulk; 0 = not part of one
  std::string key;     // idempotency key; empty = none
  std::string trace;   // W3C traceparent
  JobId retry_of;
};

struct Submit {
  uint64_t request = 0;
  bool watch = true;          // send the results of these jobs to me
  bool events = false;        // and their events
  bool rerun_failed = false;  // with a key: run again what did not succeed
  std::vector<SpecRef> specs;
  std::vector<JobEntry> jobs;
};

// Sent after the commit. Entries that are not listed were accepted as they are.
struct SubmitAck {
  struct Item {
    uint32_t entry = 0;  // index in Submit.jobs
    JobId job;           // the job this entry stands for; nil if refused
    JobStatus status = JobStatus::queued;
    bool duplicate = false;       // it was there before
    std::optional<Error> error;   // refused
    std::vector<JobId> children;  // of a broadcast, one for each frozen target
  };
  uint64_t request = 0;
  std::vector<Item> items;
};

// Asks for the results (and events) of jobs, from now on and once for those that ended.
struct Watch {
  uint64_t request = 0;
  std::vector<JobId> jobs;
  bool results = true;
  bool events = false;
  bool stop = false;  // end it instead
};
struct WatchAck {
  struct Item {
    JobId job;
    JobStatus status = JobStatus::queued;
    bool known = false;
  };
  uint64_t request = 0;
  std::vector<Item> items;
};

// The accepted outcome of jobs. `worker` and `head` index the message's tables.
struct JobHead {
  JobKind kind = JobKind::workflow;
  std::string name;  // the service
  std::string run;
  friend auto operator<=>(const JobHead&, const JobHead&) = default;
};
inline constexpr uint32_t kNoWorker = UINT32_MAX;
struct ResultEntry {
  JobId job;
  uint32_t attempt = 0;
  uint32_t worker = kNoWorker;
  uint32_t head = 0;
  uint64_t index = 0;
  Outcome outcome;  // its status may also be aborted or dead_letter: stamped by the broker
  Payload output;
  WallTime submitted, started, finished;
  JobId retry_of;
  std::string trace;
  bool purged = false;  // its retention is over: the state is known, the output is not
};
struct Results {
  std::vector<WorkerFactsRef> workers;
  std::vector<JobHead> heads;
  std::vector<ResultEntry> items;
  // Requests whose SUBMIT_ACK would have no items and rides here instead; to be read first. Only
  // for a client whose HELLO said acks_ride.
  std::vector<uint64_t> accepted;
};

struct Events {
  struct Item {
    JobId job;
    uint32_t attempt = 0;
    JobEvent event;
  };
  std::vector<Item> items;
};

struct Cancel {
  uint64_t request = 0;
  std::vector<JobId> jobs;
};
struct CancelAck {
  struct Item {
    JobId job;
    JobStatus status = JobStatus::cancelled;  // as it is now; not terminal = it is being stopped
    bool known = false;
  };
  uint64_t request = 0;
  std::vector<Item> items;
};

struct Query {
  enum class What : uint8_t {
    jobs = 0,
    workers = 1,
    status = 2,
    resolve = 3,
    explain = 4,
    runs = 5,
    events = 6
  };
  uint64_t request = 0;
  What what = What::jobs;
  uint32_t limit = 0;                  // jobs: newest first; 0 = all
  std::vector<JobStatus> states;       // jobs: none = every state
  std::string run;                     // jobs, resolve: of this run only
  std::vector<std::string> selectors;  // resolve, explain: full or shortened ids, "last"
  uint64_t since = 0;                  // events: those after this number; 0 = all that are kept
  bool follow = false;  // events: keep those of every job for a while, since I will ask again
};

// Something that happened on the grid. Numbers ascend, also over restarts of the broker.
struct GridEvent {
  uint64_t seq = 0;
  WallTime at;
  bool warning = false;
  std::string name;    // one word for scripts: worker_lost, job_failed, …
  JobId job;           // nil = about none
  std::string worker;  // its name; empty = about none
  std::string text;    // for people
};

struct JobSummary {
  JobId job;
  JobHead head;
  uint64_t index = 0;
  JobStatus status = JobStatus::queued;
  uint32_t attempt = 0;
  WorkerId worker_id;  // the current or last one; nil = never assigned
  std::string worker_name;
  WallTime submitted, started, finished;  // 0 = not yet
  std::string reason;                     // why it ended without success
  bool wedged = false;                    // it runs, but shows no sign of life
  Millis idle{0};                         // since its last sign of life
};
struct WorkerView {
  WorkerFacts facts;
  bool online = false;
  bool draining = false;
  uint32_t slots = 0;
  uint32_t free = 0;
  uint32_t in_hand = 0;
  uint32_t load_permille = 0;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
  uint64_t done = 0, failed = 0;  // attempts that ended here, since the broker started
  Usage usage;
  Millis last_seen{0};             // how long ago
  uint32_t wedged = 0;             // attempts in hand without a sign of life
  std::optional<int32_t> skew_ms;  // how far its clock is ahead of the broker's; none = not told
};
struct StatusView {
  std::string broker_name, program_version;
  StoreId store;
  uint64_t epoch = 0;
  bool durable = true;
  bool admitting = true;
  Millis uptime{0};
  std::vector<uint64_t> jobs;  // by JobStatus
  uint32_t workers_online = 0, slots = 0, free = 0;
  uint64_t stale_results = 0, duplicate_results = 0, malformed = 0;
  std::string refusing_reason;  // when not admitting
  uint64_t queued_bytes = 0;    // of inputs that wait
  uint64_t retained_jobs = 0;   // ended, with their results
  uint64_t retained_bytes = 0;  // of those, in the store
  uint64_t remembered = 0;      // ended and purged: id, key and state are known
};
// One answer, or several with `more` set in all but the last.
struct Answer {
  uint64_t request = 0;
  bool more = false;
  std::optional<Error> error;
  std::vector<JobSummary> jobs;
  std::vector<WorkerView> workers;
  std::optional<StatusView> status;
  std::string text;               // explain: JSON
  std::vector<GridEvent> events;  // oldest first
  bool gap = false;               // events after Query.since were dropped before the first of these
};

struct Control {
  enum class Op : uint8_t { drain = 0, undrain = 1, backup = 2 };
  uint64_t request = 0;
  Op op = Op::drain;
  std::string worker;  // name or id; backup: an absolute path on the broker's host
};

// Runs ended jobs again, as new jobs with retry_of. The new ids are the client's, so that asking
// twice is safe. Answered by RETRY_ACK.
struct Retry {
  struct Item {
    JobId job;
    JobId new_id;
  };
  uint64_t request = 0;
  std::vector<Item> items;
};
struct RetryAck {
  struct Item {
    JobId job;
    JobId new_id;  // nil if refused
    std::optional<Error> error;
  };
  uint64_t request = 0;
  std::vector<Item> items;
};

// Forgets the results of ended jobs before their time; ids, keys and states stay for theirs.
// Answered by CANCEL_ACK: those that have not ended are left alone.
struct Purge {
  uint64_t request = 0;
  std::vector<JobId> jobs;
};

// ---- broker and worker ----------------------------------------------------------------

struct Assignment {
  Token token;
  uint32_t spec = 0;
  Payload input;
  uint64_t index = 0;
  std::string trace;
};
// Majordomo's REQUEST.
struct Request {
  std::vector<SpecRef> specs;
  std::vector<Assignment> items;
  // Batches whose FINAL_ACK would refuse nothing and rides here instead; to be read first. Only for
  // a worker whose READY said acks_ride.
  std::vector<uint64_t> settled;
};

// Majordomo's FINAL. Batches are numbered by the worker from 1, anew with every session.
struct FinalEntry {
  Token token;
  Outcome outcome;
  Payload output;
};
struct Final {
  uint64_t batch = 0;
  uint32_t window = 0;  // 0 = unchanged
  std::vector<FinalEntry> items;
};
// After the commit: every result of that batch may be forgotten. Refused ones are listed.
struct FinalAck {
  enum class Verdict : uint8_t { duplicate = 0, stale = 1, unknown = 2 };
  struct Item {
    Token token;
    Verdict verdict = Verdict::stale;
  };
  uint64_t batch = 0;
  std::vector<Item> refused;
};

// Majordomo's PARTIAL.
struct Partial {
  struct Item {
    Token token;
    JobEvent event;
  };
  std::vector<Item> items;
};

// Ends attempts. `cancelled` and `deadline` are answered by a Final, `stale` by nothing.
struct Abort {
  enum class Reason : uint8_t { cancelled = 0, deadline = 1, stale = 2 };
  struct Item {
    Token token;
    Reason reason = Reason::stale;
  };
  std::vector<Item> items;
};

// Asks for attempts back that have not started; what is released may run elsewhere.
struct Recall {
  std::vector<Token> items;
};
struct Released {
  std::vector<Token> items;
};
// These attempts began to run. Short ones may end without it.
struct Started {
  std::vector<Token> items;
};

using Message = std::variant<Hello, Ready, Welcome, Refused, Heartbeat, Disconnect, Submit,
                             SubmitAck, Watch, WatchAck, Results, Events, Cancel, CancelAck, Query,
                             Answer, Control, Retry, RetryAck, Purge, Request, Final, FinalAck,
                             Partial, Abort, Recall, Released, Started>;

Kind kind_of(const Message& message);

}  // namespace zgrid::protocol
