// Many peers of a broker in one process, where as many processes would be too many.
//
//   fault_peers crowd --secret-file FILE --broker ENDPOINT [--workers N] [--clients N]
//                     [--rate N] [--batch N] [--payload BYTES] [--seconds S] [--sweep-ms MS]
//   fault_peers mute  --secret-file FILE --broker ENDPOINT [--rate N] [--batch N]
//                     [--payload BYTES] [--seconds S]
//
// crowd: workers and clients as the library makes them, each with a connection of its own. The
// clients submit zgrid.echo jobs, --rate a second together (0: none) and --batch of them at once,
// and wait for the results. The workers echo. Whenever all of them are up, or no longer all, a line
// says so on stdout:
//   MICROSECONDS_OF_CLOCK_MONOTONIC all-up | UP of ALL
// The last line is a JSON summary, with the times from submit to result.
//
// mute: one client that submits --rate echo jobs a second, wants all results, and never reads one.
// It says "muted" when the first are on their way.
// Both end after --seconds or at SIGTERM.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/connection.h"
#include "protocol/codec.h"
#include "protocol/keys.h"
#include "worker/broker_link.h"
#include "worker/core/core.h"

namespace {

using namespace zgrid;
using SteadyClock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

[[noreturn]] void die(const std::string& message, int code) {
  std::fprintf(stderr, "fault_peers: %s\n", message.c_str());
  std::_Exit(code);
}

int64_t micros() {
  return std::chrono::duration_cast<Micros>(SteadyClock::now().time_since_epoch()).count();
}

void rest(Millis time) { ::poll(nullptr, 0, static_cast<int>(time.count())); }

struct Options {
  std::string mode;
  std::map<std::string, std::string> values;
  [[nodiscard]] std::string text(const std::string& name) const {
    const auto found = values.find(name);
    return found == values.end() ? "" : found->second;
  }
  [[nodiscard]] double number(const std::string& name, double otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
  }
};

Payload filler(size_t bytes) { return {PayloadTag::bytes, Bytes::own(std::string(bytes, '.'))}; }

SpecRef echo_spec() {
  JobSpec spec;
  spec.service = kServiceEcho;
  return protocol::make_spec(std::move(spec));
}

// The worker's core and link without a runner: everything is an echo.
class Worker {
 public:
  Worker(protocol::Context& context, const protocol::Root& root, const std::string& endpoint,
         size_t number)
      : core_(config(number)), link_(context, link_options(root, endpoint, number)) {}

  void turn() {
    const Now now = client::system_now();
    core_.begin(now);
    const auto news = link_.turn(now.mono);
    if (!news) die(news.error().message, 77);
    if (*news == worker::BrokerLink::News::connected) core_.connected();
    if (*news == worker::BrokerLink::News::disconnected) core_.disconnected();
    while (link_.receive(frames_)) {
      if (auto message = protocol::decode(frames_)) core_.receive(std::move(*message));
    }
    while (auto start = core_.next_start()) {
      core_.attempt_ended(start->token, Outcome{}, std::move(start->input));
    }
    worker::Effects& effects = core_.finish();
    for (const protocol::Message& message : effects.sends) {
      if (!link_.send(protocol::encode(message))) break;
    }
    if (effects.reconnect) link_.give_up(now.mono);
    if (effects.fatal) die(effects.fatal->message, 78);
  }
  [[nodiscard]] bool is_up() const { return core_.counts().welcomed; }

 private:
  static worker::CoreConfig config(size_t number) {
    worker::CoreConfig config;
    config.facts.name = "peer-" + std::to_string(number);
    config.facts.host = "crowd";
    client::fill_random(config.facts.id.bytes.data(), config.facts.id.bytes.size());
    client::fill_random(config.boot.bytes.data(), config.boot.bytes.size());
    config.services = {std::string(kServiceEcho)};
    return config;
  }
  static worker::BrokerLink::Options link_options(const protocol::Root& root,
                                                  const std::string& endpoint, size_t number) {
    worker::BrokerLink::Options options;
    options.endpoints = {endpoint};
    options.keys = {{protocol::curve_keys(root, protocol::Role::worker),
                     protocol::curve_keys(root, protocol::Role::broker).public_key}};
    options.jitter_seed = number + 1;
    return options;
  }

