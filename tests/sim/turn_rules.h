// What each turn of the broker's core may do, judged by its records and sends and by what the core
// was told in that turn: the grid's clock, losses, jobs that must be alone, wedged attempts,
// retention. It reckons clock, hands and limits by itself and asks the core for nothing.
// Threads: one world, one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "broker/core/core.h"
#include "tests/sim/world.h"

namespace zgrid::sim {

struct Row;

class TurnRules {
 public:
  explicit TurnRules(World& world) : world_(world) {}

  // ---- what the broker should do; and what its store has when it starts ----
  void configure(const broker::CoreConfig& config) { config_ = config; }
  void on_broker_start(const std::map<JobId, Row>& rows);
  void on_committed(std::span<const broker::Record> records);

  // ---- one turn, in this order ----
  void begin(Now now);
  // Before the core gets it. `is_current`: of the session that its worker introduced itself with.
  void hear(const WorkerId& worker, bool is_current, const protocol::Message& message);
  void on_lease_ended(const WorkerId& worker) { lost_now_.insert(worker); }
  // `is_last`: the broker stops in good order; nothing that is due is done any more.
  void end(const broker::Effects& effects, bool is_last);

  // What the job was submitted with; null: unknown.
  [[nodiscard]] const broker::PutJob* accepted(const JobId& id) const;
  // A worker that has a job in hand which must be alone; for planted bugs.
  [[nodiscard]] WorkerFactsRef alone_worker() const;
  [[nodiscard]] bool is_wedged_now(const JobId& id) const;
  [[nodiscard]] std::vector<JobId> purged_in(uint64_t number) const;

  struct Tally {
    uint64_t losses = 0, forgiven = 0, alone = 0, dead = 0, wedged = 0, purged = 0, forgotten = 0;
    uint64_t deadlines = 0, retries = 0;
    void add(const Tally& other);
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  struct LostTo {
    WorkerId worker;
    BootId boot;
    MonoTime at;
  };
  struct Job {
    broker::PutJob accepted;
    broker::PutState state;
    std::optional<GridTime> ended;
    uint64_t bytes = 0;
    bool purged = false;
    bool alone = false;              // its current attempt must be
    std::optional<WorkerId> worker;  // who has it in hand, as the broker must believe
    std::vector<LostTo> lost_to;     // losses that may be taken back
  };
  struct Purged {
    GridTime at;
    std::vector<JobId> jobs;
  };
  struct Wedged {
    JobId job;
    uint32_t losses = 0;
    WedgedAction action = WedgedAction::warn;
  };

  void violate(const std::string& what) { world_.violate(what); }
  void hear(const WorkerId& worker, const protocol::Ready& ready);
  void hear(const WorkerId& worker, const protocol::Heartbeat& beat);
  void apply(const broker::PutJob& record);
  void apply(const broker::PutState& record);
  void apply(const broker::PutEnd& record);
  void apply(const broker::Purge& record);
  void apply(const broker::Forget& record);
  void apply(const broker::PutClock& record);
  void apply(const broker::PutDrain&) {}
  void check_retry(const broker::PutJob& record);
  void check_key(const broker::PutJob& record);
  void check_losses(Job& job, const broker::PutState& record);
  void count_loss(Job& job, const char* what);
  void check_assignment(Job& job, const broker::PutState& record);
  void check_order(const Job& job);
  void take_from_hand(Job& job);
  void check_deadlines(const broker::Effects& effects);
  void check_wedged();
  void check_forgiven();
  [[nodiscard]] GridTime deadline_of(const Job& job) const;
  Job* find(const JobId& id);

  World& world_;
  broker::CoreConfig config_;
  std::map<JobId, Job> jobs_;  // not forgotten
  std::map<WorkerId, std::vector<JobId>> hands_;
  std::map<std::string, JobId> keys_;  // whose they are
  std::map<uint64_t, Purged> purges_;
  std::set<std::pair<GridTime, JobId>> deadlines_;
  uint64_t kept_ = 0, kept_bytes_ = 0;
  std::multiset<GridTime> kept_ends_;  // of the jobs that are kept

  Now now_;
  std::optional<MonoTime> started_at_;
  GridTime grid_, grid_at_start_;
  bool went_back_ = false;  // at a restart: little of the time before it was stored
  // Of what is committed.
  std::optional<broker::PutClock> clock_;
  std::map<uint64_t, Purged> committed_purges_;

  std::map<WorkerId, BootId> boots_;
  std::map<WorkerId, uint32_t> slots_;
  std::set<Nonce> started_;                    // that an attempt began
  std::set<std::pair<JobId, JobId>> retries_;  // asked for: old and new id
  // Of this turn.
  std::set<WorkerId> lost_now_, rebooted_now_, back_now_, introduced_now_;
  std::map<WorkerId, uint32_t> unstarted_losses_;
  std::map<Nonce, Wedged> wedged_now_;
  std::set<Nonce> heard_of_;   // that an attempt is over
  std::set<JobId> purge_now_;  // asked for
  Tally tally_;
};

}  // namespace zgrid::sim
