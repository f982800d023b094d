// Where jobs survive a restart.
//
// A store keeps one row for each job: what was accepted, the latest state, and the result. The
// core says what changed as records; all records of one commit become durable together or not at
// all. Several turns of the broker may share one commit (group commit); records of the same job
// in one commit may be folded into one write.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/job.h"

namespace zgrid::broker {

// ---- records --------------------------------------------------------------------------

// A job was accepted.
struct PutJob {
  JobId id;
  uint64_t seq = 0;  // order of acceptance, from 1, unique within the store
  SpecRef spec;
  Payload input;
  uint64_t index = 0;
  std::string key, trace, owner;  // owner: user@host
  JobId retry_of;
  JobId parent;                 // of a broadcast's child; nil otherwise
  WorkerId pinned;              // of a broadcast's child
  std::vector<JobId> children;  // of a broadcast
  Hash128 body;
  WallTime submitted;
};

// Its state changed. Not terminal.
struct PutState {
  JobId id;
  JobStatus status = JobStatus::queued;
  uint32_t attempt = 0;
  Nonce nonce;            // nil: no attempt is current
  WorkerFactsRef worker;  // the current or last one; null: none yet
  uint32_t failures = 0, losses = 0;
  bool cancel_requested = false;
  WallTime not_before;  // backoff or delayed start
  WallTime assigned;    // when the current or last attempt was
};

// It ended. Final: a store refuses nothing here, the core never ends a job twice.
struct PutEnd {
  JobId id;
  Outcome outcome;
  uint32_t attempt = 0;
  WorkerFactsRef worker;
  Payload output;
  WallTime started, finished;
};

// `zgrid drain` belongs to the worker's id.
struct PutDrain {
  WorkerId worker;
  bool draining = false;
};

using Record = std::variant<PutJob, PutState, PutEnd, PutDrain>;

// ---- what comes back ------------------------------------------------------------------

struct StoredJob {
  PutJob accepted;
  PutState state;  // the last one before the end
  std::optional<PutEnd> ended;
  [[nodiscard]] JobStatus status() const { return ended ? ended->outcome.status : state.status; }
};

// All that a broker keeps in memory of a job that ended.
struct EndedJob {
  JobId id;
  uint64_t seq = 0;
  Hash128 body;
  JobStatus status = JobStatus::succeeded;
  uint32_t attempt = 0;
  std::string key, owner;
  std::vector<JobId> children;  // of a broadcast
};

struct StoreInfo {
  StoreId id;
  uint64_t epoch = 0;  // raised and synced by open()
  bool durable = true;
  std::string description;  // for people: the path, "memory", …
};

// How a commit ended.
enum class Commit : uint8_t {
  durable,      // every record is on disk
  not_written,  // none is (disk full, server away): the same batch may be tried again
  unknown,      // none or all: try the same batch again, writing is idempotent
  fatal,        // a sync failed: nothing more may be believed, the process must stop with 74
};
struct CommitResult {
  Commit outcome = Commit::durable;
  std::string reason;  // empty when durable, unless low_space
  // Durable, but written into the store's reserve: accept nothing new until this is false again.
  bool low_space = false;
};

struct JobFilter {
  uint32_t limit = 50;  // newest first; 0 = all
  std::vector<JobStatus> states;
  std::string run;
};

// Threads: one thread at a time. Ownership: keeps no reference to its arguments.
class JobStore {
 public:
  virtual ~JobStore() = default;

  [[nodiscard]] virtual const StoreInfo& info() const = 0;
  // Makes every record durable, or none. Blocks until the disk has them, typically 0.2–10 ms.
  // After `fatal` only destruction is allowed.
  [[nodiscard]] virtual CommitResult commit(std::span<const Record> records) = 0;

  // Housekeeping that need not delay an answer: call it once a commit has been reported, and twice
  // a second while low_space is set. Up to some 10 ms. `durable`: all is well, or low_space says
  // that the disk is still full. `fatal`: as for commit().
  [[nodiscard]] virtual CommitResult tend() { return {}; }

  // For recovery, once after opening, in order of seq: every unfinished job, whole, and of each
  // ended one what must be remembered. Errc::corrupt names the first row that fails its checksum.
  struct Recovered {
    std::function<void(StoredJob&&)> unfinished;
    std::function<void(EndedJob&&)> ended;
    std::function<void(const PutDrain&)> drain;
  };
  [[nodiscard]] virtual Result<void> recover(const Recovered& into) = 0;

  // One job as it was last committed; nothing if unknown. Errc::corrupt, Errc::io.
  [[nodiscard]] virtual Result<std::optional<StoredJob>> read(const JobId& id) = 0;
  // Newest (highest seq) first. Inputs and outputs are left out. Broadcasts are left out: their
  // children stand for them.
  [[nodiscard]] virtual Result<std::vector<StoredJob>> list(const JobFilter& filter) = 0;
};

// "memory", or a path to an SQLite file (its folder is made, mode 0700).
// Errc::cannot_create when another broker holds it, Errc::io, Errc::corrupt.
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_store(const std::string& where);

}  // namespace zgrid::broker
