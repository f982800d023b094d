// Load for the fault tests: submits jobs to a broker that may die at any moment, and writes what it
// did and heard to a history file, which history.py checks.
//
//   fault_load load  --secret-file FILE --broker ENDPOINT --history FILE
//                    [--service zgrid.echo] [--count N] [--seconds S] [--rate N] [--window N]
//                    [--payload BYTES] [--run NAME] [--on TARGET] [--retries N] [--priority N]
//                    [--time-limit S] [--deadline S] [--delay S] [--submit-deadline S]
//                    [--settle S] [--no-watch] [--no-retry] [--no-queue] [--events]
//   fault_load audit --secret-file FILE --broker ENDPOINT --history FILE [--settle S]
//
// load submits until the count, the seconds or SIGTERM, at a rate (0: as fast as the window of
// unended jobs allows), then waits up to --settle seconds for the results. --no-retry reports
// a full queue as a refusal instead of trying again. A service other than zgrid.echo is a workflow:
// its input is {"text": NUMBER} and its output must contain that number; an echo's must be its
// input.
//
// audit asks a fresh connection for every job that the history calls acknowledged, until all have
// ended or --settle is over, and writes what the broker says of each.
//
// A line: microseconds of CLOCK_MONOTONIC, a word, and what belongs to it:
//   submit JOB · ack JOB STATUS DUPLICATE · refuse JOB CODE RETRY_AFTER_MS EFFECT
//   result|final JOB ATTEMPT STATUS WORKER HASH · wrong JOB · event JOB ATTEMPT SEQ KIND NAME
//   unknown JOB · pending JOB STATUS ASKED_AT · up EPOCH · down · over CODE
// A submit stands in the file before its bytes leave; the others when they were heard. result is
// what a client was told, final what an audit found. The last line on stdout is a JSON summary.
// Exit: 0 if everything that was acknowledged has ended, 3 if something is pending or unknown.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "client/connection.h"
#include "protocol/base/limits.h"
#include "protocol/codec.h"
#include "protocol/hash.h"
#include "protocol/keys.h"
#include "tests/faults/history_file.h"

namespace {

using namespace zgrid;
using faults::die;
using faults::History;
using faults::micros;
using SteadyClock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_stop = 0;
void on_signal(int) { g_stop = 1; }

struct Options {
  bool audit = false;
  std::map<std::string, std::string> values;

  [[nodiscard]] bool has(const std::string& name) const { return values.contains(name); }
  [[nodiscard]] std::string text(const std::string& name, std::string otherwise = {}) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
  }
  [[nodiscard]] double number(const std::string& name, double otherwise) const {
    const auto found = values.find(name);
    return found == values.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
  }
  [[nodiscard]] Millis duration(const std::string& name, double otherwise) const {
    return Millis{static_cast<int64_t>(number(name, otherwise) * 1000)};
  }
};

class Load final : public client::Listener {
 public:
  Load(const Options& options, History& history)
      : options_(options),
        history_(history),
        window_(static_cast<size_t>(options.number("--window", 1000))),
        payload_(static_cast<size_t>(options.number("--payload", 100))) {
    JobSpec spec;
    spec.service = options.text("--service", std::string(kServiceEcho));
    spec.run = options.text("--run");
    spec.retries = static_cast<uint32_t>(options.number("--retries", 0));
    spec.priority = static_cast<uint8_t>(options.number("--priority", 4));
    spec.time_limit = options.duration("--time-limit", 0);
    spec.deadline = options.duration("--deadline", 0);
    spec.delay = options.duration("--delay", 0);
    spec.no_queue = options.has("--no-queue");
    if (const auto target = parse_target(options.text("--on", "any"))) spec.target = *target;
    is_echo_ = spec.service == kServiceEcho;
    spec_ = protocol::make_spec(std::move(spec));
    flags_.watch = !options.has("--no-watch");
    flags_.events = options.has("--events");
    flags_.retry_full = !options.has("--no-retry");
  }

  void use(client::Connection& connection) { connection_ = &connection; }

