#include "tests/sim/network.h"

#include <algorithm>

namespace zgrid::sim {

using namespace protocol;

Micros Network::delay() {
  Random& r = world_.random;
  Micros d{r.between(options_.delay_min.count(), options_.delay_max.count())};
  if (options_.spike_percent > 0 && r.percent(options_.spike_percent)) {
    d += Micros{r.between(0, options_.spike_max.count())};
  }
  return d;
}

bool Network::is_cut(const Link& link) const { return link.peer->partitioned_until > world_.now(); }

LinkRef Network::connect(Peer& peer) {
  if (!broker_->is_listening() || peer.partitioned_until > world_.now()) return nullptr;
  auto link = std::make_shared<Link>();
  link->id = next_id_++;
  link->peer = &peer;
  links_.push_back(link);
  world_.note(peer.name + " connects (link " + std::to_string(link->id) + ")");
  return link;
}

void Network::send_up(const LinkRef& link, Frames frames) {
  if (!link->up || is_cut(*link)) return;
  const Micros arrival = std::max(link->last_up, world_.now() + delay());
  link->last_up = arrival;
  world_.at(arrival, [this, link, frames] { deliver_up(link, frames); });
  if (options_.duplicate_percent > 0 && world_.random.percent(options_.duplicate_percent)) {
    world_.at(arrival + delay(), [this, link, frames] { deliver_up(link, frames); });
  }
}

void Network::repeat_up(const LinkRef& link, Frames frames, Micros later) {
  if (is_cut(*link)) return;
  world_.after(later, [this, link, frames = std::move(frames)] {
    if (broker_->is_listening()) broker_->on_frames(link, frames);
  });
}

void Network::deliver_up(const LinkRef& link, const Frames& frames) {
  if (!link->up && !link->late) return;
  if (is_cut(*link) || !broker_->is_listening()) return;
  broker_->on_frames(link, frames);
}

bool Network::send_down(const LinkRef& link, Frames frames) {
  if (!link->up) return false;
  if (is_cut(*link)) return true;
  const Micros arrival = std::max(link->last_down, world_.now() + delay());
  link->last_down = arrival;
  world_.at(arrival, [this, link, frames] { deliver_down(link, frames); });
  if (options_.duplicate_percent > 0 && world_.random.percent(options_.duplicate_percent)) {
    world_.at(arrival + delay(), [this, link, frames] { deliver_down(link, frames); });
  }
  return true;
}

void Network::deliver_down(const LinkRef& link, const Frames& frames) {
  if (link->up && !is_cut(*link)) link->peer->on_frames(link, frames);
}

void Network::cut(const LinkRef& link) {
  if (!link->up) return;
  link->up = false;
  link->late = options_.late_percent > 0 && world_.random.percent(options_.late_percent);
  world_.note("link " + std::to_string(link->id) + " of " + link->peer->name + " breaks" +
              (link->late ? ", what is under way arrives late" : ""));
  std::erase(links_, link);
  world_.after(Micros{world_.random.between(0, 50'000)},
               [link] { link->peer->on_link_down(link); });
}

void Network::close(const LinkRef& link) {
  link->up = false;
  std::erase(links_, link);
}

void Network::cut_all() {
  for (const LinkRef& link : std::vector<LinkRef>(links_)) {
    cut(link);
    link->late = false;  // nobody is left to hear it
  }
}

void Network::partition(Peer& peer, Micros duration) {
  world_.note(peer.name + " is cut off for " + std::to_string(duration.count() / 1000) + " ms");
  peer.partitioned_until = std::max(peer.partitioned_until, world_.now() + duration);
  world_.at(peer.partitioned_until, [this, &peer] {
    if (peer.partitioned_until > world_.now()) return;
    for (const LinkRef& link : std::vector<LinkRef>(links_)) {
      if (link->peer == &peer) cut(link);
    }
  });
}

void Network::heal() {
  for (const LinkRef& link : std::vector<LinkRef>(links_)) {
    if (!is_cut(*link)) continue;
    link->peer->partitioned_until = world_.now();
    cut(link);
  }
}

void Network::calm() {
  heal();
  options_.duplicate_percent = 0;
  options_.repeat_percent = 0;
  options_.late_percent = 0;
  options_.spike_percent = 0;
}

// ---- traces -------------------------------------------------------------------------------------

std::string brief(const JobId& job) { return job.str().substr(32); }
std::string brief(const Token& token) {
  return brief(token.job) + "#" + std::to_string(token.attempt) + "/" +
         token.nonce.str().substr(32);
}

namespace {

struct Describe {
  std::string text;
  template <class T>
  void list(const std::vector<T>& items) {
    for (const T& item : items) one(item);
  }
  void one(const JobId& id) { text += " " + brief(id); }
  void one(const Token& token) { text += " " + brief(token); }
  void one(const InHand& item) {
    one(item.token);
    text += item.state == InHand::State::queued    ? ":queued"
            : item.state == InHand::State::running ? ":running"
                                                   : ":finished";
  }
  void one(const JobEntry& e) { one(e.id); }
  void one(const SubmitAck::Item& i) {
    text += " [" + std::to_string(i.entry) + "]";
    one(i.job);
    text += i.error ? ":" + std::string(errc_name(i.error->code))
                    : ":" + std::string(status_name(i.status));
    if (i.duplicate) text += ":duplicate";
  }
  template <class I>
  void status(const std::vector<I>& items) {
    for (const I& i : items) {
      one(i.job);
      text += i.known ? ":" + std::string(status_name(i.status)) : ":unknown";
    }
  }
  void one(const ResultEntry& e) {
    one(Token{e.job, e.attempt, {}});
    text += ":" + std::string(status_name(e.outcome.status));
  }
  void one(const FinalEntry& e) {
    one(e.token);
    text += ":" + std::string(status_name(e.outcome.status));
  }
  void one(const FinalAck::Item& i) { one(i.token); }
  void one(const Assignment& a) { one(a.token); }
  void one(const Abort::Item& i) { one(i.token); }

  void operator()(const Ready& m) { list(m.in_hand); }
  void operator()(const Welcome& m) {
    text += " epoch " + std::to_string(m.epoch) + " discard:";
    list(m.discard);
  }
  void operator()(const Submit& m) { list(m.jobs); }
  void operator()(const SubmitAck& m) { list(m.items); }
  void operator()(const Watch& m) { list(m.jobs); }
  void operator()(const WatchAck& m) { status(m.items); }
  void operator()(const Results& m) { list(m.items); }
  void operator()(const Cancel& m) { list(m.jobs); }
  void operator()(const CancelAck& m) { status(m.items); }
  void operator()(const Request& m) { list(m.items); }
  void operator()(const Final& m) { list(m.items); }
  void operator()(const FinalAck& m) {
    text += " batch " + std::to_string(m.batch) + " refused:";
    list(m.refused);
  }
  void operator()(const Abort& m) { list(m.items); }
  void operator()(const Recall& m) { list(m.items); }
  void operator()(const Released& m) { list(m.items); }
  void operator()(const Started& m) { list(m.items); }
  void operator()(const Answer& m) { text += " " + m.text; }
  void operator()(const Refused& m) { text += " " + m.error.message; }
  void operator()(const Disconnect& m) { text += " " + m.reason; }
  template <class M>
  void operator()(const M&) {}
};

}  // namespace

std::string describe(const Message& message) {
  Describe d;
  d.text = message_name(kind_of(message));
  std::visit(d, message);
  return d.text;
}

}  // namespace zgrid::sim
