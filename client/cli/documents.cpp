#include "client/cli/documents.h"

namespace zgrid::cli {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json id_or_null(const JobId& id) { return id.is_nil() ? Json() : Json(id.str()); }
Json time_or_null(WallTime time) { return time.us == 0 ? Json() : Json(format_rfc3339(time)); }
Json index_or_null(uint64_t index) { return index == 0 ? Json() : Json(index); }
Json millis(Micros duration) { return Json(int64_t{(duration.count() + 500) / 1000}); }
// Null unless both are known.
Json millis_between(WallTime from, WallTime to) {
  if (from.us == 0 || to.us == 0) return {};
  return millis(std::max(to - from, Micros{0}));
}

Json document() { return Json::object().set("schema", Json(kSchema)); }

Json worker_json(const WorkerFacts& worker) {
  return Json::object()
      .set("id", worker.id.str())
      .set("name", worker.name)
      .set("host", worker.host)
      .set("os", worker.os)
      .set("os_version", worker.os_version)
      .set("arch", worker.arch)
      .set("version", worker.version);
}

Json error_json(const JobError& error) {
  return Json::object()
      .set("kind", job_error_name(error.kind))
      .set("message", error.message)
      .set("retryable", error.retryable)
      .set("took_effect", error.took_effect)
      .set("step", text_or_null(error.step))
      .set("exit_code", error.exit_code ? Json(int64_t{*error.exit_code}) : Json())
      .set("stderr_tail", error.stderr_tail.empty() ? Json() : text_or_base64(error.stderr_tail));
}

Json usage_json(const Usage& usage) {
  return Json::object()
      .set("input_tokens", usage.input_tokens)
      .set("output_tokens", usage.output_tokens)
      .set("cost_usd", usage.cost_usd ? Json(*usage.cost_usd) : Json())
      .set("estimated", usage.estimated);
}

Json times_json(WallTime submitted, WallTime started, WallTime finished, Json run_ms) {
  return Json::object()
      .set("submitted", time_or_null(submitted))
      .set("started", time_or_null(started))
      .set("finished", time_or_null(finished))
      .set("queued_ms", millis_between(submitted, started))
      .set("run_ms", std::move(run_ms));
}

// {"text": X} alone is X: what users call the output.
Json output_of(const Json& data) {
  const auto* object = data.as_object();
  const bool is_text = object != nullptr && object->size() == 1 && object->front().first == "text";
  return is_text ? object->front().second : data;
}

}  // namespace

Json result_document(const JobResult& result) {
  const protocol::ResultEntry& entry = result.entry;
  const Outcome& outcome = entry.outcome;
  // Only a job that succeeded has a terminal event.
  const bool has_event = outcome.status == JobStatus::succeeded;
  const Json data = has_event ? data_of(entry.output) : Json();
  Json event;
  if (has_event) event = Json::object().set("type", outcome.event_type).set("data", data);
  return document()
      .set("job", entry.job.str())
      .set("name", result.head.name)
      .set("run", text_or_null(result.head.run))
      .set("index", index_or_null(entry.index))
      .set("kind", kind_name(result.head.kind))
      .set("status", status_name(outcome.status))
      .set("attempt", entry.attempt)
      .set("worker", result.worker ? worker_json(*result.worker) : Json())
      .set("event", std::move(event))
      .set("output", has_event ? output_of(data) : Json())
      .set("error", outcome.error ? error_json(*outcome.error) : Json())
      .set("usage", usage_json(outcome.usage))
      .set("times", times_json(entry.submitted, entry.started, entry.finished,
                               entry.started.us == 0 ? Json() : millis(outcome.run)))
      .set("retry_of", id_or_null(entry.retry_of))
      .set("trace", text_or_null(entry.trace));
}

Json event_document(const JobId& job, uint32_t attempt, const JobEvent& event) {
  static constexpr std::array<std::string_view, 6> kKinds{"step",   "token", "log",
                                                          "status", "gap",   "reset"};
  const auto kind = static_cast<size_t>(event.kind);
  return document()
      .set("job", job.str())
      .set("attempt", attempt)
      .set("seq", event.seq)
      .set("kind", kind < kKinds.size() ? Json(kKinds[kind]) : Json())
      .set("name", text_or_null(event.name))
      .set("step", text_or_null(event.step))
      .set("at", time_or_null(event.at))
      .set("data", data_of(event.data));
}