  void submit() {
    client::Submission submission;
    submission.spec = spec_;
    submission.entry.id = ids_.next(client::system_now().wall);
    submission.entry.input = input_of(submitted_);
    history_.line("submit", submission.entry.id.str());
    jobs_.emplace(submission.entry.id, Job{submitted_, micros()});
    ++submitted_;
    connection_->submit(std::move(submission), flags_,
                        connection_->deadline_in(options_.duration("--submit-deadline", 600)));
  }
  // How many may be submitted now.
  [[nodiscard]] size_t room() const { return jobs_.size() < window_ ? window_ - jobs_.size() : 0; }
  [[nodiscard]] bool is_idle() const { return jobs_.empty(); }
  [[nodiscard]] uint64_t submitted() const { return submitted_; }

  // An audit knows only the ids.
  void expect(const JobId& job) { jobs_.emplace(job, Job{kNoNumber, 0, true}); }

  void on_accepted(const client::Accepted& accepted) override {
    ++acked_;
    history_.line("ack", accepted.job.str() + ' ' + std::string(status_name(accepted.status)) +
                             (accepted.duplicate ? " 1" : " 0"));
    const auto found = jobs_.find(accepted.job);
    if (found == jobs_.end()) return;
    found->second.acked = true;
    ack_us_.push_back(micros() - found->second.at);
    if (!flags_.watch) jobs_.erase(found);
  }
  void on_refused(const JobId& job, const Error& error) override {
    ++refused_;
    if (const auto found = jobs_.find(job); found != jobs_.end()) {
      refuse_us_.push_back(micros() - found->second.at);
      jobs_.erase(found);
    }
    static constexpr const char* kEffects[] = {"none", "unknown", "happened"};
    history_.line("refuse", job.str() + ' ' + std::string(errc_name(error.code)) + ' ' +
                                std::to_string(error.retry_after_ms) + ' ' +
                                kEffects[static_cast<size_t>(error.effect)]);
  }
  void on_result(const client::ResultView& result) override {
    const protocol::ResultEntry& entry = result.entry;
    const std::string job = entry.job.str();
    const auto hash = protocol::hash_bytes({}, entry.output.data.view());
    history_.line(options_.audit ? "final" : "result",
                  job + ' ' + std::to_string(entry.attempt) + ' ' +
                      std::string(status_name(entry.outcome.status)) + ' ' +
                      (result.worker && !result.worker->name.empty() ? result.worker->name : "-") +
                      ' ' + hash.str());
    ++ended_[std::string(status_name(entry.outcome.status))];
    const auto found = jobs_.find(entry.job);
    if (found == jobs_.end()) return;
    if (!options_.audit) {
      result_us_.push_back(micros() - found->second.at);
      if (entry.outcome.status == JobStatus::succeeded && !is_right(found->second.number, entry)) {
        ++wrong_;
        history_.line("wrong", job);
      }
    }
    jobs_.erase(found);
  }
  void on_event(const JobId& job, uint32_t attempt, JobEvent& event) override {
    history_.line("event", job.str() + ' ' + std::to_string(attempt) + ' ' +
                               std::to_string(event.seq) + ' ' +
                               std::to_string(static_cast<int>(event.kind)) + ' ' +
                               (event.name.empty() ? "-" : event.name));
  }
  void on_unknown(const JobId& job) override {
    ++unknown_;
    history_.line("unknown", job.str());
    jobs_.erase(job);
  }
  void on_lost(const Error& error) override {
    over_ = error.message;
    history_.line("over", std::string(errc_name(error.code)));
  }

  // Notes the connection's ups and downs. False once it is over.
  bool note_link() {
    if (connection_->is_up() != was_up_) {
      was_up_ = connection_->is_up();
      history_.line(was_up_ ? "up" : "down",
                    was_up_ ? std::to_string(connection_->welcome().epoch) : "");
    }
    history_.flush();
    return !connection_->is_over();
  }

