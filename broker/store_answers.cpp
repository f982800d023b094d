#include "broker/store_answers.h"

#include "protocol/base/check.h"
#include "protocol/batch.h"

namespace zgrid::broker {

using namespace protocol;

namespace {

JobHead head_of(const StoredJob& job) {
  const JobSpec& spec = job.accepted.spec->job;
  return {spec.kind, spec.service, spec.run};
}

// Collects results into messages of bounded size.
class ResultWriter {
 public:
  void add(StoredJob&& job) {
    ResultEntry entry;
    PutEnd& end = *job.ended;
    entry.job = job.accepted.id;
    entry.attempt = end.attempt;
    entry.index = job.accepted.index;
    entry.outcome = std::move(end.outcome);
    entry.output = std::move(end.output);
    entry.submitted = job.accepted.submitted;
    entry.started = end.started;
    entry.finished = end.finished;
    entry.retry_of = job.accepted.retry_of;
    entry.trace = job.accepted.trace;
    open(weight(entry));
    if (end.worker) {
      entry.worker = static_cast<uint32_t>(message_.workers.size());
      message_.workers.push_back(end.worker);
    }
    entry.head = static_cast<uint32_t>(message_.heads.size());
    message_.heads.push_back(head_of(job));
    message_.items.push_back(std::move(entry));
  }
  void add_unreadable(const JobId& id, uint32_t attempt, const Error& error) {
    ResultEntry entry;
    entry.job = id;
    entry.attempt = attempt;
    entry.outcome.status = JobStatus::failed;
    JobError why;
    why.message = "its result cannot be read: " + error.message;
    entry.outcome.error = std::move(why);
    add_bare(std::move(entry));
  }
  // One without a head and a worker.
  void add_bare(ResultEntry entry) {
    open(weight(entry));
    entry.head = static_cast<uint32_t>(message_.heads.size());
    message_.heads.emplace_back();
    message_.items.push_back(std::move(entry));
  }
  std::vector<Message> take() {
    if (!meter_.empty()) messages_.emplace_back(std::move(message_));
    return std::move(messages_);
  }

