// Where jobs survive a restart.
//
// A store keeps of each job what was accepted, the latest state, and the result. The
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
  WallTime submitted;  // for people
  GridTime accepted;   // what deadline and delay count from
};

// How long a job was in each state before it was queued last: what one that was never queued again
// lacks. For people: by the wall clock while it ran.
struct Spent {
  Micros waiting{0}, queued{0}, running{0};
  GridTime since;  // when it was queued last; 0 = at its acceptance
  friend bool operator==(const Spent&, const Spent&) = default;
};

// Its state changed. Not terminal.
struct PutState {
  JobId id;
  uint64_t seq = 0;  // the job's
  JobStatus status = JobStatus::queued;
  uint32_t attempt = 0;
  Nonce nonce;            // nil: no attempt is current
  WorkerFactsRef worker;  // the current or last one; null: none yet
  uint32_t failures = 0, losses = 0;
  bool cancel_requested = false;
  GridTime not_before;            // backoff or delayed start
  WallTime assigned;              // when the current or last attempt was
  std::vector<std::string> lost;  // why each lost attempt was lost
  Rare<Spent> spent;
};

// It ended. Final: a store refuses nothing here, the core never ends a job twice.
struct PutEnd {
  JobId id;
  uint64_t seq = 0;  // the job's
  Outcome outcome;
  uint32_t attempt = 0;
  WorkerFactsRef worker;
  Payload output;
  WallTime started, finished;
  GridTime ended;  // what its retention counts from
};

// About what an ended job takes in a store, in bytes: what retention counts. Measured: 494 bytes of
// the file for a job with a short spec and 100 bytes in and out. Long specs and errors are not
// counted, so that the core can tell without its store.
inline constexpr uint64_t kStoredRowBytes = 320;
constexpr uint64_t stored_bytes(uint64_t input, uint64_t output) {
  return kStoredRowBytes + input + output;
}

// All that must be remembered of a job that ended, whose result may be gone.
struct EndedJob {
  JobId id;
  uint64_t seq = 0;
  Hash128 body;
  JobStatus status = JobStatus::succeeded;
  uint32_t attempt = 0;
  GridTime ended;
  uint64_t bytes = 0;  // that its rows take, about; 0 once it is purged
  std::string key, owner;
  std::vector<JobId> children;  // of a broadcast
};

// Ended jobs whose retention is over: their rows go, one row with what follows stays for all.
// A job is purged once at most.
struct Purge {
  uint64_t number = 0;  // of that row; unique, ascending
  GridTime at;
  std::vector<EndedJob> jobs;  // in order of their end; at most limits::kPurgeBatch
};
// That row goes too: nothing is known of its jobs any more.
struct Forget {
  uint64_t number = 0;
};

// `zgrid drain` belongs to the worker's id.
struct PutDrain {
  WorkerId worker;
  std::string name;
  bool draining = false;
};

// The grid's clock and what the wall clock said then, to go on from after a restart.
struct PutClock {
  GridTime grid;
  WallTime wall;
};

using Record = std::variant<PutJob, PutState, PutEnd, PutDrain, Purge, Forget, PutClock>;

// ---- what comes back ------------------------------------------------------------------

struct StoredJob {
  PutJob accepted;
  // The last one before the end. Of a job that ended without losses, failures or a wish to cancel
  // it a store may leave it out, but for the id and the number.
  PutState state;
  std::optional<PutEnd> ended;
  // recover() only: the input was left in the store, which has so many bytes of it.
  uint64_t input_left_out = 0;
  [[nodiscard]] JobStatus status() const { return ended ? ended->outcome.status : state.status; }
};

struct StoreInfo {
  StoreId id;
  uint64_t epoch = 0;  // raised and synced by open()
  bool durable = true;
  std::string description;  // for people: the path, "memory", …
  // What its opening found that the log should tell, and what to do about it; mostly empty.
  std::string notice, notice_hint;
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
  // Whether its functions only touch memory, so that to wake another thread for them costs more.
  [[nodiscard]] virtual bool is_instant() const { return false; }
  // Makes every record durable, or none. Blocks until the disk has them, typically 0.2–10 ms.
  // After `fatal` only destruction is allowed.
  [[nodiscard]] virtual CommitResult commit(std::span<const Record> records) = 0;

  // Housekeeping that need not delay an answer: call it once after recovery, once a commit has been
  // reported, and twice a second while low_space is set. Up to some 10 ms. `durable`: all is well,
  // or low_space says that the disk is still full. `fatal`: as for commit().
  [[nodiscard]] virtual CommitResult tend() { return {}; }

  // For recovery, once after opening: every unfinished job, and of each ended one what must be
  // remembered, in order of seq; what was purged, in order of number; the clock, if one was put.
  // The clock comes first, then what was purged, then jobs, then drains; all five functions must be
  // set. Errc::corrupt names the first row that fails its checksum.
  struct Recovered {
    // Inputs are read until there are so many bytes of them; those of later jobs are left out.
    uint64_t input_bytes_max = UINT64_MAX;
    std::function<void(StoredJob&&)> unfinished;
    std::function<void(EndedJob&&)> ended;
    std::function<void(Purge&&)> purged;
    std::function<void(const PutDrain&)> drain;
    std::function<void(const PutClock&)> clock;
  };
  [[nodiscard]] virtual Result<void> recover(const Recovered& into) = 0;

  // The job that was accepted with that number, as it was last committed; nothing if it is purged,
  // or if it is another one. Errc::corrupt, Errc::io.
  [[nodiscard]] virtual Result<std::optional<StoredJob>> read(const JobId& id, uint64_t seq) = 0;
  // Newest (highest seq) first. Inputs and outputs are left out. Broadcasts are left out: their
  // children stand for them.
  [[nodiscard]] virtual Result<std::vector<StoredJob>> list(const JobFilter& filter) = 0;

  // Writes a copy of all that is durable into a new file: a store of its own that can be opened.
  // Blocks for about a second per GB. Errc::cannot_create if the file exists, Errc::io,
  // Errc::unsupported for a store that has nothing to copy.
  [[nodiscard]] virtual Result<void> backup(const std::string& path) = 0;
};

// "memory", or a path to an SQLite file (its folder is made, mode 0700).
// Errc::cannot_create when another broker holds it, Errc::io, Errc::corrupt.
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_store(const std::string& where);

}  // namespace zgrid::broker
