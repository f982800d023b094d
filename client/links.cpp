#include "client/links.h"

#include <poll.h>

#include <algorithm>

#include "protocol/base/check.h"
#include "protocol/base/units.h"

namespace zgrid::client {
namespace {

using protocol::LinkEvent;

// Waiting while there is nothing to wait on but the clock and a finder, so that a wake() is not
// late by more than this.
constexpr Millis kBlindWait{10};

}  // namespace

Keys client_keys(const protocol::Root& root) {
  return {protocol::curve_keys(root, protocol::Role::client),
          protocol::curve_keys(root, protocol::Role::broker).public_key};
}

Links::Links(Options options, MonoTime now) : options_(std::move(options)), since_(now), now_(now) {
  ZGRID_CHECK(!options_.keys.empty());
  hello_ = protocol::encode(options_.hello);
  add_all();
}

void Links::add_all() {
  for (const std::string& endpoint : options_.endpoints) add(endpoint, true);
  if (options_.finder) {
    for (const std::string& endpoint : options_.finder->endpoints()) add(endpoint, false);
  }
}

void Links::add(const std::string& endpoint, bool named) {
  for (size_t key = 0; key < options_.keys.size(); ++key) {
    const bool known = std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
      return link->endpoint == endpoint && link->key == key;
    });
    if (known || links_.size() >= kLinksMax) continue;
    protocol::Dealer::Options dealer;
    dealer.keys = options_.keys[key].own;
    dealer.server_public_key = options_.keys[key].server_public_key;
    auto opened = options_.open_dealer(std::move(dealer));
    if (!opened) return fail_with(opened.error());
    if (auto ok = (*opened)->connect(endpoint); !ok) {
      if (named) fail_with(ok.error());
      return;  // what was heard or remembered may be nonsense
    }
    auto link = std::make_shared<Link>();
    link->endpoint = endpoint;
    link->key = key;
    link->connected_at = now_;
    link->dealer = std::move(*opened);
    // Queued by libzmq until the handshake is done: no round trip is lost.
    link->dealer->send(hello_);
    links_.push_back(std::move(link));
    const std::lock_guard lock(waker_mutex_);
    if (!waker_) waker_ = links_.back()->dealer;
  }
}

void Links::turn(MonoTime now) {
  now_ = now;
  if (state_ == State::failed) return;
  if (state_ != State::up && options_.finder) {
    options_.finder->turn(now);
    add_all();
  }
  const auto links = links_;  // a welcome, below in receive(), drops the others
  for (const auto& link : links) {
    for (const LinkEvent& event : link->dealer->link_events()) on_link_event(*link, event, now);
  }
  give_up_if_due(now);
}

void Links::on_link_event(Link& link, const LinkEvent& event, MonoTime now) {
  switch (event.what) {
    case LinkEvent::What::connected: link.connected_at = now; return;
    case LinkEvent::What::accept_failed: return;
    case LinkEvent::What::ready:
      link.failures = 0;
      link.dead = false;
      was_reached_ = true;
      if (link.hello_queued) {
        link.hello_queued = false;
        return;
      }
      lost_ahead_ = true;
      on_link_down(link, now);  // in case its end was not seen
      link.dealer->send(hello_);
      return;
    case LinkEvent::What::refused: link.dead = true; return;
    case LinkEvent::What::handshake_failed:
      if (now - link.connected_at > Micros(protocol::kRefusedWithin)) {
        link.failures = 0;
      } else if (++link.failures >= kHandshakeFailuresMax) {
        link.dead = true;
      }
      return;
    case LinkEvent::What::disconnected: on_link_down(link, now); return;
  }
}

void Links::on_link_down(Link& link, MonoTime now) {
  if (state_ != State::up || active_.get() != &link) return;
  state_ = State::lost;
  since_ = now;
  add_all();  // the broker may come back with the other key, or another one may lead
}

bool Links::receive(protocol::Message& into, bool pinned) {
  for (size_t tried = 0; tried < links_.size() && state_ != State::failed; ++tried) {
    const auto link = links_[(next_ + tried) % links_.size()];
    protocol::Frames frames;
    while (state_ != State::failed && link->dealer->receive(frames)) {
      auto message = protocol::decode(frames);
      if (!message) {
        if (message.error().code == Errc::envelope_version) fail_with(message.error());
        continue;  // a frame that we cannot read is as good as lost: its call runs into its
                   // deadline
      }
      if (auto* welcome = std::get_if<protocol::Welcome>(&*message)) {
        on_welcome(*link, std::move(*welcome), pinned);
        return false;  // what is outstanding goes out before more is read
      }
      if (auto* refused = std::get_if<protocol::Refused>(&*message)) {
        on_refused(*link, refused->error);
        continue;
      }
      if (link != active_) continue;
      if (std::holds_alternative<protocol::Disconnect>(*message)) {
        on_goodbye(*link);
        continue;
      }
      into = std::move(*message);
      return true;
    }
  }
  return false;
}

void Links::on_welcome(Link& link, protocol::Welcome welcome, bool pinned) {
  if (session_ > 0 && pinned && welcome.store != welcome_.store) {
    if (active_.get() != &link) {
      link.dead = true;
      return;
    }
    return fail_with({Errc::connection_lost,
                      "the broker at " + link.endpoint +
                          " came back with another store, which does not know these jobs",
                      "look at 'zgrid jobs'; a broker with --store memory forgets at each restart",
                      Effect::unknown, 0});
  }
  const auto self = *std::find_if(links_.begin(), links_.end(),
                                  [&](const auto& other) { return other.get() == &link; });
  links_.assign(1, self);
  active_ = self;
  next_ = 0;
  {
    const std::lock_guard lock(waker_mutex_);
    waker_ = self->dealer;
  }
  welcome_ = std::move(welcome);
  endpoint_ = self->endpoint;
  state_ = State::up;
  ++session_;
  if (options_.finder) options_.finder->on_welcome(endpoint_);
}

