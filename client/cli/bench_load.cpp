#include "client/cli/bench_load.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "protocol/base/check.h"

namespace zgrid::cli {
namespace {

// Handshakes, first assignments and the growth of queues are not measured.
constexpr uint64_t kWarmUpMax = 2000;
// How long a client sleeps at most when nothing happens.
constexpr Millis kNap{1000};

// Readable at a moment of the monotonic clock: finer than the milliseconds that poll knows.
class Timer {
 public:
  Timer() : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
    ZGRID_CHECK(fd_ >= 0);
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { ::close(fd_); }
  void set(Micros in) const {
    itimerspec when{};
    const auto left = std::max(in, Micros{1});
    when.it_value.tv_sec = left.count() / 1'000'000;
    when.it_value.tv_nsec = left.count() % 1'000'000 * 1000;
    ::timerfd_settime(fd_, 0, &when, nullptr);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

uint32_t to_us(Micros time) {
  return static_cast<uint32_t>(std::clamp<int64_t>(time.count(), 0, UINT32_MAX));
}

}  // namespace

double LoadResult::rate() const {
  return took.count() == 0 ? 0
                           : static_cast<double>(done) * 1e6 / static_cast<double>(took.count());
}

uint64_t LoadResult::percentile_us(double p) const {
  if (latencies_us.empty()) return 0;
  const double last = static_cast<double>(latencies_us.size() - 1);
  return latencies_us[static_cast<size_t>(p * last + 0.5)];
}

// All clients begin together, once each of them is warm.
struct Load::Gate {
  std::mutex mutex;
  std::condition_variable changed;
  size_t missing = 0;
  bool is_stopped = false;

  // False: do not begin at all.
  bool pass() {
    std::unique_lock lock(mutex);
    if (--missing == 0) changed.notify_all();
    changed.wait(lock, [this] { return missing == 0 || is_stopped; });
    return !is_stopped;
  }
  void stop() {
    const std::lock_guard lock(mutex);
    is_stopped = true;
    changed.notify_all();
  }
};

class Load::Client final : private client::Listener {
 public:
  Client(const LoadPlan& plan, uint64_t number, client::Connection::Options options)
      : plan_(plan),
        jobs_(plan.jobs / plan.clients + (number < plan.jobs % plan.clients ? 1 : 0)),
        offset_(static_cast<double>(number)),
        connection_(std::move(options), *this) {}

  void run(Gate& gate) {
    closed_loop(std::min(kWarmUpMax, std::max<uint64_t>(jobs_ / 10, 1)));
    const bool is_warm = !error_ && result_.failed == 0;
    LoadResult warm = std::exchange(result_, {});
    if (!is_warm) result_ = std::move(warm);  // it tells what is wrong
    if (!gate.pass() || !is_warm) return;
    plan_.rate > 0 ? open_loop() : closed_loop(jobs_);
  }
  void stop() {
    is_stopped_ = true;
    connection_.wake();
  }
  // What nobody waits for any more must not stay in the grid. Nothing to do after a whole run.
  void cancel_open() {
    is_measured_ = true;
    if (error_) {
      left_ = sent_ - received();
      return;
    }
    connection_.withdraw();
    const std::vector<JobId> open = connection_.watched_jobs();
    const MonoTime deadline = connection_.deadline_in(kCancelPatience);
    size_t due = 0;
    for (size_t at = 0; at < open.size(); at += limits::kBatchItemsMax) {
      const size_t count = std::min(limits::kBatchItemsMax, open.size() - at);
      const auto first = open.begin() + static_cast<ptrdiff_t>(at);
      ++due;
      connection_.cancel({first, first + static_cast<ptrdiff_t>(count)}, deadline,
                         [this, &due, count](const auto& items) {
                           --due;
                           if (!items) left_ += count;
                         });
    }
    while (due > 0) {
      connection_.run(kNap);
      connection_.withdraw();  // a list of submits may have found no room meanwhile
    }
  }

  [[nodiscard]] uint64_t left() const { return left_; }
  [[nodiscard]] const LoadResult& result() const { return result_; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] MonoTime began() const { return began_; }
  [[nodiscard]] MonoTime ended() const { return ended_; }

 private:
  [[nodiscard]] bool goes_on() const { return !is_stopped_ && !error_; }
  [[nodiscard]] uint64_t received() const { return result_.done + result_.failed; }

  void begin(uint64_t jobs) {
    due_.assign(jobs, MonoTime{});
    sent_ = 0;
    result_.latencies_us.reserve(jobs);
    began_ = ended_ = connection_.now().mono;
  }

  void closed_loop(uint64_t jobs) {
    begin(jobs);
    while (goes_on() && received() < jobs) {
      if (sent_ < jobs && sent_ - received() < plan_.window) {
        const MonoTime now = connection_.now().mono;
        while (sent_ < jobs && sent_ - received() < plan_.window) submit(now);
      }
      connection_.run(kNap);
    }
  }