  // Acknowledged jobs that have not ended; asks for their states if the broker is there.
  size_t write_pending() {
    std::vector<JobId> left;
    for (const auto& [id, job] : jobs_) {
      if (job.acked) left.push_back(id);
    }
    for (size_t at = 0; at < left.size() && connection_->is_up(); at += limits::kBatchItemsMax) {
      const auto from = left.begin() + static_cast<ptrdiff_t>(at);
      const auto to =
          left.begin() + static_cast<ptrdiff_t>(std::min(left.size(), at + limits::kBatchItemsMax));
      bool answered = false;
      const int64_t asked = micros();
      connection_->watch({from, to}, false, connection_->deadline_in(Seconds{10}),
                         [&](Result<std::vector<protocol::WatchAck::Item>> items) {
                           answered = true;
                           if (items) write_states(*items, asked);
                         });
      while (!answered && !connection_->is_over()) connection_->run(Millis{100});
    }
    history_.flush();
    return left.size();
  }

  void print_summary(size_t pending, double seconds) {
    std::string ended;
    for (const auto& [status, count] : ended_) {
      ended += (ended.empty() ? "\"" : ",\"") + status + "\":" + std::to_string(count);
    }
    std::printf(
        "{\"submitted\":%llu,\"acked\":%llu,\"refused\":%llu,\"pending\":%zu,\"unknown\":%llu,"
        "\"wrong\":%llu,\"seconds\":%.3f,\"ended\":{%s},\"ack_us\":%s,\"result_us\":%s,"
        "\"refuse_us\":%s,\"error\":\"%s\"}\n",
        static_cast<unsigned long long>(submitted_), static_cast<unsigned long long>(acked_),
        static_cast<unsigned long long>(refused_), pending,
        static_cast<unsigned long long>(unknown_), static_cast<unsigned long long>(wrong_), seconds,
        ended.c_str(), percentiles(ack_us_).c_str(), percentiles(result_us_).c_str(),
        percentiles(refuse_us_).c_str(), over_.c_str());
  }
  [[nodiscard]] uint64_t unknown() const { return unknown_; }

 private:
  static constexpr uint64_t kNoNumber = UINT64_MAX;
  struct Job {
    uint64_t number = kNoNumber;  // as which it was submitted
    int64_t at = 0;
    bool acked = false;
  };

  [[nodiscard]] Payload input_of(uint64_t number) const {
    std::string text = std::to_string(number);
    if (is_echo_) {
      if (text.size() < payload_) text.append(payload_ - text.size(), '.');
      return {PayloadTag::bytes, Bytes::own(std::move(text))};
    }
    return {PayloadTag::json, Bytes::own("{\"text\":\"" + text + "\"}")};
  }
  [[nodiscard]] bool is_right(uint64_t number, const protocol::ResultEntry& entry) const {
    if (number == kNoNumber) return true;
    if (is_echo_) return entry.output == input_of(number);
    return entry.output.data.view().find(std::to_string(number)) != std::string_view::npos;
  }
  void write_states(const std::vector<protocol::WatchAck::Item>& items, int64_t asked) {
    for (const auto& item : items) {
      if (item.known && !is_terminal(item.status)) {
        history_.line("pending", item.job.str() + ' ' + std::string(status_name(item.status)) +
                                     ' ' + std::to_string(asked));
      }
    }
  }
  static std::string percentiles(std::vector<int64_t>& of) {
    if (of.empty()) return "null";
    std::sort(of.begin(), of.end());
    const auto at = [&](double p) {
      return std::to_string(of[static_cast<size_t>(p * static_cast<double>(of.size() - 1))]);
    };
    return "{\"p50\":" + at(0.5) + ",\"p99\":" + at(0.99) + ",\"max\":" + at(1) + "}";
  }

  const Options& options_;
  History& history_;
  size_t window_, payload_;
  SpecRef spec_;
  bool is_echo_ = true;
  client::SubmitFlags flags_;
  client::JobIds ids_;
  client::Connection* connection_ = nullptr;
  std::unordered_map<JobId, Job> jobs_;  // neither refused nor ended
  uint64_t submitted_ = 0, acked_ = 0, refused_ = 0, unknown_ = 0, wrong_ = 0;
  std::map<std::string, uint64_t> ended_;
  std::vector<int64_t> ack_us_, result_us_, refuse_us_;
  bool was_up_ = false;
  std::string over_;
};