Json jobs_document(const std::vector<protocol::JobSummary>& jobs) {
  Json list = Json::array();
  for (const protocol::JobSummary& job : jobs) {
    Json worker;
    if (!job.worker_id.is_nil()) {
      worker = Json::object().set("id", job.worker_id.str()).set("name", job.worker_name);
    }
    const bool is_running = job.status == JobStatus::running;
    list.push(Json::object()
                  .set("job", job.job.str())
                  .set("name", job.head.name)
                  .set("run", text_or_null(job.head.run))
                  .set("index", index_or_null(job.index))
                  .set("kind", kind_name(job.head.kind))
                  .set("status", status_name(job.status))
                  .set("attempt", job.attempt)
                  .set("worker", std::move(worker))
                  .set("times", times_json(job.submitted, job.started, job.finished,
                                           millis_between(job.started, job.finished)))
                  .set("reason", text_or_null(job.reason))
                  .set("wedged", job.wedged)
                  .set("idle_ms", is_running ? Json(int64_t{job.idle.count()}) : Json()));
  }
  return document().set("jobs", std::move(list));
}

Json workers_document(const std::vector<protocol::WorkerView>& workers) {
  Json list = Json::array();
  for (const protocol::WorkerView& worker : workers) {
    Json tags = Json::object();
    for (const auto& [key, value] : worker.tags) tags.set(key, value);
    Json services = Json::array();
    for (const std::string& service : worker.services) services.push(service);
    list.push(Json::object()
                  .set("id", worker.facts.id.str())
                  .set("name", worker.facts.name)
                  .set("host", worker.facts.host)
                  .set("os", worker.facts.os)
                  .set("arch", worker.facts.arch)
                  .set("version", worker.facts.version)
                  .set("online", worker.online)
                  .set("draining", worker.draining)
                  .set("slots", worker.slots)
                  .set("free", worker.free)
                  .set("tags", std::move(tags))
                  .set("services", std::move(services))
                  .set("wedged", worker.wedged)
                  .set("load", worker.online ? Json(worker.load_permille / 1000.0) : Json()));
  }
  return document().set("workers", std::move(list));
}

Json status_document(const protocol::StatusView& status) {
  Json jobs = Json::object();
  for (size_t i = 0; i < kJobStatusCount; ++i) {
    jobs.set(std::string(status_name(static_cast<JobStatus>(i))),
             i < status.jobs.size() ? Json(status.jobs[i]) : Json(0));
  }
  return document()
      .set("broker", Json::object()
                         .set("name", status.broker_name)
                         .set("version", status.program_version)
                         .set("store", status.store.str())
                         .set("epoch", status.epoch)
                         .set("durable", status.durable)
                         .set("admitting", status.admitting)
                         .set("uptime_ms", int64_t{status.uptime.count()})
                         .set("refusing_reason", text_or_null(status.refusing_reason)))
      .set("jobs", std::move(jobs))
      .set("workers", Json::object()
                          .set("online", status.workers_online)
                          .set("slots", status.slots)
                          .set("free", status.free))
      .set("refused", Json::object()
                          .set("stale_results", status.stale_results)
                          .set("duplicate_results", status.duplicate_results)
                          .set("malformed", status.malformed))
      .set("store", Json::object()
                        .set("queued_bytes", status.queued_bytes)
                        .set("retained_jobs", status.retained_jobs)
                        .set("retained_bytes", status.retained_bytes)
                        .set("remembered", status.remembered));
}

Json brokers_document(const std::vector<protocol::FoundBroker>& brokers,
                      const std::vector<std::string>& other_grids) {
  Json list = Json::array();
  for (const protocol::FoundBroker& broker : brokers) {
    const bool heard = !broker.store.is_nil();
    list.push(Json::object()
                  .set("endpoint", broker.endpoint)
                  .set("name", text_or_null(broker.name))
                  .set("store", heard ? Json(broker.store.str()) : Json())
                  .set("epoch", heard ? Json(broker.epoch) : Json())
                  .set("heard", heard)
                  .set("peer", broker.is_static));
  }
  Json others = Json::array();
  for (const std::string& grid : other_grids) others.push(grid);
  return document().set("brokers", std::move(list)).set("other_grids", std::move(others));
}

Json states_document(const std::vector<JobState>& states) {
  Json list = Json::array();
  for (const JobState& state : states) {
    Json one = Json::object().set("job", state.job.str()).set("status", status_name(state.status));
    if (state.index != 0) one.set("index", state.index);
    if (!state.retry_of.is_nil()) one.set("retry_of", state.retry_of.str());
    list.push(std::move(one));
  }
  return document().set("jobs", std::move(list));
}

Json error_document(const Error& error) {
  return Json::object().set("error", Json::object()
                                         .set("code", errc_name(error.code))
                                         .set("message", error.message)
                                         .set("hint", text_or_null(error.hint)));
}

}  // namespace zgrid::cli
