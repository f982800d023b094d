#include "tests/sim/client_node.h"

#include <algorithm>

namespace zgrid::sim {

using namespace protocol;

namespace {

constexpr Micros kBeat{10'000'000};

bool is_for_now(const Error& error) {
  return error.code == Errc::queue_full || error.code == Errc::store_unavailable;
}

}  // namespace

ClientNode::ClientNode(World& world, Network& network, Oracle& oracle, std::string client_name)
    : Peer(std::move(client_name), Role::client),
      world_(world),
      network_(network),
      oracle_(oracle) {}

void ClientNode::start() { connect_later(); }

void ClientNode::connect_later() {
  world_.after(Micros{world_.random.between(1'000, 200'000)}, [this] {
    if (link_) return;
    link_ = network_.connect(*this);
    if (!link_) return connect_later();
    greet();
  });
}

void ClientNode::greet() {
  state_ = State::greeting;
  Hello hello;
  hello.user_host = name + "@host";
  send(hello);
}

void ClientNode::beat(uint64_t beats) {
  if (beats != beats_ || state_ != State::up) return;
  send(Heartbeat{});
  world_.after(kBeat, [this, beats] { beat(beats); });
}

void ClientNode::send(const Message& message) {
  if (!link_ || !link_->up) return;
  world_.note("  " + name + " > " + describe(message));
  if (const auto* submit = std::get_if<Submit>(&message)) {
    oracle_.on_submit_sent(link_->id, *submit);
  }
  network_.send_up(link_, encode(message));
}

void ClientNode::on_link_down(const LinkRef& link) {
  if (link != link_) return;
  link_.reset();
  state_ = State::down;
  connect_later();
}

// ---- what is asked for ----------------------------------------------------------------------

void ClientNode::submit(std::vector<SpecRef> specs, std::vector<JobEntry> jobs, bool events) {
  Submit m;
  m.request = next_request_++;
  m.events = events;
  m.specs = std::move(specs);
  m.jobs = std::move(jobs);
  for (const JobEntry& entry : m.jobs) {
    history_.push_back({m.specs[entry.spec], entry});
    if (!got_.contains(entry.id)) watched_.emplace(entry.id, events);
  }
  if (state_ == State::up) send(m);
  submits_.emplace(m.request, std::move(m));
}

void ClientNode::call(uint64_t request, Message message) {
  if (state_ == State::up) send(message);
  calls_.emplace(request, std::move(message));
}

void ClientNode::watch(std::vector<JobId> jobs, bool events) {
  for (const JobId& job : jobs) {
    if (!got_.contains(job)) watched_.insert_or_assign(job, events);
  }
  Watch m;
  m.request = next_request_++;
  m.jobs = std::move(jobs);
  m.events = events;
  call(m.request, m);
}

void ClientNode::cancel(std::vector<JobId> jobs) {
  Cancel m;
  m.request = next_request_++;
  m.jobs = std::move(jobs);
  call(m.request, m);
}

void ClientNode::retry(std::vector<Retry::Item> items) {
  reruns_.insert(reruns_.end(), items.begin(), items.end());
  Retry m;
  m.request = next_request_++;
  m.items = std::move(items);
  call(m.request, m);
}

void ClientNode::purge(std::vector<JobId> jobs) {
  Purge m;
  m.request = next_request_++;
  m.jobs = std::move(jobs);
  call(m.request, m);
}

void ClientNode::query(Query query) {
  query.request = next_request_++;
  call(query.request, query);
}

void ClientNode::control(Control::Op op, const std::string& worker) {
  Control m;
  m.request = next_request_++;
  m.op = op;
  m.worker = worker;
  call(m.request, m);
}

// ---- what comes back ------------------------------------------------------------------------

void ClientNode::on_frames(const LinkRef& link, const Frames& frames) {
  if (link != link_) return;
  auto message = decode(frames);
  if (!message) return world_.violate("a message does not decode: " + message.error().message);
  world_.note("  " + name + " < " + describe(*message));
  std::visit([this](auto& m) { on_message(m); }, *message);
}

void ClientNode::on_message(Welcome&) {
  if (state_ != State::greeting) return;
  state_ = State::up;
  beat(++beats_);
  for (const auto& [request, submit] : submits_) send(submit);
  for (const auto& [request, message] : calls_) send(message);
  rewatch();
}

void ClientNode::on_message(Disconnect&) {
  if (state_ == State::up) greet();
}

void ClientNode::rewatch() {
  std::set<JobId> pending;
  for (const auto& [request, submit] : submits_) {
    for (const JobEntry& entry : submit.jobs) pending.insert(entry.id);
  }
  for (const bool events : {false, true}) {
    std::vector<JobId> jobs;
    for (const auto& [job, with_events] : watched_) {
      if (with_events == events && !pending.contains(job)) jobs.push_back(job);
    }
    if (!jobs.empty()) watch(std::move(jobs), events);
  }
}

void ClientNode::on_message(SubmitAck& ack) {
  const auto it = submits_.find(ack.request);
  if (it == submits_.end()) return;  // acknowledged before, in an earlier session
  const Submit submit = std::move(it->second);
  submits_.erase(it);
  std::set<JobId> accepted;
  for (const JobEntry& entry : submit.jobs) accepted.insert(entry.id);
  for (const SubmitAck::Item& item : ack.items) {
    if (item.error) accepted.erase(submit.jobs[item.entry].id);
  }
  for (const JobId& job : accepted) {
    if (!got_.contains(job)) watched_.emplace(job, submit.events);
  }
  for (const SubmitAck::Item& item : ack.items) {
    const JobEntry entry = submit.jobs[item.entry];
    if (item.error) {
      watched_.erase(entry.id);
      if (!is_for_now(*item.error)) continue;
      // The same job again, later.
      ++retries_;
      world_.after(Micros(Millis{item.error->retry_after_ms}), [this, submit, entry] {
        --retries_;
        JobEntry again = entry;
        again.spec = 0;
        this->submit({submit.specs[entry.spec]}, {again}, submit.events);
      });
      continue;
    }
    if (item.job == entry.id && item.children.empty()) continue;
    watched_.erase(entry.id);
    if (!item.children.empty()) {
      watch(item.children, submit.events);
    } else if (!got_.contains(item.job)) {
      watched_.emplace(item.job, submit.events);
    }
  }
}

void ClientNode::on_message(Results& results) {
  oracle_.on_result_received(name, results);
  for (const ResultEntry& entry : results.items) {
    got_.insert(entry.job);
    watched_.erase(entry.job);
  }
}

void ClientNode::on_message(WatchAck& ack) {
  calls_.erase(ack.request);
  for (const WatchAck::Item& item : ack.items) {
    if (!item.known) watched_.erase(item.job);
  }
}

void ClientNode::on_message(RetryAck& ack) {
  const auto it = calls_.find(ack.request);
  if (it == calls_.end()) return;
  const auto asked = std::get<Retry>(it->second).items;
  calls_.erase(it);
  std::vector<JobId> accepted;
  for (const RetryAck::Item& item : ack.items) {
    if (!item.error) {
      accepted.push_back(item.new_id);
      continue;
    }
    if (!is_for_now(*item.error)) continue;
    ++retries_;
    world_.after(Micros(Millis{item.error->retry_after_ms}), [this, asked, job = item.job] {
      --retries_;
      for (const Retry::Item& one : asked) {
        if (one.job == job) retry({one});
      }
    });
  }
  if (!accepted.empty()) watch(std::move(accepted), false);
}

void ClientNode::on_message(Answer& answer) {
  if (answer.status) counts_ = answer.status->jobs;
  if (!answer.more) calls_.erase(answer.request);
}

std::string ClientNode::what_is_missing() const {
  std::string text = name + " waits for " + std::to_string(submits_.size()) +
                     " acknowledgements, " + std::to_string(calls_.size()) + " answers, results of";
  for (const auto& [job, events] : watched_) text += " " + brief(job);
  return text;
}

}  // namespace zgrid::sim
