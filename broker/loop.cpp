#include "broker/loop.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

#include "broker/store_answers.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

constexpr Millis kSweep{10'000};
// A wait is never longer, so that a clock that jumps cannot stop the loop.
constexpr Millis kWaitMax{1000};
// A quick job's result is waited for so long before its commit: one sync instead of two.
constexpr Micros kHold{500};
// An idle loop writes so many itself: a few jobs from their beginning to their end.
constexpr size_t kHereRecords = 12;
// How long a stop waits for the last commit.
constexpr Millis kStopCommit{5000};

// What a message has of a turn's entries; large payloads count as several.
size_t entries_of(const Message& message, const Frames& frames) {
  size_t bytes = 0;
  for (const Bytes& frame : frames) bytes += frame.size();
  const size_t by_size = 1 + bytes / limits::kInlinePayloadBytesMax;
  if (const auto* submit = std::get_if<Submit>(&message)) {
    return std::max(by_size, submit->jobs.size());
  }
  if (const auto* final = std::get_if<Final>(&message)) {
    return std::max(by_size, final->items.size());
  }
  return by_size;
}

void note_greeting(Session& session, const Message& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) session.acks_ride = hello->acks_ride;
  if (const auto* ready = std::get_if<Ready>(&message)) session.acks_ride = ready->acks_ride;
}

}  // namespace

Loop::Loop(Parts parts)
    : parts_(std::move(parts)),
      core_(parts_.config, *parts_.entropy),
      delivery_(*parts_.router, sessions_, *parts_.log,
                {[this](SessionId id) { core_.session_lost(id); },
                 [this](StoreRead read) { run_read(std::move(read)); }}) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  watch_fds();
}

Loop::~Loop() {
  committer_.reset();
  if (epoll_ >= 0) ::close(epoll_);
}

Result<void> Loop::recover() {
  JobStore::Recovered into;
  into.unfinished = [this](StoredJob&& job) { core_.restore(std::move(job)); };
  into.input_bytes_max = parts_.config.memory_bytes;
  into.ended = [this](EndedJob&& job) { core_.restore(std::move(job)); };
  into.purged = [this](Purge&& purge) { core_.restore(std::move(purge)); };
  into.clock = [this](const PutClock& clock) { core_.restore(clock); };
  into.drain = [this](const PutDrain& drain) { core_.restore(drain); };
  if (auto result = parts_.store->recover(into); !result) return result;
  Committer::Options options;
  options.hold = kHold;
  options.here_records_max = kHereRecords;
  committer_ = std::make_unique<Committer>(
      std::move(parts_.store), [this] { wake_.signal(); }, options);
  const Core::Counts counts = core_.counts();
  if (counts.unfinished > 0) {
    parts_.log->info("recovered", {{"unfinished", std::to_string(counts.unfinished)},
                                   {"queued", std::to_string(counts.queued)}});
  }
  return {};
}

Result<void> Loop::run() {
  now_ = parts_.clock();
  slept_until_ = now_.mono;
  while (!woken_ || !stop_requested()) {
    if (!turn()) {
      return fail(Errc::io, "the store failed: " + failure_,
                  "nothing that was acknowledged is lost; check the disk, then start the broker",
                  Effect::unknown);
    }
    wait();
  }
  now_ = parts_.clock();
  ++turn_;
  delivery_.begin(now_.mono);
  handle(core_.shut_down(now_));
  committer_->release();
  const MonoTime give_up = now_.mono + Micros(kStopCommit);
  while (gate_.waiting_for() != 0 && parts_.clock().mono < give_up) {
    pollfd wake{wake_.fd(), POLLIN, 0};
    ::poll(&wake, 1, 10);
    wake_.drain();
    const Committer::Done done = committer_->poll();
    if (done.fatal) break;
    gate_.durable(done.durable_up_to, outgoing_);
  }
  delivery_.deliver(outgoing_);
  return {};
}

bool Loop::turn() {
  now_ = parts_.clock();
  notice_gap();
  if (woken_) wake_.drain();
  if (hold_due_ <= now_.mono) {
    hold_due_ = MonoTime::never();
    committer_->release();
  }
  const Committer::Done done = committer_->poll();
  if (done.fatal) {
    failure_ = done.reason;
    return false;
  }
  ++turn_;
  delivery_.begin(now_.mono);
  core_.begin(now_);
  core_.set_unwritten(done.unwritten);
  collect(done);
  if (done.refusing != !refusing_.empty()) {
    refusing_ = done.refusing ? done.reason : std::string();
    core_.set_refusing(refusing_);
    done.refusing
        ? parts_.log->warn("the store cannot write: submits are refused", {{"reason", done.reason}})
        : parts_.log->info("the store writes again");
  }
  mind_descriptors();
  inbox_empty_ = !receive_batch();
  handle(core_.finish(inbox_empty_));
  delivery_.deliver(outgoing_);
  delivery_.flush();
  sweep_silent();
  if (parts_.announcer && (woken_ || parts_.announcer->next_wake() <= now_.mono)) {
    parts_.announcer->turn(now_.mono);
    watch_fds();  // its interfaces come and go
  }
  return true;
}

void Loop::notice_gap() {
  // Stopped by a signal, starved or suspended: silence in that time was ours, not the workers'.
  const Micros gap = now_.mono - slept_until_;
  if (gap > Micros(kGap)) core_.extend_leases(gap);
}

void Loop::mind_descriptors() {
  if (parts_.router->keep_descriptors(now_.mono) == keeps_out_) return;
  keeps_out_ = !keeps_out_;
  keeps_out_ ? parts_.log->warn("few file descriptors are left: new connections wait",
                                {{"hint", "raise the limit: ulimit -n, or LimitNOFILE="}})
             : parts_.log->info("new connections are let in again");
}

