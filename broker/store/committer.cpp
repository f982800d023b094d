#include "broker/store/committer.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

size_t bytes_of(const Record& record) {
  size_t bytes = sizeof(Record);
  if (const auto* job = std::get_if<PutJob>(&record)) bytes += job->input.data.size();
  if (const auto* end = std::get_if<PutEnd>(&record)) bytes += end->output.data.size();
  return bytes;
}

}  // namespace

Committer::Committer(std::unique_ptr<JobStore> store, std::function<void()> wake, Options options)
    : options_(options), store_(std::move(store)), wake_(std::move(wake)) {
  ZGRID_CHECK(store_ != nullptr);
  if (store_->is_instant()) return;
  // It may have been opened on a full disk: who submits first must be told.
  if (const CommitResult result = store_->tend(); result.outcome == Commit::fatal) {
    stop_for_good(result.reason);
  } else {
    report(result);
  }
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), "store");
}

Committer::~Committer() {
  if (is_instant()) return;
  {
    const Lock lock(mutex_);
    stopping_ = true;
    give_up_at_ = Clock::now() + options_.stop_max;
  }
  changed_.notify_all();
  thread_.join();
}

// ---- the loop's side ------------------------------------------------------------------

Committer::Taken Committer::commit(uint64_t turn, std::vector<Record>& records,
                                   size_t expected_soon, bool idle) {
  ZGRID_CHECK(turn > 0 && turn >= last_turn_);
  if (is_instant()) {
    commit_now(turn, records);
    records.clear();
    return Taken::durable;
  }
  Turn entry;
  entry.number = turn;
  entry.expected = expected_soon;
  for (const Record& record : records) {
    entry.bytes += bytes_of(record);
    if (std::holds_alternative<PutEnd>(record)) ++entry.ended;
  }
  entry.records = std::move(records);
  records.clear();
  const Taken taken = enqueue(std::move(entry)) && idle ? commit_here() : Taken::queued;
  if (taken == Taken::queued) changed_.notify_one();
  const Lock lock(mutex_);
  if (!spares_.empty()) {
    records = std::move(spares_.back());
    spares_.pop_back();
  }
  return taken;
}

void Committer::commit_now(uint64_t turn, std::span<const Record> records) {
  last_turn_ = turn;
  const CommitResult result = store_->commit(records);
  ZGRID_CHECK(result.outcome == Commit::durable && !result.low_space);
  done_.durable_up_to = turn;
}

void Committer::read(Reader reader) {
  ZGRID_CHECK(reader != nullptr);
  if (is_instant()) {
    if (auto then = reader(*store_)) {
      done_.ready.push_back({last_turn_, std::move(then)});
      wake_();
    }
    return;
  }
  Turn entry;
  entry.number = last_turn_;
  entry.reader = std::move(reader);
  if (enqueue(std::move(entry))) changed_.notify_one();
}

bool Committer::enqueue(Turn turn) {
  ZGRID_CHECK(turn.number >= last_turn_);
  last_turn_ = turn.number;
  const Lock lock(mutex_);
  if (done_.fatal) return false;
  if (!turn.reader && turn.records.empty() && queue_.empty() && !busy_) {
    done_.durable_up_to = turn.number;  // nothing to wait for
    return false;
  }
  done_.unwritten += turn.bytes;
  turn.since = Clock::now();
  queue_.push_back(std::move(turn));
  return true;
}

// Whether what is queued is little and complete, and what was read before has been heard of.
bool Committer::may_commit_here() const {
  if (in_store_ || !quick_ || done_.fatal || done_.refusing || !done_.ready.empty()) return false;
  size_t records = 0, expected = 0, ended = 0;
  for (const Turn& turn : queue_) {
    if (turn.reader) return false;
    records += turn.records.size();
    expected += turn.expected;
    ended += turn.ended;
  }
  return records <= options_.here_records_max && ended >= expected;
}

