// Knows the promises, and watches a world from outside: what is committed, what leaves the broker,
// what workers run and what clients hear. It never asks a core what it believes.
// Threads: one world, one thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "broker/store/job_store.h"
#include "protocol/messages.h"
#include "tests/sim/turn_rules.h"
#include "tests/sim/world.h"

namespace zgrid::sim {

// What the committed records of one job add up to.
struct Row {
  broker::PutJob job;
  broker::PutState state;
  std::optional<broker::PutEnd> end;
  bool purged = false;     // its result is gone
  bool forgotten = false;  // and its id
  uint32_t seen = 0;       // a bit for each status that was ever committed
  [[nodiscard]] JobStatus status() const { return end ? end->outcome.status : state.status; }
};

class Oracle {
 public:
  explicit Oracle(World& world) : world_(world), rules_(world) {}
  // Hears of the broker's turns in detail.
  [[nodiscard]] TurnRules& rules() { return rules_; }
  [[nodiscard]] const TurnRules& rules() const { return rules_; }

  // ---- the broker ----
  void on_broker_start();
  // Records that the core made in a turn; a crash may undo them.
  void on_issued(std::span<const broker::Record> records);
  // A batch reached the disk. It may be written again with the same number.
  void on_committed(uint64_t batch, std::span<const broker::Record> records);
  // A message leaves the broker, whatever becomes of it then. Links have names of their own.
  void on_broker_sends(uint64_t link, const protocol::Message& message);
  // Of how many workers the lease ended, and how many had been silent for a lease.
  void on_leases_ended(size_t ended, size_t silent);

  // ---- peers ----
  void on_submit_sent(uint64_t link, const protocol::Submit& submit);
  void on_final_sent(uint64_t link, const protocol::Final& final);
  void on_attempt_started(const std::string& worker, const Token& token);
  // The runner said so. `again`: the job may run once more because of it (a failure, given back).
  void on_attempt_ended(const std::string& worker, const Token& token, bool again);
  // The worker was told that nobody wants it.
  void on_attempt_disowned(const Token& token);
  void on_worker_died(const std::string& worker);
  void on_ready_sent(const std::string& worker, const protocol::Ready& ready);
  // Each result that a client gets for a job.
  void on_result_received(const std::string& client, const protocol::Results& results);

  // In this world brokers restart and nothing else goes wrong: what ran must not run again.
  void expect_no_second_run() { no_second_run_ = true; }
  // A world at rest: the store holds what was committed, and all of it has ended.
  void check_end(broker::JobStore& store);
  // What a broker counts by status must be what its store holds.
  void check_counts(const std::vector<uint64_t>& by_status);
  [[nodiscard]] bool counts_as(const std::vector<uint64_t>& by_status) const {
    return by_status == expected_counts();
  }

  [[nodiscard]] const Row* find(const JobId& id) const;
  [[nodiscard]] bool is_acknowledged(const JobId& id) const { return acknowledged_.contains(id); }
  // The attempt that is current in the core, as far as its records say; for planted bugs.
  [[nodiscard]] std::optional<Token> current(const JobId& id) const;
  [[nodiscard]] const std::map<JobId, Row>& rows() const { return rows_; }

  struct Tally {
    uint64_t accepted = 0, ended = 0, commits = 0, attempts = 0, restarts = 0, stale = 0;
  };
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  struct Issued {
    Nonce nonce;
    uint32_t attempt = 0;
    bool ended = false;
  };
  struct Attempt {
    Token token;
    std::string worker;
    bool ended = false;  // the runner is done with it
    bool again = false;  // and the job may run again because of it
    bool disowned = false;
    bool died = false;  // with its worker
  };
  [[nodiscard]] std::vector<uint64_t> expected_counts() const;
  void violate(const std::string& what) { world_.violate(what); }
  void commit(const broker::PutJob& record);
  void commit(const broker::PutState& record);
  void commit(const broker::PutEnd& record);
  void commit(const broker::Purge& record);
  void commit(const broker::Forget& record);
  void commit(const broker::PutClock&) {}
  void commit(const broker::PutDrain&) {}
  void issue(const broker::PutEnd& record);

  void must_be_seen(const char* where, const JobId& id, JobStatus status);
  void check(uint64_t link, const protocol::SubmitAck& ack);
  void check(uint64_t link, const protocol::WatchAck& ack);
  void check(uint64_t link, const protocol::CancelAck& ack);
  void check(uint64_t link, const protocol::Results& results);
  void check(uint64_t link, const protocol::Answer& answer);
  void check(uint64_t link, const protocol::Request& request);
  void check(uint64_t link, const protocol::Abort& abort);
  void check(uint64_t link, const protocol::Recall& recall);
  void check(uint64_t link, const protocol::RetryAck& ack);
  void check_purged(const protocol::ResultEntry& entry);
  void on_called_back(uint64_t link, const Token& token);
  void check(uint64_t link, const protocol::FinalAck& ack);
  void check(uint64_t link, const protocol::Events& events);
  template <class M>
  void check(uint64_t, const M&) {}  // promises and reveals nothing

  World& world_;
  TurnRules rules_;
  bool no_second_run_ = false;
  std::map<JobId, Row> rows_;
  std::set<Nonce> committed_nonces_;
  std::set<uint64_t> batches_;
  std::map<JobId, Issued> issued_;
  std::map<uint64_t, std::vector<JobId>> purges_;
  std::set<JobId> reborn_;  // accepted anew after they were forgotten
  std::set<std::pair<uint64_t, Nonce>> assigned_, called_back_;  // by link
  std::set<JobId> acknowledged_;
  std::map<std::pair<uint64_t, uint64_t>, std::vector<JobId>> submits_;  // by link and request
  std::map<std::pair<uint64_t, uint64_t>, std::vector<Token>> finals_;   // by link and batch
  std::map<Nonce, Attempt> attempts_;
  std::map<JobId, std::vector<Nonce>> attempts_of_;
  std::map<JobId, std::string> results_;  // what clients got first, as bytes
  Tally tally_;
};

}  // namespace zgrid::sim