void Links::on_refused(Link& link, const Error& error) {
  link.refusal = error;
  link.dead = true;
  const bool was_welcomed = state_ == State::up && active_.get() == &link;
  if (was_welcomed && error.code == Errc::malformed) return fail_with(not_understood(error));
  if (state_ == State::up || links_.size() == 1) fail_with(error);
}

// Who welcomed us speaks our protocol; what is no message to it is one that it does not know yet.
Error Links::not_understood(const Error& refusal) const {
  const std::string& theirs = welcome_.program_version;
  const std::string& ours = options_.hello.program_version;
  return {Errc::unsupported,
          "the broker at " + endpoint_ + (theirs.empty() ? "" : ", zgrid " + theirs + ",") +
              " does not know what this command asks for; it says: " + refusal.message,
          "if it is older than this side" + (ours.empty() ? std::string() : ", zgrid " + ours) +
              ", start a newer one there; if not, one of the two has a bug: report it",
          refusal.effect, 0};
}

// The broker does not know us (it restarted, or we were silent for too long) or stops. Introduce
// ourselves again; if it stops, the next link does that once more.
void Links::on_goodbye(Link& link) {
  if (state_ != State::up) return;
  state_ = State::lost;
  since_ = now_;
  link.dealer->send(hello_);
}

bool Links::send(const protocol::Frames& frames) {
  return state_ == State::up && active_->dealer->send(frames);
}

bool Links::send_ahead(const protocol::Frames& frames) {
  const bool has_one_aim = !options_.finder && options_.keys.size() == 1 && links_.size() == 1;
  return has_one_aim && state_ == State::connecting && links_.front()->dealer->send(frames);
}

void Links::give_up_if_due(MonoTime now) {
  if (state_ == State::lost) {
    if (now < since_ + options_.reconnect) return;
    return fail_with({Errc::connection_lost,
                      "the broker at " + endpoint_ + " did not come back within " +
                          format_duration(options_.reconnect),
                      "accepted jobs go on when it is back", Effect::unknown, 0});
  }
  if (state_ != State::connecting) return;
  const bool settled = !options_.finder || options_.finder->settled();
  const bool all_dead =
      std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->dead; });
  const bool only_others =
      options_.finder && links_.empty() && !options_.finder->other_grids().empty();
  if (settled && ((all_dead && !links_.empty()) || only_others)) return fail_with(connect_error());
  if (now >= since_ + options_.connect_timeout) fail_with(connect_error());
}

Error Links::connect_error() const {
  if (links_.empty() && options_.finder) {
    if (!options_.finder->other_grids().empty()) {
      return {Errc::wrong_grid,
              "only brokers of another grid were found (grid " +
                  options_.finder->other_grids().front() + ")",
              "their secret is another one: check yours with 'zgrid secret check'", Effect::none,
              0};
    }
    return {Errc::no_broker, "no broker was found on this host or the listed interfaces",
            "start one with 'zgrid broker' or 'zgrid up', or name one with --broker", Effect::none,
            0};
  }
  for (const auto& link : links_) {
    if (link->refusal) return *link->refusal;
  }
  if (std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->dead; })) {
    return {Errc::auth, tried() + ": wrong secret, or not a zgrid broker",
            "compare 'zgrid secret check' on both machines", Effect::none, 0};
  }
  return {
      Errc::no_broker,
      "no broker answered within " + format_duration(options_.connect_timeout) + " at " + tried(),
      "is it running, and is the address right? 'zgrid discover' lists what can be heard",
      Effect::none, 0};
}

std::string Links::tried() const {
  std::string text;
  for (const auto& link : links_) {
    if (text.find(link->endpoint) != std::string::npos) continue;
    text += (text.empty() ? "" : ", ") + link->endpoint;
  }
  return text;
}

void Links::fail_with(Error error) {
  if (state_ == State::failed) return;
  state_ = State::failed;
  error_ = std::move(error);
}

MonoTime Links::deadline() const {
  switch (state_) {
    case State::connecting: return since_ + options_.connect_timeout;
    case State::lost: return since_ + options_.reconnect;
    case State::up:
    case State::failed: return MonoTime::never();
  }
  return MonoTime::never();
}

void Links::wait(Millis timeout, std::span<const int> fds) {
  std::vector<int> all(fds.begin(), fds.end());
  if (state_ != State::up && options_.finder) {
    const auto more = options_.finder->fds();
    all.insert(all.end(), more.begin(), more.end());
    timeout = std::min(timeout, kBlindWait);
  }
  if (links_.size() == 1) return links_.front()->dealer->wait(timeout, all);
  if (links_.empty()) {
    std::vector<pollfd> polled;
    for (const int fd : all) polled.push_back({fd, POLLIN, 0});
    ::poll(polled.data(), polled.size(), static_cast<int>(std::min(timeout, kBlindWait).count()));
    return;
  }
  next_ = (next_ + 1) % links_.size();
  links_[next_]->dealer->wait(std::min(timeout, kSlice), all);
}

void Links::wake() {
  const std::lock_guard lock(waker_mutex_);
  if (waker_) waker_->wake();
}

}  // namespace zgrid::client
