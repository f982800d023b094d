#include "client/cli/submit.h"

#include <algorithm>

#include "client/cli/collector.h"
#include "client/cli/text.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

// Of a broadcast's children at most so many are asked about.
constexpr size_t kWhyMax = 8;

struct Acceptance {
  bool is_known = false;
  std::optional<Error> refusal;
  std::vector<JobId> jobs;  // the job, or the children of a broadcast
  JobStatus status = JobStatus::queued;
};

// Waits for the acknowledgement.
Session::End await_acceptance(App& app, Session& session, PreparedJob job,
                              const SubmitCommand& command, const JobId& id, Acceptance& into) {
  session.accepted = [&into](const client::Accepted& accepted) {
    into.is_known = true;
    into.status = accepted.status;
    into.jobs.assign(accepted.children.begin(), accepted.children.end());
    if (into.jobs.empty()) into.jobs.push_back(accepted.job);
  };
  session.refused = [&into](const JobId&, const Error& error) {
    into.is_known = true;
    into.refusal = error;
  };
  client::Submission submission;
  submission.spec = std::move(job.spec);
  submission.entry.id = id;
  submission.entry.input = std::move(job.input);
  submission.entry.key = command.key;
  client::SubmitFlags flags;
  flags.watch = !command.detach;
  flags.events = command.follow && !command.detach;
  flags.retry_full = !command.no_queue;
  flags.rerun_failed = command.rerun_failed;
  auto& connection = session.connection();
  connection.submit(std::move(submission), flags, session.acknowledged_by());
  auto end = session.wait([&] { return into.is_known || connection.is_up(); });
  if (end == Session::End::done) {
    end = session.wait([&into] { return into.is_known; }, connection.deadline_in(kWhyAfter),
                       [&] {
                         if (const Error* reason = connection.waits_for_room())
                           note_no_room(app, *reason);
                       });
  }
  session.accepted = nullptr;
  session.refused = nullptr;
  return end;
}

int not_acknowledged(App& app, Session& session, Session::End end, const JobId& id) {
  const std::string message = "job " + id.str() + " was not acknowledged";
  const std::string hint =
      "it may have been accepted: look with 'zgrid jobs'; submitting again "
      "with the same --key is safe";
  switch (end) {
    case Session::End::done: break;
    case Session::End::lost: return fail_with(app, session.lost_error());
    case Session::End::signal:
      if (!session.was_up()) return 128 + session.signal();
      app.out.note(message + " yet; " + hint);
      return 128 + session.signal();
    case Session::End::timeout:
      // It stayed full to the end: that is the answer, and nothing was accepted.
      if (const Error* reason = session.connection().waits_for_room()) {
        return fail_with(app, *reason);
      }
      return fail_with(app,
                       {Errc::timeout, message + " within --timeout", hint, Effect::unknown, 0});
  }
  return exit_code(Errc::internal);
}

int submit_job(App& app, Session& session, const SubmitCommand& command, PreparedJob job,
               bool is_private) {
  const bool is_broadcast = command.target.mode == Target::Mode::all;
  Show show;
  show.is_private = is_private;
  if (is_broadcast) show.layout = Layout::cards;
  Collector collector(app, session, show);  // before the submit: a result may overtake its ack
  if (command.follow) {
    session.event = [&app, is_broadcast](const JobId& id, uint32_t attempt, JobEvent& event) {
      app.out.event(id, attempt, event, is_broadcast ? label_of(id.str()) : "");
    };
  }
  auto& connection = session.connection();
  client::JobIds ids;
  const JobId id = ids.next(connection.now().wall);
  Acceptance acceptance;
  auto end = await_acceptance(app, session, std::move(job), command, id, acceptance);
  if (end != Session::End::done && !acceptance.is_known) {
    return not_acknowledged(app, session, end, id);
  }
  if (acceptance.refusal) {
    return fail_with(app, is_private ? refusal_on_private_grid(*acceptance.refusal, command.kind)
                                     : *acceptance.refusal);
  }
  if (command.detach) {
    std::vector<JobState> states;
    for (const JobId& accepted : acceptance.jobs) states.push_back({accepted, acceptance.status});
    app.out.accepted(states);
    return 0;
  }
  // A private grid ends in order; without --json the events are on stderr.
  if (command.follow && app.globals.json && !is_private) session.end_with_reader();
  for (const JobId& accepted : acceptance.jobs) collector.expect(accepted);
  end = session.wait([&] { return collector.is_done(); }, connection.deadline_in(kWhyAfter),
                     [&] { ask_why(app, session, collector.open_jobs()); });
  session.event = nullptr;
  return end == Session::End::done ? collector.exit() : collector.interrupted(end);
}

}  // namespace

