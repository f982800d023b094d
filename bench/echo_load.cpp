// zgrid's side of the comparison: no-op echo jobs from one client connection to a running broker.
//
//   bench_echo --secret-file FILE --broker ENDPOINT [--jobs N] [--window W] [--payload BYTES]
//              [--queue yes]
//
// One submit call per job. Prints one JSON object. --window 1 measures latency. Every result is
// compared with its input; a wrong, lost or failed one ends the program with 1. --queue yes waits
// for the acknowledgements only: what a broker without workers does.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/connection.h"
#include "protocol/codec.h"
#include "protocol/keys.h"

namespace {

using namespace zgrid;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string secret_file, broker;
  size_t jobs = 100'000, window = 1000, payload = 100;
  bool queue = false;
};

class Load final : public client::Listener {
 public:
  explicit Load(const Options& options)
      : options_(options),
        input_{PayloadTag::bytes, Bytes::own(std::string(options.payload, 'x'))} {
    JobSpec spec;
    spec.service = kServiceEcho;
    spec_ = protocol::make_spec(std::move(spec));
  }

  void use(client::Connection& connection) { connection_ = &connection; }

  // Submits up to the window. False when all are back.
  bool fill(size_t jobs) {
    while (sent_ < jobs && sent_ - received_ < options_.window) submit();
    return received_ < jobs;
  }
  void reset() {
    sent_ = received_ = 0;
    latencies_.clear();
  }

  void on_accepted(const client::Accepted&) override { received_ += options_.queue ? 1 : 0; }
  void on_refused(const JobId&, const Error& error) override { fail_with(error.message); }
  void on_result(const client::ResultView& result) override {
    if (result.entry.outcome.status != JobStatus::succeeded || !(result.entry.output == input_)) {
      fail_with("a result is not what was submitted");
    }
    ++received_;
    if (options_.window == 1) {
      latencies_.push_back(
          std::chrono::duration<double, std::micro>(Clock::now() - sent_at_).count());
    }
  }
  void on_event(const JobId&, uint32_t, JobEvent&) override {}
  void on_unknown(const JobId&) override { fail_with("a job was forgotten"); }
  void on_lost(const Error& error) override { fail_with(error.message); }

  double percentile(double p) {
    if (latencies_.empty()) return 0;
    std::sort(latencies_.begin(), latencies_.end());
    return latencies_[static_cast<size_t>(p * static_cast<double>(latencies_.size() - 1))];
  }

 private:
  void submit() {
    sent_at_ = Clock::now();
    client::Submission submission;
    submission.spec = spec_;
    submission.entry.id = ids_.next(client::system_now().wall);
    submission.entry.input = input_;
    client::SubmitFlags flags;
    flags.watch = !options_.queue;
    connection_->submit(std::move(submission), flags, MonoTime::never());
    ++sent_;
  }
  [[noreturn]] static void fail_with(const std::string& message) {
    std::fprintf(stderr, "bench_echo: %s\n", message.c_str());
    std::exit(1);
  }

  Options options_;
  Payload input_;
  SpecRef spec_;
  client::JobIds ids_;
  client::Connection* connection_ = nullptr;
  size_t sent_ = 0, received_ = 0;
  Clock::time_point sent_at_;
  std::vector<double> latencies_;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const std::string value = argv[i + 1];
    if (name == "--secret-file") options.secret_file = value;
    if (name == "--broker") options.broker = value;
    if (name == "--jobs") options.jobs = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--window") options.window = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--queue") options.queue = value == "yes";
    if (name == "--payload") options.payload = std::strtoull(value.c_str(), nullptr, 10);
  }
  if (options.broker.empty() || options.jobs == 0 || options.window == 0) {
    std::fprintf(stderr,
                 "usage: bench_echo --secret-file FILE --broker ENDPOINT [--jobs N] [--window W]"
                 " [--payload BYTES]\n");
    std::exit(2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const auto text = protocol::read_secret_file(options.secret_file, {});
  const auto root = text ? protocol::derive_root(*text) : fail(text.error());
  if (!root) {
    std::fprintf(stderr, "bench_echo: %s\n", root.error().message.c_str());
    return 78;
  }
  Load load(options);
  client::Connection::Options connect;
  connect.endpoints = {options.broker};
  connect.keys = {client::client_keys(*root)};
  connect.user_host = "bench@localhost";
  connect.program_version = "bench";
  protocol::Context context;
  connect.open_dealer = [&context](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(context, std::move(dealer));
  };
  client::Connection connection(std::move(connect), load);
  load.use(connection);
  const auto run = [&](size_t jobs) {
    load.reset();
    while (load.fill(jobs)) connection.run(Millis{1000});
  };
  // Handshakes and the first windows are not measured.
  run(options.queue ? 1 : std::min<size_t>(options.jobs, 2000));
  const auto start = Clock::now();
  run(options.jobs);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf(
      "{\"what\":\"zgrid\",\"jobs\":%zu,\"window\":%zu,\"payload\":%zu,\"seconds\":%.4f,"
      "\"jobs_per_s\":%.0f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
      options.jobs, options.window, options.payload, seconds,
      static_cast<double>(options.jobs) / seconds, load.percentile(0.5), load.percentile(0.99));
  return 0;
}
