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
#include "broker/core/list.h"
#include "broker/core/outbox.h"

namespace zgrid::broker {

struct Demand;
struct Group;
struct Job;
struct RunQueue;
struct Worker;

// A spec that at least one unfinished job has.
struct SpecEntry {
  SpecRef spec;     // with the broker's defaults filled in
  Bytes raw;        // as it was submitted
  Hash128 hash;     // of raw
  WorkerId pinned;  // of a broadcast's children; nil otherwise
  Demand* demand = nullptr;
  RunQueue* queue = nullptr;
  size_t jobs = 0;  // how many jobs refer to it
};

// The latest events of a running attempt, for those who attach later.
struct EventLog {
  std::deque<JobEvent> events;
  size_t bytes = 0;
  bool cut = false;  // older ones were dropped
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
};

struct Job {
  JobId id;
  uint64_t seq = 0;
  SpecEntry* entry = nullptr;
  Payload input;
  uint64_t index = 0;
  Hash128 body;
  WallTime submitted, not_before, assigned;

  JobStatus status = JobStatus::queued;
  bool started = false;           // the worker said so
  bool cancel_requested = false;  // stored, and sent to the worker
  bool deadline_passed = false;
  bool ended_by_broker = false;  // not by a worker's result
  bool recalled = false;         // asked back from its worker
  uint32_t attempt = 0;
  uint32_t failures = 0, losses = 0;
  Nonce nonce;               // nil: no attempt is current
  Worker* worker = nullptr;  // who has it in hand; null after a restart until it came back
  WorkerFactsRef last_worker;
  uint64_t accepted_turn = 0;  // 0: in an earlier life

  SessionId watcher = SessionId::none;    // gets the result
  SessionId submitter = SessionId::none;  // counts it as in flight
  std::unique_ptr<JobExtra> extra;

  Link<Job> queue_link;   // in RunQueue::jobs while queued
  Link<Job> worker_link;  // in Worker::jobs while in hand

  JobExtra& more() {
    if (!extra) extra = std::make_unique<JobExtra>();
    return *extra;
  }
  [[nodiscard]] const JobSpec& spec() const { return entry->spec->job; }
};
using JobQueue = List<Job, &Job::queue_link>;
using JobsInHand = List<Job, &Job::worker_link>;

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
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  Key key;
  std::map<std::pair<uint8_t, std::string>, std::unique_ptr<RunQueue>> queues;
  std::array<RunTurns, limits::kPriorityMax + 1> turns;  // run queues that hold jobs
  size_t queued = 0;
  std::vector<Group*> groups;  // that match; valid for `generation`
  uint64_t generation = 0;
  Link<Demand> ready_link;  // in State::ready while queued > 0
};
using ReadyDemands = List<Demand, &Demand::ready_link>;

// Workers with equal services, tags and version.
struct Group {
  struct Order {
    uint32_t load = 0;       // attempts in hand per slot, in thousandths
    uint64_t last_used = 0;  // ties go round robin
    uint64_t number = 0;     // the worker's, so that the order never depends on an address
    Worker* worker = nullptr;
    friend bool operator<(const Order& a, const Order& b) {
      return std::tie(a.load, a.last_used, a.number) < std::tie(b.load, b.last_used, b.number);
    }
  };
  std::vector<std::string> services;  // sorted
  std::vector<std::pair<std::string, std::string>> tags;
  std::string version;
  std::set<Order> candidates;  // online, not draining, with credit
  size_t workers = 0;          // all that are online
};

struct Worker {
  WorkerFactsRef facts;
  BootId boot;
  uint64_t number = 0;
  SessionId session = SessionId::none;
  bool online = false;
  bool drained = false;   // by `zgrid drain`: stored, belongs to the id
  bool draining = false;  // by SIGTERM: belongs to the boot id
  uint32_t slots = 1, window = 1;
  uint32_t load_permille = 0;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> services;
  MonoTime lease_until, last_seen, lost_at;
  std::vector<JobId> lost_jobs;  // whose losses are taken back if it returns in time
  JobsInHand jobs;               // in order of assignment
  Group* group = nullptr;
  std::optional<Group::Order> place;  // in group->candidates
  uint64_t last_used = 0;
  uint64_t done = 0, failed = 0;
  Usage usage;

  [[nodiscard]] bool takes_work() const { return online && !drained && !draining; }
  [[nodiscard]] bool has_credit() const { return jobs.size() < window; }
};

struct ClientSession {
  std::string owner;  // user@host
  MonoTime last_seen;
  uint64_t in_flight = 0;
};

