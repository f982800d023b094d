// The tables of the core. Only the files of this folder include it.
//
//   Job ──▶ SpecEntry ──▶ Demand ◀──matches──▶ Group ──▶ Worker
//
// Many jobs share a spec entry; spec entries that need the same are one demand; workers that offer
// the same are one group. Matching compares demands with groups, never jobs with workers.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/core/core.h"
#include "broker/core/feed.h"
#include "broker/core/history.h"
#include "broker/core/job_table.h"
#include "broker/core/list.h"
#include "broker/core/outbox.h"
#include "protocol/base/flat_map.h"

namespace zgrid::broker {

struct Demand;
struct Group;
struct Job;
struct RunQueue;
struct Worker;

// A spec that at least one unfinished job has.
struct SpecEntry {
  SpecRef spec;        // with the broker's defaults filled in
  Bytes raw;           // as it was submitted
  Hash128 hash;        // of raw
  WorkerId pinned;     // of a broadcast's children; nil otherwise
  bool alone = false;  // for jobs that lost two workers
  Demand* demand = nullptr;
  RunQueue* queue = nullptr;
  size_t jobs = 0;  // how many jobs refer to it
};

// What its worker told last of a running attempt.
struct Life {
  MonoTime active_at;  // its last sign: CPU time, or output
  bool stopped = false;
  bool wedged = false;
};

// Whose jobs these are: user@host.
struct Owner {
  std::string name;
  uint64_t in_flight = 0;  // unfinished jobs
  JobId newest;
};

// What few jobs have.
struct JobExtra {
  EventLog log;
  std::string key, trace;
  JobId retry_of;
  JobId parent;                 // of a broadcast's child
  std::vector<JobId> children;  // of a broadcast
  size_t children_left = 0;
  JobStatus worst_child = JobStatus::succeeded;
  std::vector<SessionId> watchers;  // beyond Job::watcher
  std::vector<SessionId> event_watchers;
  Life life;
  std::vector<std::string> lost;  // why each lost attempt was lost
  Spent spent;
};

struct Job {
  JobId id;
  uint64_t seq = 0;
  SpecEntry* entry = nullptr;
  Payload input;            // its data is empty if it is in the store only
  uint64_t input_size = 0;  // in either case
  uint64_t index = 0;
  Hash128 body;
  WallTime submitted, assigned;
  GridTime accepted, not_before;

  JobStatus status = JobStatus::queued;
  bool started = false;           // the worker said so
  bool cancel_requested = false;  // stored, and sent to the worker
  bool deadline_passed = false;
  bool ended_by_broker = false;  // not by a worker's result
  bool recalled = false;         // asked back from its worker
  bool input_stored = false;     // the input is in the store only
  uint32_t attempt = 0;
  uint32_t failures = 0, losses = 0;
  Nonce nonce;               // nil: no attempt is current
  Worker* worker = nullptr;  // who has it in hand; null after a restart until it came back
  WorkerFactsRef last_worker;
  uint64_t accepted_turn = 0;  // 0: in an earlier life

  SessionId watcher = SessionId::none;  // gets the result
  Owner* owner = nullptr;               // null: of a broadcast's child
  std::unique_ptr<JobExtra> extra;

  Link<Job> link;  // in RunQueue::jobs while queued, in Worker::jobs while in hand

