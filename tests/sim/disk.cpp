#include "tests/sim/disk.h"

#include <algorithm>

namespace zgrid::sim {

using broker::Record;

namespace {

constexpr Micros kRetry{150'000};
constexpr uint32_t kUnknownMax = 5;

}  // namespace

void Disk::open(std::function<void()> wake) {
  ++life_;
  wake_ = std::move(wake);
  queue_.clear();
  batch_.reset();
  reading_ = false;
  unknowns_ = 0;
  last_turn_ = 0;
  done_ = {};
}

void Disk::crash() {
  // The commit under way reached the disk or it did not; those behind it never began.
  if (batch_ && world_.random.percent(50)) {
    world_.note("  the commit under way survives");
    apply();
  }
  open(nullptr);
}

void Disk::calm() {
  const Options quiet{options_.commit_min, options_.commit_max, 0, 0, 0, 0, 0, options_.read_max};
  options_ = quiet;
}

void Disk::commit(uint64_t turn, std::vector<Record> records) {
  last_turn_ = turn;
  queue_.push_back({turn, std::move(records), nullptr});
  work();
}

void Disk::read(Reader reader) {
  queue_.push_back({last_turn_, {}, std::move(reader)});
  work();
}

Disk::Done Disk::poll() {
  Done done{done_.durable_up_to, done_.fatal, done_.refusing, {}};
  done.ready.swap(done_.ready);
  return done;
}

void Disk::work() {
  if (batch_ || reading_ || queue_.empty() || done_.fatal) return;
  if (queue_.front().reader) {
    reading_ = true;
    const Micros time{world_.random.between(100, options_.read_max.count())};
    world_.after(time, [this, life = life_] {
      if (life != life_) return;
      Reader reader = std::move(queue_.front().reader);
      const uint64_t after = queue_.front().number;
      queue_.pop_front();
      reading_ = false;
      done_.ready.push_back({after, reader(store_)});
      news();
      work();
    });
    return;
  }
  batch_ = std::make_shared<Batch>();
  batch_->number = next_batch_++;
  while (!queue_.empty() && !queue_.front().reader) {
    std::vector<Record>& records = queue_.front().records;
    batch_->up_to = queue_.front().number;
    std::move(records.begin(), records.end(), std::back_inserter(batch_->records));
    queue_.pop_front();
  }
  write();
}

void Disk::write() {
  Random& r = world_.random;
  Micros time{r.between(options_.commit_min.count(), options_.commit_max.count())};
  if (r.percent(options_.stall_percent)) time += Micros{r.between(0, 1'000'000)};
  world_.after(time, [this, life = life_] {
    if (life == life_) end_write();
  });
}

void Disk::end_write() {
  Random& r = world_.random;
  const auto again = [this](Micros pause) {
    world_.after(pause, [this, life = life_] {
      if (life == life_) write();
    });
  };
  if (r.below(1000) < options_.fatal_permille) {
    world_.note("disk: a sync failed");
    if (r.percent(50)) apply();
    batch_.reset();
    done_.fatal = true;
    return news();
  }
  if (r.percent(options_.unknown_percent)) {
    world_.note("disk: nobody knows whether the commit was written");
    if (r.percent(50)) apply();
    if (++unknowns_ < kUnknownMax) return again(Micros{0});
    done_.fatal = true;
    batch_.reset();
    return news();
  }
  unknowns_ = 0;
  if (r.percent(options_.not_written_percent)) {
    world_.note("disk: not written");
    done_.refusing = true;
    news();
    return again(kRetry);
  }
  apply();
  done_.durable_up_to = batch_->up_to;
  done_.refusing = r.percent(options_.low_space_percent);
  batch_.reset();
  news();
  if (done_.refusing) {
    // The committer tends its store until there is space again.
    world_.after(Micros{500'000}, [this, life = life_] {
      if (life != life_ || batch_) return;
      done_.refusing = false;
      news();
    });
  }
  work();
}

void Disk::apply() {
  oracle_.on_committed(batch_->number, batch_->records);
  static_cast<void>(store_.commit(batch_->records));
}

void Disk::news() {
  if (wake_) wake_();
}

}  // namespace zgrid::sim
