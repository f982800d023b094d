// The thread on which a store works, and group commit.
//
// The loop hands over the records of each turn and goes on; while one commit is on its way to the
// disk further turns queue up, and the next commit takes them all. Reads stand in the same queue,
// so that they see every turn before them, durably, and none after them.
//
// When little is to be written and the loop has nothing else to do, it writes itself, and minds the
// time that such a commit waits for its results: two wake-ups cost as much as the sync of a good
// disk. A store that is instant has no thread at all.
//
// Threads: everything but the constructor's arguments is for one thread, "the loop". The store is
// used by one thread at a time, the committer's own or the loop's in commit(). Errors: see Done.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "broker/store/job_store.h"

namespace zgrid::broker {

class Committer {
 public:
  struct Options {
    // A commit after which more jobs are expected to end soon than end in it may wait so long for
    // their results: a quick job then costs one sync and one write instead of two. Zero: never.
    Micros hold{0};
    size_t hold_jobs_max = 64;  // a commit with more of them does not wait
    // An idle loop writes up to so many records itself, as long as commits take less than
    // `here_max`: a disk that has become slow must not keep it from its heartbeats. 0: never.
    size_t here_records_max = 0;
    Millis here_max{2};
    // One commit takes no further turn when it has so much; a turn is never split.
    size_t commit_records_max = 8192;
    size_t commit_bytes_max = 8u << 20;
    // Between attempts while the store cannot write; doubled from the first to the second.
    Millis retry_min{100};
    Millis retry_max{1000};
    // `unknown` so often in a row is fatal.
    uint32_t unknown_max = 5;
    // How often a store that is low on space is asked whether it still is.
    Millis tend_every{500};
    // The destructor waits so long for commits that do not succeed.
    Millis stop_max{5000};
  };

  // Runs on the store's thread; what it returns is run by the loop, through Done::ready, and may
  // be empty.
  using Reader = std::function<std::function<void()>(JobStore&)>;

  struct Done {
    // All records of this turn and of those before it are durable. 0: none yet.
    uint64_t durable_up_to = 0;
    // The store failed for good; nothing that is not yet durable ever will be, and reads that have
    // not run never will. Stop the process.
    bool fatal = false;
    // The store cannot write now, or only into its reserve: accept no new jobs. What was handed
    // over stays queued and is tried again.
    bool refusing = false;
    std::string reason;  // of fatal and refusing
    // Of records that were handed over and are not durable yet: they are in memory until then, so
    // who hands over more than the disk can write must look at this.
    size_t unwritten = 0;  // bytes
    // What the readers returned, in order, each once. All turns before a reader are durable.
    struct Ready {
      uint64_t after = 0;  // the last of those turns
      std::function<void()> run;
    };
    std::vector<Ready> ready;
  };

  // Tends the store at once, so that poll() knows from the start whether it can take something.
  // `wake` is called on the store's thread when poll() has something new, once until poll() is
  // called again, and may be until the destructor returns. It must not block, and not call the
  // committer.
  Committer(std::unique_ptr<JobStore> store, std::function<void()> wake, Options options);
  Committer(std::unique_ptr<JobStore> store, std::function<void()> wake)
      : Committer(std::move(store), std::move(wake), Options{}) {}
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;
  // Commits what is queued, for stop_max at most if that fails; drops reads. Then closes the store.
  ~Committer();

  enum class Taken : uint8_t {
    durable,  // all is
    held,     // it waits for results: call release() when Options::hold is over, unless a later
              // commit() says something else
    queued
  };
  // Turns count from 1 and must not go backwards. A turn without records becomes durable when those
  // before it are. `expected_soon`: so many of its jobs should end within a moment. `idle`: the
  // loop has nothing else to do. Takes the records, and leaves an empty vector that has the memory
  // of an earlier turn.
  Taken commit(uint64_t turn, std::vector<Record>& records, size_t expected_soon = 0,
               bool idle = false);
  Taken commit(uint64_t turn, std::vector<Record>&& records, size_t expected_soon = 0,
               bool idle = false) {
    return commit(turn, records, expected_soon, idle);
  }
  void release() { changed_.notify_one(); }
  // Runs when everything handed over before is durable.
  void read(Reader reader);
  // Never blocks for long: the lock is never held during I/O.
  [[nodiscard]] Done poll();

  // Whether commit() always returns only when the turn is durable.
  [[nodiscard]] bool is_instant() const { return !thread_.joinable(); }
  // Turns and reads not yet taken up, for metrics and admission.
  [[nodiscard]] size_t queued() const;

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;

  struct Turn {
    uint64_t number = 0;
    std::vector<Record> records;
    Reader reader;  // a read if set
    size_t bytes = 0;
    size_t expected = 0, ended = 0;  // jobs
    Clock::time_point since;
  };
  struct Batch {
    uint64_t up_to = 0;
    size_t bytes = 0;
    std::vector<Record> records;
  };

  void commit_now(uint64_t turn, std::span<const Record> records);
  bool enqueue(Turn turn);  // false: there is nothing to wait for, or nothing will ever come
  Taken commit_here();
  [[nodiscard]] bool may_commit_here() const;
  void run();
  void wait_for_work(Lock& lock);
  [[nodiscard]] bool may_hold() const;
  Batch take_batch();
  void write(const Batch& batch);
  // False: give up.
  bool settle(const CommitResult& result, const Batch& batch, uint32_t& unknowns, Millis& pause);
  void run_reader();
  void tend();
  void report(const CommitResult& result);
  void stop_for_good(std::string reason);
  void signal(Lock lock);
  void recycle(Batch& batch);
  void note_time(Clock::duration took);

  const Options options_;
  const std::unique_ptr<JobStore> store_;
  const std::function<void()> wake_;

  // Vectors that are kept for their memory, and how many records one of them may have room for.
  static constexpr size_t kSparesMax = 4;
  static constexpr size_t kSpareRecordsMax = 16'384;
  static constexpr uint32_t kTendEvery = 32;  // commits of the loop

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Turn> queue_;
  std::vector<std::vector<Record>> spares_;
  Done done_;
  bool signalled_ = false;
  bool busy_ = false;      // a batch or a read was taken from the queue and is not done
  bool in_store_ = false;  // somebody is using the store
  bool quick_ = true;      // the last commit was
  bool tend_due_ = false;
  uint32_t here_ = 0;  // commits of the loop since the store was tended
  bool stopping_ = false;
  Clock::time_point give_up_at_ = Clock::time_point::max();
  uint64_t last_turn_ = 0;

  std::thread thread_;  // the last member: it uses all others
};

}  // namespace zgrid::broker