Options parse(int argc, char** argv) {
  Options options;
  const std::string mode = argc > 1 ? argv[1] : "";
  options.audit = mode == "audit";
  static const std::unordered_set<std::string> kFlags{"--no-watch", "--no-retry", "--no-queue",
                                                      "--events"};
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (kFlags.contains(name)) {
      options.values[name] = "1";
    } else if (i + 1 < argc) {
      options.values[name] = argv[++i];
    }
  }
  if ((mode != "load" && mode != "audit") || !options.has("--broker") ||
      !options.has("--history") || !options.has("--secret-file")) {
    die("usage: fault_load load|audit --secret-file FILE --broker ENDPOINT --history FILE …", 2);
  }
  return options;
}

void run_load(const Options& options, client::Connection& connection, Load& load) {
  const auto start = SteadyClock::now();
  const auto count = static_cast<uint64_t>(options.number("--count", 1e18));
  const double seconds = options.number("--seconds", 1e9), rate = options.number("--rate", 0);
  const auto elapsed = [&] {
    return std::chrono::duration<double>(SteadyClock::now() - start).count();
  };
  while (!g_stop && load.submitted() < count && elapsed() < seconds) {
    uint64_t due = std::min<uint64_t>(count, load.submitted() + load.room());
    if (rate > 0) due = std::min(due, static_cast<uint64_t>(elapsed() * rate) + 1);
    while (load.submitted() < due) load.submit();
    if (!load.note_link()) return;
    connection.run(rate > 0 ? Millis{1} : Millis{20});
  }
  const auto settle = SteadyClock::now() + options.duration("--settle", 60);
  while (load.note_link() && !load.is_idle() && SteadyClock::now() < settle) {
    connection.run(Millis{50});
  }
}

// What was acknowledged, from the history.
std::vector<JobId> acknowledged(const std::string& path) {
  std::vector<JobId> jobs;
  std::unordered_set<JobId> seen;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const size_t word = line.find(" ack ");
    if (word == std::string::npos) continue;
    const auto job = JobId::parse(std::string_view(line).substr(word + 5, 36));
    if (job && seen.insert(*job).second) jobs.push_back(*job);
  }
  return jobs;
}

void run_audit(const Options& options, client::Connection& connection, Load& load) {
  const std::vector<JobId> jobs = acknowledged(options.text("--history"));
  for (const JobId& job : jobs) load.expect(job);
  const auto settle = SteadyClock::now() + options.duration("--settle", 60);
  size_t asked = 0;
  bool is_waiting = false;
  while (load.note_link() && !load.is_idle() && SteadyClock::now() < settle) {
    if (!is_waiting && asked < jobs.size()) {
      const size_t end = std::min(jobs.size(), asked + limits::kBatchItemsMax);
      is_waiting = true;
      connection.watch({jobs.begin() + static_cast<ptrdiff_t>(asked),
                        jobs.begin() + static_cast<ptrdiff_t>(end)},
                       false, MonoTime::never(), [&](const auto&) { is_waiting = false; });
      asked = end;
    }
    connection.run(Millis{50});
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGINT, on_signal);
  const auto text = protocol::read_secret_file(options.text("--secret-file"), {});
  const auto root = text ? protocol::derive_root(*text) : fail(text.error());
  if (!root) die(root.error().message, 78);
  History history(options.text("--history"));
  Load load(options, history);
  client::Connection::Options connect;
  connect.endpoints = {options.text("--broker")};
  connect.keys = {client::client_keys(*root)};
  connect.user_host = "faults@localhost";
  connect.program_version = "faults";
  connect.connect_timeout = Millis{120'000};
  connect.reconnect = Millis{600'000};
  protocol::Context context;
  connect.open_dealer = [&context](protocol::Dealer::Options dealer) {
    return protocol::Dealer::open(context, std::move(dealer));
  };
  client::Connection connection(std::move(connect), load);
  load.use(connection);
  const auto start = SteadyClock::now();
  options.audit ? run_audit(options, connection, load) : run_load(options, connection, load);
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - start).count();
  const size_t pending = load.write_pending();
  load.print_summary(pending, seconds);
  return pending + load.unknown() > 0 ? 3 : 0;
}