Committer::Taken Committer::commit_here() {
  Lock lock(mutex_);
  if (!may_commit_here()) return may_hold() ? Taken::held : Taken::queued;
  Batch batch = take_batch();
  busy_ = in_store_ = true;
  lock.unlock();
  const auto start = Clock::now();
  const CommitResult result = store_->commit(batch.records);
  const bool is_durable = result.outcome == Commit::durable;
  const size_t bytes = batch.bytes;
  if (is_durable) recycle(batch);
  lock.lock();
  quick_ = Clock::now() - start < options_.here_max;
  busy_ = in_store_ = false;
  if (is_durable) {
    done_.durable_up_to = batch.up_to;
    done_.unwritten -= bytes;
    report(result);
    tend_due_ = tend_due_ || result.low_space || ++here_ >= kTendEvery;
    if (tend_due_) changed_.notify_one();
    return Taken::durable;
  }
  if (result.outcome == Commit::fatal) {
    stop_for_good(result.reason);
    signal(std::move(lock));
    return Taken::queued;
  }
  // The thread tries it again, for as long as it takes.
  Turn again;
  again.number = batch.up_to;
  again.records = std::move(batch.records);
  again.bytes = bytes;
  again.since = start;
  queue_.push_front(std::move(again));
  return Taken::queued;
}

Committer::Done Committer::poll() {
  const Lock lock(mutex_);
  signalled_ = false;
  Done done{done_.durable_up_to, done_.fatal, done_.refusing, done_.reason, done_.unwritten, {}};
  done.ready.swap(done_.ready);
  return done;
}

size_t Committer::queued() const {
  const Lock lock(mutex_);
  return queue_.size();
}

// ---- the store's side -----------------------------------------------------------------

void Committer::run() {
  for (;;) {
    Batch batch;
    bool reading = false;
    {
      Lock lock(mutex_);
      wait_for_work(lock);
      if (done_.fatal || (queue_.empty() && stopping_)) return;
      const bool wants_care = tend_due_ || done_.refusing;
      if (in_store_ || (queue_.empty() && !wants_care)) continue;  // the loop was quicker
      in_store_ = true;
      if (!queue_.empty()) {
        busy_ = true;
        reading = queue_.front().reader != nullptr;
        if (!reading) batch = take_batch();
      }
    }
    if (reading) {
      run_reader();
    } else if (batch.up_to != 0) {
      write(batch);
      recycle(batch);
      tend();
    } else {
      tend();
    }
    const Lock lock(mutex_);
    in_store_ = false;
  }
}

// Until there is a turn, or the store wants to be looked after, or the end has come.
void Committer::wait_for_work(Lock& lock) {
  const auto something = [&] {
    return stopping_ || (!in_store_ && (tend_due_ || !queue_.empty()));
  };
  if (done_.refusing) {
    changed_.wait_for(lock, options_.tend_every, something);
  } else {
    changed_.wait(lock, something);
  }
  while (may_hold()) {
    const auto until = queue_.front().since + options_.hold;
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) return;
  }
}

// Whether what is queued is small, and some of its jobs should end soon.
bool Committer::may_hold() const {
  if (options_.hold.count() == 0 || stopping_ || queue_.empty()) return false;
  size_t expected = 0;
  size_t ended = 0;
  for (const Turn& turn : queue_) {
    expected += turn.expected;
    ended += turn.ended;
    if (turn.reader || expected > options_.hold_jobs_max) return false;
  }
  return ended < expected && Clock::now() < queue_.front().since + options_.hold;
}

// Turns from the front of the queue, up to a read or the limits of one commit; at least one.
Committer::Batch Committer::take_batch() {
  Batch batch;
  size_t bytes = 0;
  while (!queue_.empty() && !queue_.front().reader) {
    Turn& turn = queue_.front();
    const bool fits = batch.records.size() + turn.records.size() <= options_.commit_records_max &&
                      bytes + turn.bytes <= options_.commit_bytes_max;
    if (batch.up_to != 0 && !fits) break;
    batch.up_to = turn.number;
    bytes += turn.bytes;
    batch.bytes = bytes;
    if (batch.records.empty()) {
      batch.records = std::move(turn.records);
    } else {
      std::move(turn.records.begin(), turn.records.end(), std::back_inserter(batch.records));
    }
    queue_.pop_front();
  }
  return batch;
}