  worker::Core core_;
  worker::BrokerLink link_;
  protocol::Frames frames_;
};

class Client final : public client::Listener {
 public:
  Client(protocol::Context& context, const protocol::Root& root, const std::string& endpoint,
         std::vector<int64_t>& took)
      : took_(took), connection_(connection_options(context, root, endpoint), *this) {}

  void submit(const SpecRef& spec, const Payload& input) {
    client::Submission submission;
    submission.spec = spec;
    submission.entry.id = ids_.next(client::system_now().wall);
    submission.entry.input = input;
    started_.emplace(submission.entry.id, micros());
    connection_.submit(std::move(submission), {}, connection_.deadline_in(Seconds{600}));
  }
  void turn() { connection_.run(Millis{0}); }
  [[nodiscard]] bool is_up() const { return connection_.is_up(); }
  [[nodiscard]] size_t waiting() const { return started_.size(); }

  void on_accepted(const client::Accepted&) override {}
  void on_refused(const JobId& job, const Error&) override { started_.erase(job); }
  void on_result(const client::ResultView& result) override {
    const auto found = started_.find(result.entry.job);
    if (found == started_.end()) return;
    took_.push_back(micros() - found->second);
    started_.erase(found);
  }
  void on_event(const JobId&, uint32_t, JobEvent&) override {}
  void on_unknown(const JobId& job) override { started_.erase(job); }
  void on_lost(const Error& error) override { die(error.message, 69); }

