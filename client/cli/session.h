// A command's connection to the broker: options, secret, discovery, signals and --timeout in one
// place. The calling thread runs it; there is no other.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/app.h"
#include "client/cli/signals.h"
#include "client/connection.h"

namespace zgrid::cli {

// Where to connect when it is not for the configuration to say.
struct Place {
  std::vector<std::string> endpoints;
  std::vector<protocol::Root> roots;
};

class Session final : public client::Listener {
 public:
  // How long a question may wait for its answer when there is no --timeout.
  static constexpr Seconds kAnswerTimeout{60};

  // Destroys a session. If nothing of it is under way it only leaves it, and says so to the App:
  // the process is about to end, and the kernel closes a connection quicker than libzmq.
  struct Leave {
    void operator()(Session* session) const;
  };
  using Ptr = std::unique_ptr<Session, Leave>;

  // As options and configuration say. Returns when a broker has welcomed us.
  static Result<Ptr> open(App& app);
  // Returns at once; submits do not wait for the welcome, either. Who cannot connect hears of it as
  // of a connection that was lost.
  static Result<Ptr> start(App& app);
  // Starts connecting.
  static Result<std::unique_ptr<Session>> open_at(App& app, const conf::Settings& settings,
                                                  Place place);

  // How a wait ended.
  enum class End : uint8_t { done, timeout, signal, lost };
  // Turns until done() holds. `alarm` is called once at `alarm_at`.
  End wait(const std::function<bool()>& done, MonoTime alarm_at = MonoTime::never(),
           const std::function<void()>& alarm = nullptr);
  // One turn of the connection, of at most `nap`; also ended by `input` (a file descriptor, or -1)
  // being readable. End::done says that nothing is in the way of another.
  End turn(Millis nap, int input = -1);

  // For a command that does nothing but show a stream: from now on a wait ends the process by
  // SIGPIPE as soon as nobody reads its stdout any more, not only when it writes the next time.
  void end_with_reader();

  // Asks and waits for the answer. A signal ends the process.
  Result<protocol::Answer> ask(protocol::Query query);
  Result<protocol::Answer> tell(protocol::Control control);
  // What the broker knows of each of these, in order. Errc::not_found, Errc::ambiguous.
  Result<std::vector<protocol::JobSummary>> look_up(const std::vector<std::string>& selectors);
  // Full ids of what the user typed, in order; `-` was replaced before. Asks the broker only for
  // what is not a full id.
  Result<std::vector<JobId>> resolve(const std::vector<std::string>& selectors);

  client::Connection& connection() { return *connection_; }
  // The end of --timeout, or of what a single question may take.
  [[nodiscard]] MonoTime deadline() const { return deadline_; }
  [[nodiscard]] MonoTime answer_deadline() const;
  // Whether a broker ever welcomed us.
  [[nodiscard]] bool was_up() const { return !connection_->endpoint().empty(); }
  [[nodiscard]] int signal() const { return signal_; }
  [[nodiscard]] const Error& lost_error() const { return lost_; }
  // As long as there is no --timeout a broker that is away is waited for.
  // When a submit that leaves now must be acknowledged: a connection that is still being made has
  // its own time first.
  [[nodiscard]] MonoTime acknowledged_by() const;

  // What to do when the connection calls back; unset ones ignore it.
  std::function<void(const client::Accepted&)> accepted;
  std::function<void(const JobId&, const Error&)> refused;
  std::function<void(const client::ResultView&)> result;
  std::function<void(const JobId&, uint32_t, JobEvent&)> event;
  std::function<void(const JobId&)> unknown;

 private:
  explicit Session(App& app) : app_(app), signals_{SIGINT, SIGTERM, SIGHUP} {}
  void connect(const conf::Settings& settings, Place place, bool submit_ahead);
  [[nodiscard]] bool is_out_of_time(MonoTime now) const;
  Result<protocol::Answer> answer_of(const std::function<void(client::AnswerDone)>& ask_connection);

  void on_accepted(const client::Accepted& a) override {
    if (accepted) accepted(a);
  }
  void on_refused(const JobId& job, const Error& error) override {
    if (refused) refused(job, error);
  }
  void on_result(const client::ResultView& view) override {
    if (result) result(view);
  }
  void on_event(const JobId& job, uint32_t attempt, JobEvent& e) override {
    if (event) event(job, attempt, e);
  }
  void on_unknown(const JobId& job) override {
    if (unknown) unknown(job);
  }
  void on_lost(const Error& error) override { lost_ = error; }

  App& app_;
  Signals signals_;
  protocol::Context context_;
  std::unique_ptr<client::Connection> connection_;
  MonoTime deadline_ = MonoTime::never();
  Millis connect_timeout_{0}, reconnect_{0};
  int signal_ = 0;
  Error lost_;
  enum class Reader : uint8_t { unwatched, of_pipe, of_socket };
  Reader reader_ = Reader::unwatched;  // of stdout
};

// The beacon finder that the settings ask for; its socket may be missing (then peers only).
std::unique_ptr<client::Finder> make_finder(const App& app, const conf::Settings& settings,
                                            const std::vector<protocol::Root>& roots);

}  // namespace zgrid::cli