  JobExtra& more() {
    if (!extra) extra = std::make_unique<JobExtra>();
    return *extra;
  }
  [[nodiscard]] const JobSpec& spec() const { return entry->spec->job; }
};
using JobQueue = List<Job, &Job::link>;
using JobsInHand = List<Job, &Job::link>;

// The queued jobs of one run, demand and priority: oldest first.
struct RunQueue {
  std::string run;
  uint8_t priority = 0;
  Demand* demand = nullptr;
  JobQueue jobs;
  size_t entries = 0;  // spec entries that refer to it
  Link<RunQueue> turn_link;
};
using RunTurns = List<RunQueue, &RunQueue::turn_link>;

// What jobs need of a worker. Its runs take turns within each priority.
struct Demand {
  struct Key {
    std::string service;
    Target target;
    std::string version;
    WorkerId pinned;
    bool alone = false;  // on a worker that has nothing else in hand
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  Key key;
  std::map<std::pair<uint8_t, std::string>, std::unique_ptr<RunQueue>> queues;
  std::array<RunTurns, limits::kPriorityMax + 1> turns;  // run queues that hold jobs
  size_t queued = 0;
  Worker* emptying = nullptr;  // of an `alone` one: gets no other jobs until it has none
  std::vector<Group*> groups;  // that match; valid for `generation`
  uint64_t generation = 0;
  Link<Demand> ready_link;  // in State::ready while queued > 0
};
using ReadyDemands = List<Demand, &Demand::ready_link>;

// Where a worker stands among its group's candidates.
struct Place {
  uint32_t load = 0;   // attempts in hand per slot, in thousandths
  uint64_t since = 0;  // counts: of equal ones who has waited longest is first
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct Worker {
  // What every assignment and every result touches comes first: with thousands of workers these
  // lines of memory are what matching costs.
  SessionId session = SessionId::none;
  MonoTime lease_until, last_seen;
  JobsInHand jobs;  // in order of assignment
  uint32_t slots = 1, window = 1;
  uint32_t alone = 0;  // of the jobs in hand, those that must be alone
  bool online = false;
  bool drained = false;   // by `zgrid drain`: stored, belongs to the id
  bool draining = false;  // by SIGTERM: belongs to the boot id
  bool overfull = false;  // more in hand than slots; counted in State::overfull
  Group* group = nullptr;
  std::optional<Place> place;  // among the group's candidates
  Link<Worker> place_link;
  Demand* reserved = nullptr;  // that it is being emptied for
  WorkerFactsRef facts;
  uint64_t last_used = 0;
  uint64_t done = 0, failed = 0;
  Usage usage;

  uint64_t number = 0;
  BootId boot;
  uint32_t load_permille = 0;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
  MonoTime lost_at;
  std::vector<JobId> lost_jobs;    // whose losses are taken back if it returns in time
  std::optional<int32_t> skew_ms;  // of its clock, as its last heartbeat told

  [[nodiscard]] bool takes_work() const { return online && !drained && !draining; }
  [[nodiscard]] bool has_credit() const {
    return jobs.size() < window && alone == 0 && reserved == nullptr;
  }
};
using Candidates = List<Worker, &Worker::place_link>;

// Has the processor fetch what every assignment and every result touches, all at once.
inline void prefetch(const Worker& worker) {
  constexpr size_t kLine = 64, kTouched = 3;
  const auto* const first = reinterpret_cast<const char*>(&worker);
  for (size_t i = 0; i < kTouched; ++i) __builtin_prefetch(first + i * kLine, 1);
}

// Workers with equal services, tags and version.
struct Group {
  std::vector<std::string> services;  // sorted
  std::vector<std::pair<std::string, std::string>> tags;
  std::string version;
  // Online, not draining, with credit: by their load, who came to it first in front. No list is
  // empty.
  std::map<uint32_t, Candidates> candidates;
  std::map<uint32_t, Candidates>::node_type spare;  // of a list that became empty
  size_t workers = 0;                               // all that are online
};

// The workers by their sessions: every message of a worker begins here.
class SessionTable {
 public:
  // Null if it is no worker's.
  [[nodiscard]] Worker* find(SessionId session) const {
    const auto place = places_.find(static_cast<uint64_t>(session));
    return place ? reinterpret_cast<Worker*>(static_cast<uintptr_t>(*place)) : nullptr;
  }
  void set(SessionId session, Worker& worker) {
    places_.set(static_cast<uint64_t>(session), reinterpret_cast<uintptr_t>(&worker));
  }
  void erase(SessionId session) { places_.erase(static_cast<uint64_t>(session)); }
  [[nodiscard]] size_t size() const { return places_.size(); }

 private:
  NumberMap places_;
};

struct ClientSession {
  Owner* owner = nullptr;
  MonoTime last_seen;
};

// A submit of broadcasts that came before every worker could be back.
struct Waiting {
  SessionId session = SessionId::none;
  protocol::Submit submit;
};

enum class TimerKind : uint8_t { start, deadline, pinned_lost, grace };
struct Timer {
  MonoTime at;
  TimerKind kind = TimerKind::start;
  JobId job;
  friend auto operator<=>(const Timer&, const Timer&) = default;
};

struct State {
  State(CoreConfig configuration, Entropy& random);

  CoreConfig config;
  Entropy& entropy;
  Now now;
  GridTime grid;  // the grid clock's now
  uint64_t turn = 0;
  std::string refusing;                // why the store takes nothing new; empty: it does
  uint64_t unwritten = 0;              // bytes that wait for the store, with those of this turn
  uint64_t put_off = 0;                // bytes that were refused for that since it was little
  std::optional<MonoTime> started_at;  // of the first turn
  std::optional<PutClock> stored_clock;
  GridTime last_sign;  // the latest time in a restored row: for stores that had no clock yet
  GridTime grid_at_start;
  MonoTime clock_put_at;  // when it was stored last
  MonoTime next_beat, next_recall, next_retention, next_lease;
  size_t beat_turn = 0, beat_turns = 1;  // heartbeats leave in so many turns
  // Of the workers as these turns began, and who came since; a part in each.
  std::vector<SessionId> beats;
  size_t beats_sent = 0;
  MonoTime workers_back_at;  // after a restart; until then a broadcast does not know its targets
  std::vector<Waiting> waiting;

  Effects effects;
  Outbox outbox;