struct Ended {
  Hash128 body;
  JobStatus status = JobStatus::succeeded;
  uint32_t attempt = 0;    // the last one; its result was accepted
  bool by_broker = false;  // unless the broker ended the job itself (kept for this life only)
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
  uint64_t turn = 0;
  bool refusing = false;
  std::optional<MonoTime> started_at;  // of the first turn
  MonoTime next_beat, next_recall;

  Effects effects;
  Outbox outbox;

  uint64_t next_seq = 1;
  std::unordered_map<JobId, std::unique_ptr<Job>> jobs;  // unfinished; only looked up
  std::unordered_map<JobId, Ended> ended;
  std::unordered_map<std::string, JobId> keys;
  std::map<std::string, JobId> newest_of_owner;
  std::unordered_map<JobId, std::vector<JobId>> broadcasts;  // of ended ones
  std::set<JobId> detached;  // running, but their worker has not come back after a restart
  std::set<Timer> timers;

  std::map<std::pair<std::string, WorkerId>, std::unique_ptr<SpecEntry>> specs;  // by raw, pinned
  std::map<Demand::Key, std::unique_ptr<Demand>> demands;
  ReadyDemands ready;
  std::map<std::string, std::unique_ptr<Group>> groups;
  uint64_t group_generation = 1;

  std::map<WorkerId, std::unique_ptr<Worker>> workers;
  std::unordered_map<SessionId, Worker*> worker_of_session;
  std::map<std::string, Worker*> online_by_name;
  std::map<SessionId, ClientSession> clients;
  std::set<WorkerId> drained;  // also of workers that are not here
  uint64_t next_worker_number = 1;
  uint64_t assignments = 0;

  Core::Counts counts;
  std::array<uint64_t, kJobStatusCount> by_status{};
  uint64_t malformed = 0;
};

// ---- specs and queues (queue.cpp) -----------------------------------------------------

SpecEntry* intern(State& s, const SpecRef& spec, const WorkerId& pinned);
void acquire(SpecEntry* entry);
void release(State& s, SpecEntry* entry);
void enqueue(State& s,
             Job& job);  // to the end of its run's queue, or by age if it was there before
void dequeue(State& s, Job& job);
Job* head_of(Demand& demand, uint8_t priority);  // whose turn it is
void end_turn_of_run(Demand& demand, uint8_t priority);

// ---- workers and matching (match.cpp) -------------------------------------------------

void join_group(State& s, Worker& worker);
void leave_group(State& s, Worker& worker);
void update_place(Worker& worker);  // after its load, credit or state changed
Worker* find_candidate(State& s, Demand& demand);
// Whether a worker that is online could ever run it, busy or not.
bool anyone_offers(State& s, Demand& demand);
// Those that could run it now, in order of their number: a broadcast's targets.
std::vector<Worker*> offering(State& s, const Demand& demand);
bool can_run(const Worker& worker, const Demand::Key& key);
void assign_all(State& s);
void recall_excess(State& s);

// ---- jobs (lifecycle.cpp) -------------------------------------------------------------

Job* find_job(State& s, const JobId& id);
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
MonoTime mono_of(const State& s, WallTime wall);
// What a job lost: its worker died or was restarted.
void on_attempt_lost(State& s, Job& job, bool counts, const std::string& reason);
void add_watcher(Job& job, SessionId session);
// Sends what was kept of the job's events, then the new ones.
void add_event_watcher(State& s, Job& job, SessionId session);

// ---- events, a file each --------------------------------------------------------------

void on_submit(State& s, SessionId session, ClientSession& client, protocol::Submit&& m);
void on_watch(State& s, SessionId session, protocol::Watch&& m);
void on_cancel(State& s, SessionId session, const protocol::Cancel& m);
void on_query(State& s, SessionId session, const ClientSession& client, const protocol::Query& m);
void on_control(State& s, SessionId session, const protocol::Control& m);
void cancel_job(State& s, Job& job);

protocol::Welcome make_welcome(const State& s);
void on_ready(State& s, SessionId session, protocol::Ready&& m);
void on_heartbeat(State& s, Worker& worker, protocol::Heartbeat&& m);
void on_disconnect(State& s, Worker& worker);
void on_worker_lost(State& s, Worker& worker, const std::string& reason);
void on_final(State& s, Worker& worker, protocol::Final&& m);
void on_partial(State& s, Worker& worker, protocol::Partial&& m);
void on_released(State& s, Worker& worker, const protocol::Released& m);
void on_started(State& s, Worker& worker, const protocol::Started& m);

void finish_restore(State& s);  // in the first turn: timers and the grace of what was running
void fire_timers(State& s);
void expire_leases(State& s);
void send_heartbeats(State& s);

}  // namespace zgrid::broker