  void open_loop() {
    const double gap_us =
        1e6 * static_cast<double>(plan_.clients) / static_cast<double>(plan_.rate);
    const double first_us = gap_us * offset_ / static_cast<double>(plan_.clients);
    const Timer timer;
    const int fd = timer.fd();
    begin(jobs_);
    const auto due = [&](uint64_t job) {
      return began_ + Micros{static_cast<int64_t>(first_us + gap_us * static_cast<double>(job))};
    };
    while (goes_on() && received() < jobs_) {
      MonoTime now = connection_.now().mono;
      for (; sent_ < jobs_ && due(sent_) <= now; now = connection_.now().mono) {
        result_.lag_us_max = std::max(result_.lag_us_max, to_us(now - due(sent_)));
        submit(due(sent_));
      }
      if (sent_ == jobs_ && now > due(jobs_ - 1) + plan_.patience) {
        result_.missing = jobs_ - received();
        return;
      }
      timer.set(sent_ < jobs_ ? due(sent_) - now : Micros{kNap});
      connection_.run(kNap, std::span<const int>(&fd, 1));
    }
  }

  void submit(MonoTime due) {
    client::Submission submission;
    submission.spec = plan_.spec;
    submission.entry.id = ids_.next(connection_.now().wall);
    submission.entry.input = plan_.input;
    submission.entry.index = sent_ + 1;  // comes back with the result
    due_[sent_] = due;
    ++sent_;
    connection_.submit(std::move(submission), client::SubmitFlags{}, MonoTime::never());
  }

  void count_failure(const std::string& why) {
    if (is_measured_) return;
    if (result_.failed++ == 0) result_.first_failure = why;
    ended_ = connection_.now().mono;
  }

  void on_accepted(const client::Accepted&) override {}
  void on_refused(const JobId&, const Error& error) override { count_failure(error.message); }
  void on_result(const client::ResultView& view) override {
    if (is_measured_) return;
    const protocol::ResultEntry& entry = view.entry;
    const uint64_t job = entry.index - 1;
    if (job >= due_.size()) return;
    if (entry.outcome.status != JobStatus::succeeded) {
      return count_failure(entry.outcome.error ? entry.outcome.error->message
                                               : "it did not succeed");
    }
    if (plan_.compare && !(entry.output == plan_.input)) {
      return count_failure("the result is not what was submitted");
    }
    ++result_.done;
    ended_ = connection_.now().mono;
    result_.latencies_us.push_back(to_us(ended_ - due_[job]));
  }
  void on_event(const JobId&, uint32_t, JobEvent&) override {}
  void on_unknown(const JobId&) override { count_failure("the broker has forgotten it"); }
  void on_lost(const Error& error) override { error_ = error; }

  const LoadPlan& plan_;
  uint64_t jobs_;
  double offset_;
  client::JobIds ids_;
  client::Connection connection_;
  std::vector<MonoTime> due_;  // by job
  uint64_t sent_ = 0;
  LoadResult result_;
  bool is_measured_ = false;  // what comes now does not count
  uint64_t left_ = 0;         // jobs whose cancellation nobody acknowledged
  std::optional<Error> error_;
  MonoTime began_, ended_;
  std::atomic<bool> is_stopped_{false};
};

Load::Load(LoadPlan plan, const Connect& connect, std::function<void()> wake)
    : plan_(std::move(plan)), wake_(std::move(wake)), gate_(std::make_unique<Gate>()) {
  gate_->missing = running_ = plan_.clients;
  for (uint64_t i = 0; i < plan_.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(plan_, i, connect()));
  }
  for (const auto& client : clients_) {
    threads_.emplace_back([this, &client = *client] {
      client.run(*gate_);
      client.cancel_open();
      --running_;
      wake_();
    });
  }
}

Load::~Load() { stop(); }

uint64_t Load::stop() {
  gate_->stop();
  for (const auto& client : clients_) client->stop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  uint64_t left = 0;
  for (const auto& client : clients_) left += client->left();
  return left;
}

Result<LoadResult> Load::result() {
  LoadResult sum;
  MonoTime began = MonoTime::never();
  MonoTime ended;
  for (const auto& client : clients_) {
    if (client->error()) return fail(*client->error());
    const LoadResult& one = client->result();
    sum.done += one.done;
    sum.missing += one.missing;
    if (sum.failed == 0) sum.first_failure = one.first_failure;
    sum.failed += one.failed;
    sum.lag_us_max = std::max(sum.lag_us_max, one.lag_us_max);
    sum.latencies_us.insert(sum.latencies_us.end(), one.latencies_us.begin(),
                            one.latencies_us.end());
    began = std::min(began, client->began());
    ended = std::max(ended, client->ended());
  }
  std::sort(sum.latencies_us.begin(), sum.latencies_us.end());
  sum.took = ended - began;
  return sum;
}

}  // namespace zgrid::cli