  uint64_t next_seq = 1;
  JobTable<Job> jobs;  // unfinished
  History history;     // ended
  Feed feed;
  PastLogs past_logs;
  std::unordered_map<std::string, JobId> keys;
  std::map<std::string, std::unique_ptr<Owner>> owners;
  std::set<JobId> detached;  // running, but their worker has not come back after a restart
  std::set<Timer> timers;

  struct SpecKey {
    std::string raw;
    WorkerId pinned;
    bool alone = false;
    friend auto operator<=>(const SpecKey&, const SpecKey&) = default;
  };
  std::map<SpecKey, std::unique_ptr<SpecEntry>> specs;
  // The only one that may be without jobs: who hands in one job after the other mostly sends the
  // same, and to make its queue anew each time costs as much as the job.
  SpecEntry* idle_spec = nullptr;
  std::map<Demand::Key, std::unique_ptr<Demand>> demands;
  ReadyDemands ready;
  std::map<std::string, std::unique_ptr<Group>> groups;
  uint64_t group_generation = 1;

  std::map<WorkerId, std::unique_ptr<Worker>> workers;
  SessionTable worker_of_session;
  std::map<std::string, Worker*> online_by_name;
  std::map<SessionId, ClientSession> clients;
  std::map<WorkerId, std::string> drained;  // names; also of workers that are not here
  size_t overfull = 0;                      // workers with more in hand than slots
  uint64_t next_worker_number = 1;
  uint64_t assignments = 0, placements = 0;

