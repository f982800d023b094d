// zgrid's side of the comparison: jobs from the client library's engine to a running broker.
//
//   bench_echo --secret-file FILE --broker ENDPOINT [--workflow NAME] [--on TARGET] [--queue]
//              and the options of load.h
//
// One submit call per job. Prints one JSON object. Every result of zgrid.echo is compared with its
// input, other workflows must succeed; a wrong, lost or failed job ends the program with 1. --queue
// waits for the acknowledgements only: what a broker without workers does.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "bench/load.h"
#include "client/connection.h"
#include "protocol/codec.h"
#include "protocol/keys.h"

namespace {

using namespace zgrid;

struct Options {
  bench::LoadOptions load;
  std::string secret_file, broker, workflow{kServiceEcho}, on;
  bool queue = false;
};

[[noreturn]] void end_with(const std::string& message, int code) {
  std::fprintf(stderr, "bench_echo: %s\n", message.c_str());
  std::exit(code);
}

client::Connection::Options connect_options(const Options& options, const protocol::Root& root,
                                            protocol::Context& context) {
  client::Connection::Options connect;
  connect.endpoints = {options.broker};
  connect.keys = {client::client_keys(root)};
  connect.user_host = "bench@localhost";
  connect.program_version = "bench";
  connect.open_dealer = [&context](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(context, std::move(dealer));
  };
  return connect;
}

class Echo final : public bench::Target, private client::Listener {
 public:
  Echo(const Options& options, const protocol::Root& root)
      : options_(options),
        input_{PayloadTag::bytes, Bytes::own(std::string(options.load.payload, 'x'))},
        connection_(connect_options(options, root, context_), *this) {
    JobSpec spec;
    spec.service = options.workflow;
    if (!options.on.empty()) {
      auto target = parse_target(options.on);
      if (!target) end_with("--on: not a target", 2);
      spec.target = std::move(*target);
    }
    spec_ = protocol::make_spec(std::move(spec));
  }

  void submit() override {
    client::Submission submission;
    submission.spec = spec_;
    submission.entry.id = ids_.next(client::system_now().wall);
    if (options_.workflow == kServiceEcho) submission.entry.input = input_;
    client::SubmitFlags flags;
    flags.watch = !options_.queue;
    connection_.submit(std::move(submission), flags, MonoTime::never());
  }
  size_t wait() override {
    while (done_ == 0) connection_.run(Millis{1000});
    return std::exchange(done_, 0);
  }

 private:
  void on_accepted(const client::Accepted&) override { done_ += options_.queue ? 1 : 0; }
  void on_refused(const JobId&, const Error& error) override { end_with(error.message, 1); }
  void on_result(const client::ResultView& result) override {
    const protocol::ResultEntry& entry = result.entry;
    if (entry.outcome.status != JobStatus::succeeded) end_with("a job did not succeed", 1);
    if (options_.workflow == kServiceEcho && !(entry.output == input_)) {
      end_with("a result is not what was submitted", 1);
    }
    ++done_;
  }
  void on_event(const JobId&, uint32_t, JobEvent&) override {}
  void on_unknown(const JobId&) override { end_with("a job was forgotten", 1); }
  void on_lost(const Error& error) override { end_with(error.message, 1); }

  const Options& options_;
  Payload input_;
  SpecRef spec_;
  client::JobIds ids_;
  protocol::Context context_;
  client::Connection connection_;
  size_t done_ = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  const auto other = [&options](const std::string& name, const std::string& value) {
    if (name == "--queue") return options.queue = true, 1;
    std::string* into = name == "--secret-file" ? &options.secret_file
                        : name == "--broker"    ? &options.broker
                        : name == "--workflow"  ? &options.workflow
                        : name == "--on"        ? &options.on
                                                : nullptr;
    if (into == nullptr) return 0;
    *into = value;
    return 2;
  };
  options.load = bench::parse_load(
      argc, argv,
      "bench_echo --secret-file FILE --broker ENDPOINT [--workflow NAME] [--on TARGET] [--queue]",
      other);
  if (options.broker.empty() || options.secret_file.empty()) {
    end_with("--secret-file and --broker are needed", 2);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const auto text = protocol::read_secret_file(options.secret_file, {});
  const auto root = text ? protocol::derive_root(*text) : fail(text.error());
  if (!root) end_with(root.error().message, 78);
  bench::print("zgrid", options.load, bench::run_load(options.load, [&] {
                 return std::make_unique<Echo>(options, *root);
               }));
  return 0;
}
