#include "worker/broker_link.h"

#include <poll.h>

#include <algorithm>

namespace zgrid::worker {

using namespace protocol;

namespace {

// Between places, at most; with nowhere to go it is also how often we look again.
constexpr int64_t kPauseMaxUs = 300'000;

}  // namespace

BrokerLink::BrokerLink(Context& context, Options options)
    : context_(context),
      options_(std::move(options)),
      random_(static_cast<std::minstd_rand::result_type>(options_.jitter_seed)) {}

std::vector<std::string> BrokerLink::places() const {
  if (!options_.endpoints.empty() || !options_.finder) return options_.endpoints;
  return options_.finder->endpoints();
}

void BrokerLink::open(MonoTime now) {
  const std::vector<std::string> all = places();
  if (all.empty()) return;
  const size_t choices = all.size() * options_.keys.size();
  const size_t choice = attempt_++ % choices;
  endpoint_ = all[choice / options_.keys.size()];
  const Keys& keys = options_.keys[choice % options_.keys.size()];
  Dealer::Options dealer;
  dealer.keys = keys.own;
  dealer.server_public_key = keys.server_public_key;
  // Its core hears the broker's beats, and gives it up when they stay away.
  dealer.pings = false;
  auto opened = Dealer::open(context_, std::move(dealer));
  failures_ = 0;
  refused_ = false;
  opened_at_ = connected_at_ = now;
  move_on_at_ = now + Micros(kTry);
  if (!opened || !(*opened)->connect(endpoint_)) return;
  dealer_ = std::move(*opened);
}

void BrokerLink::next(MonoTime now) {
  dealer_.reset();
  is_up_ = false;
  open_at_ = now + Micros(static_cast<int64_t>(random_() % kPauseMaxUs));
}

void BrokerLink::give_up(MonoTime now) { next(now); }

void BrokerLink::look(MonoTime now) {
  if (options_.finder && !is_up_) options_.finder->turn(now);
  if (!dealer_ && now >= open_at_) {
    open(now);
    if (!dealer_) open_at_ = now + Micros(kPauseMaxUs / 3);
  }
}

Result<BrokerLink::News> BrokerLink::turn(MonoTime now) {
  look(now);
  if (!dealer_) return News::none;
  News news = News::none;
  for (const LinkEvent& event : dealer_->link_events()) {
    switch (event.what) {
      case LinkEvent::What::ready:
        is_up_ = was_up_ = true;
        refusals_ = 0;
        failures_ = 0;
        move_on_at_ = MonoTime::never();
        news = News::connected;
        break;
      case LinkEvent::What::disconnected:
        if (is_up_) {
          is_up_ = false;
          news = News::disconnected;
          move_on_at_ = now + Micros(kStay);
        }
        break;
      case LinkEvent::What::refused: refused_ = true; break;
      case LinkEvent::What::handshake_failed:
        failures_ = now - connected_at_ > Micros(kRefusedWithin) ? 0 : failures_ + 1;
        refused_ = refused_ || failures_ >= kHandshakeFailuresMax;
        break;
      case LinkEvent::What::connected:
        connected_at_ = now;
        if (!is_up_) move_on_at_ = std::max(move_on_at_, opened_at_ + Micros(kTryAnswering));
        break;
      case LinkEvent::What::accept_failed: break;
    }
  }
  if (refused_ && !is_up_) {
    ++refusals_;
    if (!was_up_ && refusals_ >= places().size() * options_.keys.size()) {
      return fail(Errc::auth, endpoint_ + " refused us: wrong secret, or not a zgrid broker",
                  "give every machine of the grid the same secret");
    }
    next(now);
  } else if (!is_up_ && now >= move_on_at_) {
    next(now);
  }
  return news;
}

bool BrokerLink::receive(Frames& into) { return dealer_ && dealer_->receive(into); }
bool BrokerLink::send(const Frames& frames) { return dealer_ && dealer_->send(frames); }

void BrokerLink::on_welcome() {
  if (options_.finder) options_.finder->on_welcome(endpoint_);
}

void BrokerLink::wait(Millis timeout, const std::vector<int>& fds) {
  std::vector<int> all = fds;
  if (options_.finder && !is_up_) {
    for (const int fd : options_.finder->fds()) all.push_back(fd);
  }
  // While there is no connection, the next look is due soon.
  if (!is_up_) timeout = std::min(timeout, Millis{50});
  if (dealer_) return dealer_->wait(timeout, all);
  std::vector<pollfd> polls;
  for (const int fd : all) polls.push_back({fd, POLLIN, 0});
  ::poll(polls.data(), polls.size(), static_cast<int>(timeout.count()));
}

}  // namespace zgrid::worker
