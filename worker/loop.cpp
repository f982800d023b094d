#include "worker/loop.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace zgrid::worker {

using namespace protocol;

namespace {

constexpr Millis kWaitMax{1000};

uint32_t load_permille() {
  double loads[1] = {0};
  if (::getloadavg(loads, 1) != 1) return 0;
  const auto cores = static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return static_cast<uint32_t>(loads[0] / cores * 1000);
}

}  // namespace

Loop::Loop(Parts parts) : parts_(std::move(parts)), core_(parts_.config) {}

Result<void> Loop::prepare() {
  Runner::Callbacks callbacks;
  callbacks.on_event = [this](const Token& token, JobEvent event) {
    core_.attempt_event(token, std::move(event));
  };
  callbacks.on_end = [this](const Token& token, Outcome outcome, Payload output) {
    core_.attempt_ended(token, std::move(outcome), std::move(output));
  };
  auto runner = Runner::open(parts_.runner, std::move(callbacks));
  if (!runner) return fail(std::move(runner.error()));
  runner_ = std::move(*runner);
  now_ = parts_.clock();
  core_.begin(now_);
  core_.set_services(runner_->services());
  std::vector<std::string> damaged;
  std::vector<Finished> kept = parts_.spool.load(damaged);
  for (const std::string& path : damaged) {
    parts_.log->warn("a spooled result is damaged and was set aside", {{"file", path}});
  }
  if (!kept.empty()) {
    parts_.log->info("results of an earlier life", {{"count", std::to_string(kept.size())}});
  }
  for (Finished& result : kept) core_.restore(std::move(result));
  return {};
}

Result<void> Loop::run() {
  while (true) {
    auto done = turn();
    if (!done) return fail(std::move(done.error()));
    if (*done) return {};
    wait();
  }
}

Result<bool> Loop::turn() {
  now_ = parts_.clock();
  core_.begin(now_);
  const Signals signals = look_at_signals();
  if (signals.stop) {
    core_.leave();
    static_cast<void>(carry_out(core_.finish()));
    parts_.log->info("stopped: what ran is handed back");
    return true;
  }
  auto news = parts_.link.turn(now_.mono);
  if (!news) return fail(std::move(news.error()));
  if (*news == BrokerLink::News::connected) core_.connected();
  if (*news == BrokerLink::News::disconnected) {
    parts_.log->warn("the broker is away", {{"endpoint", parts_.link.endpoint()}});
    core_.disconnected();
  }
  receive_batch();
  if (signals.drain) drain();
  if (signals.reload) reload();
  runner_->run(now_);
  if (now_.mono >= next_measure_) measure();
  while (auto start = core_.next_start()) {
    runner_->start({start->token, std::move(start->spec), std::move(start->input), start->index,
                    std::move(start->trace)},
                   now_);
  }
  auto done = carry_out(core_.finish());
  if (done && core_.counts().welcomed != was_welcomed_) {
    was_welcomed_ = !was_welcomed_;
    if (was_welcomed_) {
      parts_.link.on_welcome();
      parts_.log->info("worker ready", {{"name", parts_.config.facts.name},
                                        {"broker", parts_.link.endpoint()},
                                        {"slots", std::to_string(parts_.config.slots)}});
      if (parts_.on_ready) parts_.on_ready(parts_.link.endpoint());
    }
  }
  return done;
}

void Loop::receive_batch() {
  more_waits_ = true;
  size_t entries = 0;
  for (int i = 0; i < kBatch && entries < limits::kBatchItemsTarget; ++i) {
    if (!parts_.link.receive(frames_)) {
      more_waits_ = false;
      return;
    }
    auto message = decode(frames_);
    if (message) {
      const auto* request = std::get_if<Request>(&*message);
      entries += request == nullptr ? 1 : request->items.size();
      core_.receive(std::move(*message));
    } else {
      parts_.log->warn("a message of the broker was not understood",
                       {{"reason", message.error().message}});
    }
  }
}