 private:
  static client::Connection::Options connection_options(protocol::Context& context,
                                                        const protocol::Root& root,
                                                        const std::string& endpoint) {
    client::Connection::Options options;
    options.endpoints = {endpoint};
    options.keys = {client::client_keys(root)};
    options.user_host = "crowd@localhost";
    options.program_version = "faults";
    options.connect_timeout = Millis{120'000};
    options.reconnect = Millis{600'000};
    options.open_dealer = [&context](protocol::Dealer::Options dealer) {
      return protocol::Dealer::open(context, std::move(dealer));
    };
    return options;
  }

  std::vector<int64_t>& took_;
  client::JobIds ids_;
  std::unordered_map<JobId, int64_t> started_;
  client::Connection connection_;
};

// Says when it changes whether all are up.
class Watch {
 public:
  void look(size_t up, size_t all) {
    const bool is_all = up == all;
    if (is_all == was_all_) return;
    was_all_ = is_all;
    is_all ? std::printf("%lld all-up\n", static_cast<long long>(micros()))
           : std::printf("%lld %zu of %zu\n", static_cast<long long>(micros()), up, all);
    std::fflush(stdout);
  }

 private:
  bool was_all_ = false;
};

void print_summary(std::vector<int64_t>& took, uint64_t submitted) {
  std::sort(took.begin(), took.end());
  const auto at = [&](double p) {
    if (took.empty()) return 0LL;
    return static_cast<long long>(
        took[static_cast<size_t>(p * static_cast<double>(took.size() - 1))]);
  };
  std::printf(
      "{\"submitted\":%llu,\"ended\":%zu,\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld}\n",
      static_cast<unsigned long long>(submitted), took.size(), at(0.5), at(0.99), at(1));
}

void run_crowd(const Options& options, protocol::Context& context, const protocol::Root& root) {
  const std::string endpoint = options.text("--broker");
  const auto seconds = options.number("--seconds", 1e9), rate = options.number("--rate", 0);
  const auto batch = static_cast<uint64_t>(options.number("--batch", 1));
  const Millis sweep{static_cast<int64_t>(options.number("--sweep-ms", 1))};
  const Payload input = filler(static_cast<size_t>(options.number("--payload", 100)));
  const SpecRef spec = echo_spec();
  std::vector<int64_t> took;
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < static_cast<size_t>(options.number("--workers", 0)); ++i) {
    workers.push_back(std::make_unique<Worker>(context, root, endpoint, i));
  }
  for (size_t i = 0; i < static_cast<size_t>(options.number("--clients", 0)); ++i) {
    clients.push_back(std::make_unique<Client>(context, root, endpoint, took));
  }
  Watch watch;
  uint64_t submitted = 0;
  const int64_t start = micros();
  size_t waiting = 0;
  const auto elapsed = [&] { return static_cast<double>(micros() - start) / 1e6; };
  while (!g_stop && elapsed() < seconds) {
    const auto due = rate > 0 ? static_cast<uint64_t>(elapsed() * rate) / batch * batch : 0;
    for (; submitted < due; ++submitted) clients[submitted % clients.size()]->submit(spec, input);
    size_t up = 0;
    for (const auto& worker : workers) {
      worker->turn();
      up += worker->is_up();
    }
    for (const auto& client : clients) {
      client->turn();
      up += client->is_up();
    }
    watch.look(up, workers.size() + clients.size());
    rest(sweep);
  }
  // What is under way.
  const double end = elapsed() + 30;
  do {
    waiting = 0;
    for (const auto& worker : workers) worker->turn();
    for (const auto& client : clients) {
      client->turn();
      waiting += client->waiting();
    }
    rest(sweep);
  } while (waiting > 0 && elapsed() < end);
  print_summary(took, submitted);
}

void run_mute(const Options& options, protocol::Context& context, const protocol::Root& root) {
  const client::Keys keys = client::client_keys(root);
  protocol::Dealer::Options dealer_options;
  dealer_options.keys = keys.own;
  dealer_options.server_public_key = keys.server_public_key;
  // What libzmq would read for us is reading, too.
  dealer_options.high_water_mark = 1;
  auto dealer = protocol::Dealer::open(context, std::move(dealer_options));
  if (!dealer || !(*dealer)->connect(options.text("--broker"))) die("cannot connect", 69);
  client::JobIds ids;
  const SpecRef spec = echo_spec();
  const Payload input = filler(static_cast<size_t>(options.number("--payload", 10'000)));
  const auto batch = static_cast<size_t>(options.number("--batch", 50));
  const double seconds = options.number("--seconds", 1e9), rate = options.number("--rate", 1000);
  const int64_t start = micros();
  uint64_t request = 0;
  bool greeted = false, told = false;
  while (!g_stop && static_cast<double>(micros() - start) / 1e6 < seconds) {
    for (const auto& event : (*dealer)->link_events()) {
      if (event.what == protocol::LinkEvent::What::ready) greeted = false;
    }
    protocol::Hello hello;
    hello.program_version = "faults";
    hello.user_host = "mute@localhost";
    if (!greeted && !(*dealer)->send(protocol::encode(hello))) {
      rest(Millis{1});
      continue;
    }
    greeted = true;
    if (static_cast<double>(request * batch) > rate * static_cast<double>(micros() - start) / 1e6) {
      rest(Millis{1});
      continue;
    }
    protocol::Submit submit;
    submit.request = ++request;
    submit.specs = {spec};
    for (size_t i = 0; i < batch; ++i) {
      protocol::JobEntry entry;
      entry.id = ids.next(client::system_now().wall);
      entry.input = input;
      submit.jobs.push_back(std::move(entry));
    }
    const protocol::Frames frames = protocol::encode(submit);
    while (!g_stop && !(*dealer)->send(frames)) rest(Millis{1});
    if (!told) std::printf("muted\n");
    told = true;
    std::fflush(stdout);
  }
  std::printf("{\"submits\":%llu}\n", static_cast<unsigned long long>(request));
}

Options parse(int argc, char** argv) {
  Options options;
  options.mode = argc > 1 ? argv[1] : "";
  for (int i = 2; i + 1 < argc; i += 2) options.values[argv[i]] = argv[i + 1];
  if ((options.mode != "crowd" && options.mode != "mute") || options.text("--broker").empty() ||
      options.text("--secret-file").empty()) {
    die("usage: fault_peers crowd|mute --secret-file FILE --broker ENDPOINT …", 2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  const auto text = protocol::read_secret_file(options.text("--secret-file"), {});
  const auto root = text ? protocol::derive_root(*text) : fail(text.error());
  if (!root) die(root.error().message, 78);
  protocol::Context context;
  options.mode == "mute" ? run_mute(options, context, *root) : run_crowd(options, context, *root);
  std::fflush(stdout);
  // Thousands of sockets would take their time to close, and the broker sees the end anyway.
  std::_Exit(0);
}