 private:
  void open(Weight w) {
    w.header_bytes += 256;  // its own head and worker
    if (meter_.add(w)) return;
    messages_.emplace_back(std::move(message_));
    message_ = {};
    meter_.reset();
    meter_.add(w);
  }
  std::vector<Message> messages_;
  Results message_;
  BatchMeter meter_;
};

StoreAnswer results(JobStore& store, const StoreRead& read) {
  StoreAnswer answer;
  ResultWriter writer;
  uint64_t bytes = 0;
  for (size_t i = 0; i < read.jobs.size() && bytes <= read.bytes_max; ++i) {
    const JobId& id = read.jobs[i];
    ++answer.results_read;
    auto job = store.read(id, read.seqs[i]);
    if (!job) {
      writer.add_unreadable(id, read.ends[i].attempt, job.error());
    } else if (!job->has_value()) {  // purged since it was asked for
      writer.add_bare(purged_result(id, read.ends[i]));
    } else if ((*job)->ended) {
      bytes += (*job)->ended->output.data.size();
      writer.add(std::move(**job));
    }
  }
  answer.messages = writer.take();
  return answer;
}

JobSummary summary_of(const StoredJob& job) {
  JobSummary summary;
  summary.job = job.accepted.id;
  summary.head = head_of(job);
  summary.index = job.accepted.index;
  summary.status = job.status();
  summary.attempt = job.ended ? job.ended->attempt : job.state.attempt;
  const WorkerFactsRef& worker = job.ended ? job.ended->worker : job.state.worker;
  if (worker) {
    summary.worker_id = worker->id;
    summary.worker_name = worker->name;
  }
  summary.submitted = job.accepted.submitted;
  summary.started = job.ended ? job.ended->started : job.state.assigned;
  if (job.ended) {
    summary.finished = job.ended->finished;
    if (job.ended->outcome.error) {
      summary.reason = job.ended->outcome.error->message.substr(0, limits::kTextBytesMax);
    }
  }
  return summary;
}

// Answers of bounded size; all but the last say that there is more.
std::vector<Message> in_parts(uint64_t request, std::vector<JobSummary> jobs) {
  std::vector<Message> messages;
  BatchMeter meter;
  Answer answer;
  answer.request = request;
  for (JobSummary& job : jobs) {
    const Weight w{256 + job.reason.size(), 0};
    if (!meter.add(w)) {
      answer.more = true;
      messages.emplace_back(std::move(answer));
      answer = {};
      answer.request = request;
      meter.reset();
      meter.add(w);
    }
    answer.jobs.push_back(std::move(job));
  }
  messages.emplace_back(std::move(answer));
  return messages;
}

std::vector<Message> failed(uint64_t request, Error error) {
  Answer answer;
  answer.request = request;
  answer.error = std::move(error);
  return {Message(std::move(answer))};
}

std::vector<Message> summaries(JobStore& store, const StoreRead& read) {
  std::vector<JobSummary> found;
  for (size_t i = 0; i < read.jobs.size(); ++i) {
    const JobId& id = read.jobs[i];
    auto job = store.read(id, read.seqs[i]);
    if (!job) return failed(read.request, std::move(job.error()));
    if (job->has_value()) {
      found.push_back(summary_of(**job));
    } else {  // purged: the core completes it
      found.emplace_back();
      found.back().job = id;
    }
  }
  return in_parts(read.request, std::move(found));
}

std::vector<Message> list(JobStore& store, const StoreRead& read) {
  auto jobs = store.list(read.filter);
  if (!jobs) return failed(read.request, std::move(jobs.error()));
  std::vector<JobSummary> found;
  found.reserve(jobs->size());
  for (const StoredJob& job : *jobs) found.push_back(summary_of(job));
  return in_parts(read.request, std::move(found));
}

std::vector<Message> backup(JobStore& store, const StoreRead& read) {
  if (auto done = store.backup(read.path); !done) {
    return failed(read.request, std::move(done.error()));
  }
  Answer answer;
  answer.request = read.request;
  answer.text = read.path;
  return {Message(std::move(answer))};
}

// Assignments with the inputs that were not in memory, in messages of bounded size.
StoreAnswer fill_inputs(JobStore& store, const StoreRead& read) {
  StoreAnswer answer;
  BatchMeter meter;
  Request message;
  const auto close = [&] {
    if (!message.items.empty()) answer.messages.emplace_back(std::move(message));
    message = {};
    meter.reset();
  };
  for (size_t i = 0; i < read.assignments.size(); ++i) {
    const AssignmentToFill& one = read.assignments[i];
    Assignment entry = one.entry;
    auto job = store.read(entry.token.job, read.seqs[i]);
    if (!job || !job->has_value()) {
      Error missing{Errc::not_found, "the store has forgotten it", {}, {}, 0};
      answer.lost_inputs.emplace_back(entry.token, job ? missing : std::move(job.error()));
      continue;
    }
    entry.input = std::move((*job)->accepted.input);
    Weight w = weight(entry);
    w.header_bytes += one.spec->raw.size();
    if (!meter.add(w)) {
      close();
      meter.add(w);
    }
    if (message.specs.empty() || message.specs.back() != one.spec)
      message.specs.push_back(one.spec);
    entry.spec = static_cast<uint32_t>(message.specs.size() - 1);
    message.items.push_back(std::move(entry));
  }
  close();
  return answer;
}

std::vector<Core::Retried> retries(JobStore& store, const StoreRead& read) {
  std::vector<Core::Retried> found;
  for (size_t i = 0; i < read.retries.size(); ++i) {
    found.push_back({read.retries[i], store.read(read.retries[i].job, read.seqs[i])});
  }
  return found;
}

std::vector<Core::Explained> explained(JobStore& store, const StoreRead& read) {
  std::vector<Core::Explained> found;
  for (size_t i = 0; i < read.jobs.size(); ++i) {
    found.push_back({read.jobs[i], store.read(read.jobs[i], read.seqs[i])});
  }
  return found;
}

}  // namespace

void number_jobs(const Core& core, StoreRead& read) {
  read.seqs.clear();
  for (const JobId& id : read.jobs) read.seqs.push_back(core.number_of(id));
  for (const AssignmentToFill& one : read.assignments) {
    read.seqs.push_back(core.number_of(one.entry.token.job));
  }
  for (const Retry::Item& item : read.retries) read.seqs.push_back(core.number_of(item.job));
}

StoreAnswer answer_from_store(JobStore& store, const StoreRead& read) {
  ZGRID_CHECK(read.seqs.size() == read.jobs.size() + read.assignments.size() + read.retries.size());
  switch (read.what) {
    case StoreRead::What::results: return results(store, read);
    case StoreRead::What::summaries: return {summaries(store, read), {}, {}, {}, 0};
    case StoreRead::What::list: return {list(store, read), {}, {}, {}, 0};
    case StoreRead::What::inputs: return fill_inputs(store, read);
    case StoreRead::What::retries: return {{}, {}, retries(store, read), {}, 0};
    case StoreRead::What::explain: return {{}, {}, {}, explained(store, read), 0};
    case StoreRead::What::backup: return {backup(store, read), {}, {}, {}, 0};
  }
  return {};
}

void deliver_answer(Core& core, const StoreRead& read, StoreAnswer answer, std::vector<Send>& out) {
  for (Message& message : answer.messages) {
    if (auto* list = std::get_if<Answer>(&message)) core.complete(*list);
    out.push_back({read.to, Gate::after_commit, std::move(message)});
  }
  for (const auto& [token, error] : answer.lost_inputs) core.input_lost(token, error);
  if (read.what == StoreRead::What::retries) {
    core.retry(read.to, read.request, std::move(answer.retried));
  }
  if (read.what == StoreRead::What::explain) {
    core.explain(read.to, read.request, std::move(answer.explained));
  }
}

}  // namespace zgrid::broker