  Core::Counts counts;
  std::array<uint64_t, kJobStatusCount> by_status{};
  uint64_t malformed = 0;
};

// ---- specs and queues (queue.cpp) -----------------------------------------------------

SpecEntry* intern(State& s, const SpecRef& spec, const WorkerId& pinned, bool alone = false);
void acquire(SpecEntry* entry);
void release(State& s, SpecEntry* entry);
void enqueue(State& s,
             Job& job);  // to the end of its run's queue, or by age if it was there before
void dequeue(State& s, Job& job);
// Into the queue that its losses ask for.
void refresh_entry(State& s, Job& job);
Job* head_of(Demand& demand, uint8_t priority);  // whose turn it is
void end_turn_of_run(Demand& demand, uint8_t priority);

// ---- workers and matching (match.cpp) -------------------------------------------------

void join_group(State& s, Worker& worker);
void leave_group(State& s, Worker& worker);
void update_place(State& s, Worker& worker);  // after its load, credit or state changed
void add_in_hand(State& s, Worker& worker, Job& job);
void remove_in_hand(State& s, Job& job);
void count_overfull(State& s, Worker& worker);
void stop_emptying(State& s, Demand& demand);  // whoever is being emptied for it
Worker* find_candidate(State& s, Demand& demand);
// Whether a worker that is online could ever run it, busy or not.
bool anyone_offers(State& s, Demand& demand);
// Those that could run it now, in order of their number: a broadcast's targets.
std::vector<Worker*> offering(State& s, const Demand& demand);
bool can_run(const Worker& worker, const Demand::Key& key);
// "1.4" is demanded of "1.4.2": the program's major.minor.
bool version_fits(const std::string& version, const std::string& demanded);
void assign_all(State& s);
void recall_excess(State& s);

// ---- jobs (lifecycle.cpp) -------------------------------------------------------------

Job* find_job(State& s, const JobId& id);
// For a list of jobs that will each be looked for: of a million, few are in the processor's cache,
// and it can wait for all of them at once.
void prefetch_job(const State& s, const JobId& id);
void set_status(State& s, Job& job, JobStatus status);
void put_state(State& s, const Job& job);
void detach_from_worker(State& s, Job& job);
// Back into the queue, to run again at once.
void requeue(State& s, Job& job);
// Back into the queue after a pause.
void requeue_later(State& s, Job& job, Millis pause);
// The end. The job is gone afterwards.
void end_job(State& s, Job& job, Outcome outcome, Payload output);
// Of several outcomes the severest is told.
int severity(JobStatus status);
// As its worst child did.
void end_broadcast(State& s, Job& parent);
void end_by_broker(State& s, Job& job, JobStatus status, JobErrorKind kind, std::string message);
void set_timer(State& s, MonoTime at, TimerKind kind, const JobId& job);
void notify_status(State& s, Job& job);
void keep_event(Job& job, const JobEvent& event);
MonoTime mono_of(const State& s, GridTime time);
// What a job lost: its worker died or was restarted.
void on_attempt_lost(State& s, Job& job, bool counts, const std::string& reason);
void add_watcher(Job& job, SessionId session);
// Counts the time since it was queued last, before it is queued again.
void end_stay(State& s, Job& job);
// Sends what was kept of the job's events, then the new ones.
void add_event_watcher(State& s, Job& job, SessionId session);

// ---- what people are told (feed.cpp) ---------------------------------------------------

// A line of the log and an event of the feed. The fields "job" and "worker" are who it is about.
using NoteFields = std::vector<std::pair<std::string_view, std::string>>;
void note(State& s, std::string_view name, bool is_warning, std::string text, NoteFields fields);
// An event of the feed for the state that a job has now.
void tell_status(State& s, const Job& job, std::string details = {});
void on_events(State& s, SessionId session, const protocol::Query& m);
void send_events(State& s, SessionId session, const JobId& job, uint32_t attempt,
                 const EventLog& log);
// What is kept of a job that ended.
void send_past_events(State& s, SessionId session, const JobId& job);

// ---- why (explain.cpp) ----------------------------------------------------------------

void on_explain(State& s, SessionId session, const ClientSession& client, const protocol::Query& m);
void on_explain_read(State& s, SessionId session, uint64_t request,
                     std::vector<Core::Explained> jobs);

// ---- the beginning (accept.cpp) -------------------------------------------------------

struct NewJob {
  JobId id;
  Owner* owner = nullptr;
  SpecEntry* spec = nullptr;
  Payload input;
  uint64_t index = 0;
  std::string key, trace;
  JobId retry_of, parent;
  std::vector<JobId> children;
  Hash128 body;
};

// How long a client should wait that a limit has refused.
inline constexpr uint32_t kRetryQueueFullMs = 500;
// What is accepted waits in memory until the disk has it, so a disk that is slower than the clients
// must bound it. 64 MiB are a fraction of a second of most disks; one input more may be above it.
inline constexpr uint64_t kUnwrittenBytesMax = 64u << 20;
// Who is refused for it comes back when the disk may have room: not all at once, or what is sent in
// vain would fill the line.
inline constexpr uint32_t kRetryUnwrittenMs = 200;
inline constexpr uint32_t kRetryUnwrittenMsMax = 5000;
inline constexpr uint64_t kWrittenBytesPerMs = 256u << 10;

Owner& owner_of(State& s, const std::string& name);
// The limit that so many jobs with such an input would break; nothing: none.
std::optional<Error> check_admission(State& s, const Owner& owner, uint64_t input, size_t jobs);
// Its record is in this turn's effects; it is in no queue yet.
Job& accept(State& s, NewJob fresh);
void start_life(State& s, Job& job);   // queued, or waiting for its time
void leave_input(State& s, Job& job);  // to the store alone

// ---- events, a file each --------------------------------------------------------------

void on_submit(State& s, SessionId session, ClientSession& client, protocol::Submit&& m);
void on_waiting(State& s);  // submits that waited for the workers
void on_retry(State& s, SessionId session, protocol::Retry&& m);
void on_retry_read(State& s, SessionId session, uint64_t request, std::vector<Core::Retried> jobs);
void on_purge(State& s, SessionId session, const protocol::Purge& m);
// The results of jobs that ended, from the store if that still has them.
void send_past_results(State& s, SessionId session, const std::vector<JobId>& ids);
void on_watch(State& s, SessionId session, protocol::Watch&& m);
void on_cancel(State& s, SessionId session, const protocol::Cancel& m);
void on_query(State& s, SessionId session, const ClientSession& client, const protocol::Query& m);
void on_control(State& s, SessionId session, const protocol::Control& m);
// Full, "last" (this client's newest job), or a unique tail of at least four characters.
Result<JobId> resolve(const State& s, const ClientSession& client, const std::string& selector);
protocol::WorkerView view_of(const State& s, const Worker& worker);
void cancel_job(State& s, Job& job);
protocol::CancelAck::Item state_of(State& s, const JobId& id);  // what it is now

protocol::Welcome make_welcome(const State& s);
void on_ready(State& s, SessionId session, protocol::Ready&& m);
void on_heartbeat(State& s, Worker& worker, protocol::Heartbeat&& m);
void on_disconnect(State& s, Worker& worker);
void on_worker_lost(State& s, Worker& worker, const std::string& reason);
void on_final(State& s, Worker& worker, protocol::Final&& m);
void on_partial(State& s, Worker& worker, protocol::Partial&& m);
void on_released(State& s, Worker& worker, const protocol::Released& m);
void on_started(State& s, Worker& worker, const protocol::Started& m);
void look_at_life(State& s, Job& job, const protocol::InHand& item);

void finish_restore(State& s);  // in the first turn: timers and the grace of what was running
void fire_timers(State& s);
void expire_leases(State& s);
void send_heartbeats(State& s);

// ---- retention and the grid clock (retention.cpp) -------------------------------------

void start_clock(State& s);    // in the first turn
void advance_clock(State& s);  // in each
void put_clock(State& s);      // its record, where one is due
void retain(State& s);         // purges and forgets what is due
MonoTime next_retention(State& s);

}  // namespace zgrid::broker
