#include "client/public_values.h"

#include "protocol/codec.h"
#include "protocol/json.h"

namespace zgrid::api {
namespace {

Worker worker_of(const WorkerFacts& facts) {
  return {facts.id.str(),   facts.name, facts.host,   facts.os,
          facts.os_version, facts.arch, facts.version};
}

}  // namespace

Error public_error(const zgrid::Error& error) {
  return {std::string(errc_name(error.code)), error.message, error.hint,
          static_cast<Effect>(error.effect), is_retryable(error.code)};
}

zgrid::Result<protocol::Root> root_of(std::string secret, const std::string& secret_file,
                                      const std::string& cache_dir) {
  if (secret.empty()) {
    if (secret_file.empty()) {
      return fail(Errc::config, "no secret was given", "set `secret` or `secret_file`");
    }
    auto read = protocol::read_secret_file(secret_file, "");
    if (!read) return fail(read.error());
    secret = std::move(*read);
  }
  return cache_dir.empty() ? protocol::derive_root(secret)
                           : protocol::derive_root_cached(secret, cache_dir);
}

zgrid::Result<client::Submission> to_submission(const Job& job, const JobId& id) {
  JobSpec spec;
  spec.kind = job.kind == Job::Kind::prompt ? JobKind::prompt : JobKind::workflow;
  spec.service = job.name;
  if (job.kind == Job::Kind::prompt) {
    spec.service = kServicePrompt;
    if (!job.provider.empty()) spec.service += "@" + job.provider;
    if (!job.model.empty()) spec.service += "/" + job.model;
  }
  auto target = parse_target(job.on);
  if (!target || target->mode == Target::Mode::all) {
    return fail(Errc::bad_input, "'" + job.on + "' is not any, NAME[,NAME] or tag:k=v[,…]");
  }
  spec.target = std::move(*target);
  spec.steps = job.steps;
  spec.priority = job.priority;
  spec.retries = job.retries;
  spec.time_limit = job.time_limit;
  spec.deadline = job.deadline;
  spec.delay = job.delay;
  spec.run = job.run;
  spec.cache = job.cache;
  spec.no_queue = job.no_queue;
  spec.model = job.model;
  spec.provider = job.provider;
  spec.system = job.system;
  if (auto ok = client::check_spec(spec); !ok) return fail(ok.error());
  if (auto parsed = Json::parse(job.input); !parsed) {
    return fail(Errc::bad_input, "the input is not JSON: " + parsed.error().message);
  }
  client::Submission submission;
  submission.spec = protocol::make_spec(std::move(spec));
  submission.entry.id = id;
  submission.entry.input = {PayloadTag::json, Bytes::copy_of(job.input)};
  submission.entry.index = job.index;
  submission.entry.key = job.key;
  submission.entry.trace = job.trace;
  return submission;
}

JobResult public_result(const client::ResultView& view) {
  const protocol::ResultEntry& entry = view.entry;
  const Outcome& outcome = entry.outcome;
  JobResult result;
  result.job = entry.job.str();
  result.name = view.head.name;
  result.run = view.head.run;
  result.status = status_name(outcome.status);
  result.index = entry.index;
  result.attempt = entry.attempt;
  if (view.worker) result.worker = worker_of(*view.worker);
  result.event_type = outcome.event_type;
  result.output = entry.output.data.str();
  result.is_json = entry.output.tag == PayloadTag::json;
  if (outcome.error) {
    const JobError& error = *outcome.error;
    result.error = JobResult::Failure{std::string(job_error_name(error.kind)),
                                      error.message,
                                      error.step,
                                      error.stderr_tail,
                                      error.retryable,
                                      error.took_effect,
                                      error.exit_code};
  }
  result.input_tokens = outcome.usage.input_tokens;
  result.output_tokens = outcome.usage.output_tokens;
  result.cost_usd = outcome.usage.cost_usd;
  result.submitted = entry.submitted.us;
  result.started = entry.started.us;
  result.finished = entry.finished.us;
  return result;
}

Event public_event(const JobId& job, uint32_t attempt, const JobEvent& event) {
  return {job.str(),
          attempt,
          event.seq,
          static_cast<Event::Kind>(event.kind),
          event.name,
          event.step,
          event.data.data.str()};
}

JobInfo public_job(const protocol::JobSummary& job) {
  return {job.job.str(),  job.head.name,   job.head.run,     std::string(status_name(job.status)),
          job.attempt,    job.worker_name, job.submitted.us, job.started.us,
          job.finished.us};
}

WorkerInfo public_worker(const protocol::WorkerView& worker) {
  return {worker_of(worker.facts),
          worker.online,
          worker.draining,
          worker.slots,
          worker.free,
          worker.tags,
          worker.services};
}

}  // namespace zgrid::api