bool Loop::receive_batch() {
  size_t entries = 0;
  for (int i = 0; i < kBatch && entries < kBatchEntries; ++i) {
    if (!parts_.router->receive(received_)) return false;
    entries += receive_one(received_);
  }
  return true;
}

size_t Loop::receive_one(Router::Received& received) {
  Session& session = sessions_.of(received.routing_id, received.principal, now_.mono);
  auto message = decode(received.frames);
  Error error;
  if (!message) {
    error = std::move(message.error());
    ++session.malformed;
    core_.count_malformed();
  } else if (const Kind kind = kind_of(*message); may_send(session.principal.role, kind)) {
    const bool is_goodbye = kind == Kind::disconnect;
    const SessionId id = session.id;
    const size_t entries = entries_of(*message, received.frames);
    note_greeting(session, *message);
    core_.receive(id, session.principal.role, std::move(*message));
    if (is_goodbye) sessions_.erase(id);
    return entries;
  } else {
    error.code = Errc::forbidden;
    error.message = "a " + std::string(role_name(session.principal.role)) + " may not send " +
                    std::string(message_name(kind));
    ++session.malformed;
  }
  parts_.log->warn("a message was refused",
                   {{"from", session.principal.name},
                    {"role", std::string(role_name(session.principal.role))},
                    {"reason", error.message}});
  const bool cut_off = session.malformed >= limits::kMalformedMax;
  const SessionId id = session.id;
  delivery_.send(id, Refused{std::move(error)});
  if (cut_off) {
    delivery_.send(id, Disconnect{"too many messages that are none"});
    delivery_.drop(id, "it sent too many messages that are none");
  }
  return 1;
}

void Loop::handle(Effects& effects) {
  // What follows an assignment must not overtake it while its input is read.
  const bool has_records = !effects.records.empty() || inputs_due_ > 0;
  using Taken = Committer::Taken;
  Taken taken = Taken::queued;
  if (has_records) {
    taken = committer_->commit(turn_, effects.records, effects.expected_soon, inbox_empty_);
    hold_due_ = taken == Taken::held ? std::min(hold_due_, now_.mono + kHold) : MonoTime::never();
  }
  gate_.add(turn_, has_records, effects.sends, outgoing_);
  if (taken == Taken::durable) gate_.durable(turn_, outgoing_);
  for (StoreRead& read : effects.reads) run_read(std::move(read));
  for (const Note& note : effects.notes) {
    note.is_warning ? parts_.log->warn(note.text, note.fields)
                    : parts_.log->info(note.text, note.fields);
  }
}

void Loop::run_read(StoreRead read) {
  const bool has_inputs = read.what == StoreRead::What::inputs;
  const bool has_results = read.what == StoreRead::What::results;
  if (has_inputs) ++inputs_due_;
  if (has_results) {
    read.bytes_max = Sessions::kParkAbove;
    if (Session* session = sessions_.find(read.to)) ++session->reads;
  }
  number_jobs(core_, read);
  auto shared = std::make_shared<const StoreRead>(std::move(read));
  committer_->read([=, this](JobStore& store) -> std::function<void()> {
    // On the store's thread; what is returned runs in our turn.
    auto answer = std::make_shared<StoreAnswer>(answer_from_store(store, *shared));
    return [=, this] {
      if (has_inputs) --inputs_due_;
      if (has_results) delivery_.park_rest(*shared, answer->results_read);
      deliver_answer(core_, *shared, std::move(*answer), outgoing_);
    };
  });
}

// In the order of the turns: what was read comes before what waited for later commits.
void Loop::collect(const Committer::Done& done) {
  for (const Committer::Done::Ready& ready : done.ready) {
    gate_.durable(ready.after, outgoing_);
    ready.run();
  }
  gate_.durable(done.durable_up_to, outgoing_);
}

void Loop::sweep_silent() {
  if (now_.mono < next_sweep_) return;
  next_sweep_ = now_.mono + Micros(kSweep);
  for (const SessionId id : sessions_.silent_since(now_.mono - 2 * Micros(limits::kClientLease))) {
    delivery_.drop(id, "it said nothing for too long");
  }
}

void Loop::watch_fds() {
  std::vector<int> wanted = {wake_.fd()};
  if (parts_.stop_fd >= 0) wanted.push_back(parts_.stop_fd);
  if (parts_.announcer) {
    for (const int fd : parts_.announcer->fds()) wanted.push_back(fd);
  }
  if (wanted == watched_) return;
  // A descriptor that was closed has left the set by itself, so that an error here is no news.
  for (const int fd : watched_) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  for (const int fd : wanted) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  watched_ = std::move(wanted);
}

void Loop::wait() {
  MonoTime until = std::min(core_.next_wake(), now_.mono + Micros(kWaitMax));
  if (parts_.announcer) until = std::min(until, parts_.announcer->next_wake());
  until = std::min({until, delivery_.next_wake(), hold_due_});
  if (!inbox_empty_) until = now_.mono;
  const MonoTime start = parts_.clock().mono;
  // A turn that took long (or was stopped in its middle) kept us from hearing, too.
  if (start - now_.mono > Micros(kGap)) core_.extend_leases(start - now_.mono);
  const Micros left = std::max(Micros(0), until - start);
  slept_until_ = start + left;
  woken_ = parts_.router->wait(left, epoll_);
}

bool Loop::stop_requested() const {
  if (parts_.stop_fd < 0) return false;
  pollfd poll_stop{parts_.stop_fd, POLLIN, 0};
  return ::poll(&poll_stop, 1, 0) > 0;
}

}  // namespace zgrid::broker
