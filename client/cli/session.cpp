#include "client/cli/session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "client/discover.h"

#if defined(__SANITIZE_ADDRESS__)
#define ZGRID_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ZGRID_ASAN 1
#endif
#endif

namespace zgrid::cli {
namespace {

// What is left looks like a leak, and who looks for leaks wants an orderly end.
#ifdef ZGRID_ASAN
constexpr bool kMayLeave = false;
#else
constexpr bool kMayLeave = true;
#endif

// How often a stdout is looked at that a wait does not see the end of.
constexpr Millis kLookAtReader{500};

// Asks for nothing: errors are always told.
bool has_reader(int fd) {
  pollfd polled{fd, 0, 0};
  return ::poll(&polled, 1, 0) <= 0 || (polled.revents & (POLLERR | POLLHUP)) == 0;
}

}  // namespace

std::unique_ptr<client::Finder> make_finder(const App& app, const conf::Settings& settings,
                                            const std::vector<protocol::Root>& roots) {
  protocol::BeaconSocket::Options beacons;
  beacons.lan = settings.grid.lan;
  beacons.interfaces = settings.grid.interfaces;
  beacons.port = settings.grid.beacon_port;
  auto socket = protocol::BeaconSocket::open(beacons);
  if (!socket) app.out.note("cannot listen for beacons: " + socket.error().message);
  client::BeaconFinder::Options options;
  options.roots = roots;
  options.peers = settings.grid.peers;
  options.cache_file = app.env.cache_dir() + "/last-broker";
  return std::make_unique<client::BeaconFinder>(
      std::move(options), socket ? std::move(*socket) : nullptr, client::system_now().mono);
}

void Session::Leave::operator()(Session* session) const {
  bool* const has_left = session->app_.has_left;
  if (kMayLeave && has_left != nullptr && session->connection_->is_idle()) {
    *has_left = true;
  } else {
    delete session;
  }
}

Result<Session::Ptr> Session::start(App& app) {
  auto settings = load_settings(app);
  if (!settings) return fail(settings.error());
  auto roots = load_roots(app, *settings);
  if (!roots) return fail(roots.error());
  Ptr session(new Session(app));
  session->connect(*settings, Place{app.globals.brokers, std::move(*roots)}, true);
  return session;
}

Result<Session::Ptr> Session::open(App& app) {
  auto session = start(app);
  if (!session) return session;
  // Whoever fails to connect hears of that, not of a question that ran out of time.
  Session& s = **session;
  switch (s.wait([&s] { return s.connection_->is_up(); })) {
    case End::done: return session;
    case End::signal: Signals::die_by(s.signal_);
    case End::timeout:
    case End::lost: return fail(s.lost_);
  }
  return session;
}

Result<std::unique_ptr<Session>> Session::open_at(App& app, const conf::Settings& settings,
                                                  Place place) {
  std::unique_ptr<Session> session(new Session(app));
  session->connect(settings, std::move(place), false);
  return session;
}

MonoTime Session::acknowledged_by() const {
  const Millis wait = connection_->is_up() ? reconnect_ : connect_timeout_ + reconnect_;
  return std::min(deadline_, connection_->deadline_in(wait));
}

void Session::connect(const conf::Settings& settings, Place place, bool submit_ahead) {
  client::Connection::Options options;
  options.endpoints = std::move(place.endpoints);
  for (std::string& endpoint : options.endpoints) {
    if (endpoint.find("://") == std::string::npos) endpoint = "tcp://" + endpoint;
  }
  if (options.endpoints.empty()) options.finder = make_finder(app_, settings, place.roots);
  for (const protocol::Root& root : place.roots) {
    options.keys.push_back(client::client_keys(root));
  }
  options.user_host = app_.user_host;
  options.program_version = app_.version;
  options.submit_ahead = submit_ahead;
  options.connect_timeout = settings.client.connect_timeout;
  options.reconnect = settings.client.reconnect;
  if (app_.globals.timeout) {
    options.connect_timeout = std::min(options.connect_timeout, *app_.globals.timeout);
  }
  options.open_dealer = [this](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(context_, std::move(dealer));
  };
  connect_timeout_ = options.connect_timeout;
  reconnect_ = options.reconnect;
  connection_ = std::make_unique<client::Connection>(std::move(options), *this);
  if (app_.globals.timeout) deadline_ = connection_->deadline_in(*app_.globals.timeout);
}

Session::End Session::wait(const std::function<bool()>& done, MonoTime alarm_at,
                           const std::function<void()>& alarm) {
  constexpr Millis kNap{60'000};
  while (true) {
    if (done()) return End::done;
    const MonoTime now = connection_->now().mono;
    if (now >= alarm_at && !is_out_of_time(now) && !connection_->is_over()) {
      alarm_at = MonoTime::never();
      alarm();
      continue;
    }
    Millis nap = kNap;
    if (alarm_at != MonoTime::never()) {
      nap = std::clamp(std::chrono::ceil<Millis>(alarm_at - now), Millis{1}, nap);
    }
    if (const End end = turn(nap); end != End::done) return end;
  }
}

// Before anybody authenticated, the connection's own timeout tells more (69).
bool Session::is_out_of_time(MonoTime now) const { return was_up() && now >= deadline_; }

void Session::end_with_reader() {
  struct stat info {};
  if (::fstat(STDOUT_FILENO, &info) != 0) return;
  const int flags = ::fcntl(STDOUT_FILENO, F_GETFL);
  // What can be read from as well would end a wait whenever it has something.
  const bool is_only_written = flags >= 0 && (flags & O_ACCMODE) == O_WRONLY;
  if (S_ISFIFO(info.st_mode) && is_only_written) reader_ = Reader::of_pipe;
  if (S_ISSOCK(info.st_mode)) reader_ = Reader::of_socket;
}

Session::End Session::turn(Millis nap, int input) {
  if (connection_->is_over()) return End::lost;
  const MonoTime now = connection_->now().mono;
  if (is_out_of_time(now)) return End::timeout;
  if (deadline_ > now && deadline_ != MonoTime::never() && nap > Millis{0}) {
    nap = std::clamp(std::chrono::ceil<Millis>(deadline_ - now), Millis{1}, nap);
  }
  std::array<int, 3> fds{signals_.fd()};
  size_t count = 1;
  if (input >= 0) fds[count++] = input;
  if (reader_ == Reader::of_pipe) fds[count++] = STDOUT_FILENO;
  if (reader_ == Reader::of_socket) nap = std::min(nap, kLookAtReader);
  connection_->run(nap, std::span<const int>(fds.data(), count));
  if (reader_ != Reader::unwatched && !has_reader(STDOUT_FILENO)) Signals::die_by(SIGPIPE);
  if (const auto signal = signals_.next()) {
    signal_ = *signal;
    return End::signal;
  }
  return End::done;
}

MonoTime Session::answer_deadline() const {
  return std::min(deadline_, connection_->deadline_in(kAnswerTimeout));
}

Result<protocol::Answer> Session::answer_of(
    const std::function<void(client::AnswerDone)>& ask_connection) {
  std::optional<Result<protocol::Answer>> got;
  ask_connection([&got](Result<protocol::Answer> answer) { got = std::move(answer); });
  // The call has a deadline of its own, so --timeout needs no watching here.
  const End end = wait([&] { return got.has_value(); });
  if (end == End::signal) Signals::die_by(signal_);
  if (got) return std::move(*got);
  if (end == End::lost) return fail(lost_);
  return fail(Errc::timeout, "the broker did not answer within --timeout");
}

Result<protocol::Answer> Session::ask(protocol::Query query) {
  return answer_of([&](client::AnswerDone done) {
    connection_->query(std::move(query), answer_deadline(), std::move(done));
  });
}

Result<protocol::Answer> Session::tell(protocol::Control control) {
  return answer_of([&](client::AnswerDone done) {
    connection_->control(std::move(control), answer_deadline(), std::move(done));
  });
}

Result<std::vector<protocol::JobSummary>> Session::look_up(
    const std::vector<std::string>& selectors) {
  std::vector<protocol::JobSummary> found;
  for (size_t at = 0; at < selectors.size(); at += limits::kBatchItemsMax) {
    const size_t end = std::min(selectors.size(), at + limits::kBatchItemsMax);
    protocol::Query query;
    query.what = protocol::Query::What::resolve;
    query.selectors.assign(selectors.begin() + static_cast<ptrdiff_t>(at),
                           selectors.begin() + static_cast<ptrdiff_t>(end));
    auto answer = ask(std::move(query));
    if (!answer) return fail(answer.error());
    if (answer->jobs.size() != end - at) {
      return fail(Errc::internal, "the broker resolved another number of ids than asked");
    }
    std::move(answer->jobs.begin(), answer->jobs.end(), std::back_inserter(found));
  }
  return found;
}

Result<std::vector<JobId>> Session::resolve(const std::vector<std::string>& selectors) {
  std::vector<JobId> ids(selectors.size());
  std::vector<size_t> places;
  std::vector<std::string> partial;
  for (size_t i = 0; i < selectors.size(); ++i) {
    if (auto id = JobId::parse(selectors[i])) {
      ids[i] = *id;
    } else {
      partial.push_back(selectors[i]);
      places.push_back(i);
    }
  }
  auto found = look_up(partial);
  if (!found) return fail(found.error());
  for (size_t i = 0; i < places.size(); ++i) ids[places[i]] = (*found)[i].job;
  return ids;
}

}  // namespace zgrid::cli