Loop::Signals Loop::look_at_signals() const {
  std::array<pollfd, 3> fds = {pollfd{parts_.stop_fd, POLLIN, 0},
                               pollfd{drain_seen_ ? -1 : parts_.drain_fd, POLLIN, 0},
                               pollfd{parts_.reload_fd, POLLIN, 0}};
  if (::poll(fds.data(), fds.size(), 0) <= 0) return {};
  return {fds[0].revents != 0, fds[1].revents != 0, fds[2].revents != 0};
}

void Loop::drain() {
  drain_seen_ = true;
  parts_.log->info("draining: nothing new is taken, what runs is finished");
  core_.drain();
}

void Loop::reload() {
  uint64_t count = 0;
  if (::read(parts_.reload_fd, &count, sizeof count) < 0) return;
  if (auto reloaded = runner_->reload(now_); !reloaded) {
    parts_.log->error("the workflows were not reloaded, the old ones stay",
                      {{"reason", reloaded.error().message}});
    return;
  }
  parts_.log->info("workflows reloaded");
  core_.set_services(runner_->services());
}

void Loop::measure() {
  next_measure_ = now_.mono + Micros(kMeasure);
  core_.set_load(load_permille());
  std::vector<InHand> in_hand;
  for (const Activity& one : runner_->activity(now_)) {
    const auto idle = std::chrono::duration_cast<Millis>(now_.mono - one.last);
    in_hand.push_back({one.token, InHand::State::running, std::max(idle, Millis{0}), one.cpu_ms,
                       one.bytes_out, one.stopped});
  }
  core_.set_activity(std::move(in_hand));
}

Result<bool> Loop::carry_out(Effects& effects) {
  for (const Message& message : effects.sends) {
    // A full queue means that the broker is away: what matters is presented again when it is back.
    if (!parts_.link.send(encode(message))) break;
  }
  const bool has_stops = !effects.stops.empty();
  for (const Effects::Stop& stop : effects.stops) runner_->abort(stop.token, stop.reason, now_);
  for (Finished& result : effects.spool_put) to_spool_.push_back(std::move(result));
  for (const Nonce& nonce : effects.spool_drop) {
    std::erase_if(to_spool_, [&](const Finished& f) { return f.token.nonce == nonce; });
    parts_.spool.drop(nonce);
  }
  write_spool();
  if (effects.reconnect) parts_.link.give_up(now_.mono);
  if (effects.fatal) return fail(std::move(*effects.fatal));
  const bool finished = effects.finished;
  if (has_stops) more_waits_ = true;  // an abort may have ended attempts: take another turn
  return finished;
}

void Loop::write_spool() {
  if (to_spool_.empty() || now_.mono < next_spool_) return;
  size_t written = 0;
  for (const Finished& result : to_spool_) {
    if (auto put = parts_.spool.put(result); !put) {
      // They are still in memory; only a crash of this worker would lose them now.
      parts_.log->error("a result could not be spooled", {{"reason", put.error().message}});
      next_spool_ = now_.mono + Micros(kSpoolRetry);
      break;
    }
    ++written;
  }
  to_spool_.erase(to_spool_.begin(), to_spool_.begin() + static_cast<ptrdiff_t>(written));
}

void Loop::wait() {
  MonoTime until = std::min(
      {core_.next_wake(), runner_->deadline(), next_measure_, now_.mono + Micros(kWaitMax)});
  if (!to_spool_.empty()) until = std::min(until, next_spool_);
  if (more_waits_) until = now_.mono;
  const Micros left = std::max(Micros(0), until - parts_.clock().mono);
  std::vector<int> fds = {runner_->fd()};
  for (const int fd : {drain_seen_ ? -1 : parts_.drain_fd, parts_.stop_fd, parts_.reload_fd}) {
    if (fd >= 0) fds.push_back(fd);
  }
  parts_.link.wait(std::chrono::ceil<Millis>(left), fds);
}

}  // namespace zgrid::worker