// Frees the records here rather than in the loop, and keeps their place.
void Committer::recycle(Batch& batch) {
  batch.records.clear();
  const Lock lock(mutex_);
  if (spares_.size() < kSparesMax && batch.records.capacity() <= kSpareRecordsMax) {
    spares_.push_back(std::move(batch.records));
  }
}

// Tries until the batch is durable or nothing can help.
void Committer::write(const Batch& batch) {
  uint32_t unknowns = 0;
  Millis pause = options_.retry_min;
  for (;;) {
    const auto start = Clock::now();
    const CommitResult result =
        batch.records.empty() ? CommitResult{} : store_->commit(batch.records);
    if (!batch.records.empty()) note_time(Clock::now() - start);
    if (!settle(result, batch, unknowns, pause)) return;
  }
}

bool Committer::settle(const CommitResult& result, const Batch& batch, uint32_t& unknowns,
                       Millis& pause) {
  Lock lock(mutex_);
  switch (result.outcome) {
    case Commit::durable:
      done_.durable_up_to = batch.up_to;
      done_.unwritten -= batch.bytes;
      busy_ = false;
      // A commit of nothing says nothing about the disk.
      if (!batch.records.empty()) report(result);
      signal(std::move(lock));
      return false;
    case Commit::unknown:
      if (++unknowns < options_.unknown_max) return true;
      stop_for_good("whether a commit succeeded stays unknown: " + result.reason);
      signal(std::move(lock));
      return false;
    case Commit::fatal:
      stop_for_good(result.reason);
      signal(std::move(lock));
      return false;
    case Commit::not_written: break;
  }
  unknowns = 0;
  if (Clock::now() >= give_up_at_) {
    stop_for_good("gave up a commit at the end: " + result.reason);
    return false;
  }
  report(result);
  // When the end comes, one attempt is due at once; it may come while the loop is woken.
  const bool was_stopping = stopping_;
  signal(std::move(lock));
  lock = Lock(mutex_);
  const auto until = std::min(Clock::now() + pause, give_up_at_);
  changed_.wait_until(lock, until, [&] { return stopping_ && !was_stopping; });
  pause = std::min(pause * 2, options_.retry_max);
  return true;
}

void Committer::run_reader() {
  Reader reader;
  uint64_t after = 0;
  {
    const Lock lock(mutex_);
    after = queue_.front().number;
    reader = std::move(queue_.front().reader);
    queue_.pop_front();
    if (stopping_) {
      busy_ = false;
      return;
    }
  }
  std::function<void()> then = reader(*store_);
  Lock lock(mutex_);
  busy_ = false;
  if (!then) return;
  done_.ready.push_back({after, std::move(then)});
  signal(std::move(lock));
}

void Committer::note_time(Clock::duration took) {
  const Lock lock(mutex_);
  quick_ = took < options_.here_max;
}

void Committer::tend() {
  {
    const Lock lock(mutex_);
    if (done_.fatal) return;
    tend_due_ = false;
    here_ = 0;
  }
  const CommitResult result = store_->tend();
  Lock lock(mutex_);
  const bool was_refusing = done_.refusing;
  if (result.outcome == Commit::fatal) {
    stop_for_good(result.reason);
  } else {
    report(result);
  }
  if (done_.fatal || done_.refusing != was_refusing) signal(std::move(lock));
}

// Under the lock.
void Committer::report(const CommitResult& result) {
  done_.refusing = result.outcome != Commit::durable || result.low_space;
  done_.reason = done_.refusing ? result.reason : std::string();
}

// Under the lock.
void Committer::stop_for_good(std::string reason) {
  done_.fatal = true;
  done_.refusing = true;
  done_.reason = std::move(reason);
  queue_.clear();
  done_.unwritten = 0;
  busy_ = false;
}

void Committer::signal(Lock lock) {
  if (std::exchange(signalled_, true)) return;
  lock.unlock();
  if (wake_) wake_();
}

}  // namespace zgrid::broker