void ask_why(App& app, Session& session, const std::vector<JobId>& jobs) {
  protocol::Query query;
  query.what = protocol::Query::What::explain;
  for (size_t i = 0; i < jobs.size() && i < kWhyMax; ++i) query.selectors.push_back(jobs[i].str());
  if (query.selectors.empty()) return;
  auto& connection = session.connection();
  connection.query(
      std::move(query), session.answer_deadline(), [&app](Result<protocol::Answer> answer) {
        if (!answer) return;
        const auto parsed = Json::parse(answer->text);
        if (!parsed || parsed->as_array() == nullptr) return;
        for (const Json& job : *parsed->as_array()) {
          const Json* id = job.find("job");
          const Json* status = job.find("status");
          const Json* reason = job.find("reason");
          if (!id || !status || !reason || !id->as_string() || !status->as_string() ||
              !reason->as_string()) {
            continue;
          }
          const std::string& state = *status->as_string();
          if (state != "queued" && state != "waiting") continue;
          const Json* fix = job.find("fix");
          const bool has_fix = fix != nullptr && fix->as_string() != nullptr;
          app.out.note("job " + short_id(*id->as_string()) + " is " + state + ": " +
                       *reason->as_string() + (has_fix ? "; " + *fix->as_string() : std::string()));
        }
      });
}

Error refusal_on_private_grid(const Error& refusal, JobKind kind) {
  Error told = refusal;
  if (refusal.code != Errc::no_candidate) return told;
  told.hint = kind == JobKind::prompt
                  ? "this grid is of this process alone: its configuration needs a "
                    "[[worker.provider]]"
                  : "this grid is of this process alone: --workflows FILE names what it offers";
  return told;
}

void note_no_room(App& app, const Error& reason) {
  const std::string full = reason.code == Errc::queue_full ? "the broker is full: " : "";
  app.out.note(full + reason.message + "; trying again");
}

Result<Prepared> prepare(App& app, const SubmitCommand& command) {
  if (auto ok = check_options(command); !ok) return fail(ok.error());
  if (!command.bulk.is_wanted()) return prepare_job(command);
  return prepare_bulk(app, command);
}

int submit(App& app, Session& session, const SubmitCommand& command, Prepared prepared,
           bool is_private) {
  if (auto* job = std::get_if<PreparedJob>(&prepared)) {
    return submit_job(app, session, command, std::move(*job), is_private);
  }
  return submit_bulk(app, session, std::get<PreparedBulk>(std::move(prepared)), is_private);
}

int run(App& app, const SubmitCommand& command) {
  auto prepared = prepare(app, command);
  if (!prepared) return fail_with(app, prepared.error());
  const bool is_one = std::holds_alternative<PreparedJob>(*prepared);
  auto session = is_one ? Session::start(app) : Session::open(app);
  if (!session) return fail_with(app, session.error());
  const int exit = submit(app, **session, command, std::move(*prepared), false);
  if ((*session)->signal() != 0) Signals::die_by((*session)->signal());
  return exit;
}

}  // namespace zgrid::cli
