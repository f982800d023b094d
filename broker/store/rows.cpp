#include "broker/store/rows.h"

#include "protocol/base/check.h"
#include "protocol/codec.h"

namespace zgrid::broker {
namespace {

// Which of the fields that most jobs lack follow.
enum Has : uint16_t {
  kHasIndex = 1,
  kHasKey = 2,
  kHasTrace = 4,
  kHasRetryOf = 8,
  kHasParent = 16,
  kHasPinned = 32,
  kHasChildren = 64,
};
constexpr uint16_t kHasAll = 127;

constexpr uint8_t kOutsideFlag = 0x80;  // in the byte of a payload's tag

Failure corrupt(const char* what) {
  return fail(Errc::corrupt, std::string(what) + " fails its checksum or has impossible values");
}

void write_payload(PartWriter& w, const Payload& payload, PartKind kind, uint64_t seq) {
  const auto tag = static_cast<uint8_t>(payload.tag);
  if (!is_outside(payload)) {
    w.u8(tag);
    w.text(payload.data.view());
    return;
  }
  w.u8(tag | kOutsideFlag);
  w.u64(payload.data.size());
  w.u64(part_check(payload.data.view(), kind, seq));
}

// A payload as its part has it: its bytes, or where they are.
struct FoundPayload {
  bool valid = false;
  PayloadTag tag{};
  std::string_view inside;
  Outside outside;
  [[nodiscard]] uint64_t size() const { return outside.present ? outside.size : inside.size(); }
};

FoundPayload read_payload(PartReader& r, PartKind kind) {
  FoundPayload found;
  const uint8_t tag = r.u8();
  found.valid = (tag & ~kOutsideFlag) <= static_cast<uint8_t>(PayloadTag::json);
  found.tag = static_cast<PayloadTag>(tag & ~kOutsideFlag);
  if ((tag & kOutsideFlag) == 0) {
    found.inside = r.text();
  } else {
    const uint64_t size = r.u64();
    found.outside = Outside{true, size, r.u64(), kind};
  }
  return found;
}

// All of what was accepted, as views of the part.
struct Fields {
  uint16_t has = 0;
  JobId id;
  Hash128 body;
  std::string_view owner, key, spec, trace;
  WallTime submitted;
  GridTime accepted;
  uint64_t index = 0;
  JobId retry_of, parent;
  WorkerId pinned;
  std::vector<JobId> children;
  FoundPayload input;
};

bool read_children(PartReader& r, std::vector<JobId>& children) {
  const uint32_t count = r.u32();
  if (count > r.left() / sizeof(JobId::bytes)) return false;
  children.reserve(count);
  for (uint32_t i = 0; i < count; ++i) children.push_back(r.id<JobId>());
  return true;
}

std::optional<Fields> read_fields(std::string_view part, uint64_t seq) {
  auto r = PartReader::open(part, PartKind::accepted, seq);
  if (!r) return std::nullopt;
  Fields fields;
  fields.has = r->u16();
  if (fields.has & ~kHasAll) return std::nullopt;
  fields.id = r->id<JobId>();
  fields.body = r->id<Hash128>();
  fields.owner = r->text();
  if (fields.has & kHasKey) fields.key = r->text();
  fields.spec = r->text();
  fields.submitted.us = r->i64();
  fields.accepted.us = r->version() >= 2 ? r->i64() : fields.submitted.us;
  if (fields.has & kHasIndex) fields.index = r->u64();
  if (fields.has & kHasTrace) fields.trace = r->text();
  if (fields.has & kHasRetryOf) fields.retry_of = r->id<JobId>();
  if (fields.has & kHasParent) fields.parent = r->id<JobId>();
  if (fields.has & kHasPinned) fields.pinned = r->id<WorkerId>();
  if ((fields.has & kHasChildren) && !read_children(*r, fields.children)) return std::nullopt;
  fields.input = read_payload(*r, PartKind::input);
  if (!fields.input.valid || !r->finished()) return std::nullopt;
  return fields;
}

bool read_status(PartReader& r, JobStatus& status) {
  const uint8_t value = r.u8();
  if (value >= kJobStatusCount) return false;
  status = static_cast<JobStatus>(value);
  return true;
}

}  // namespace

Result<SpecRef> SpecCache::parse(std::string_view raw) {
  if (const auto found = specs_.find(raw); found != specs_.end()) return found->second;
  Result<SpecRef> spec = protocol::decode_spec(Bytes::copy_of(raw));
  if (!spec) return spec;
  if ((*spec)->raw.view() != raw) return spec;  // not canonical: no key of ours would find it
  if (specs_.size() >= kEntriesMax) specs_.clear();
  specs_.emplace((*spec)->raw.view(), *spec);
  return spec;
}

Result<Bytes> take_outside(const Outside& outside, uint64_t seq, std::string data) {
  if (data.size() != outside.size || part_check(data, outside.kind, seq) != outside.check) {
    return corrupt(outside.kind == PartKind::input ? "the input" : "the output");
  }
  return Bytes::own(std::move(data));
}

void encode_accepted(const PutJob& job, std::string& out) {
  ZGRID_CHECK(job.spec != nullptr);
  uint16_t has = 0;
  if (job.index != 0) has |= kHasIndex;
  if (!job.key.empty()) has |= kHasKey;
  if (!job.trace.empty()) has |= kHasTrace;
  if (!job.retry_of.is_nil()) has |= kHasRetryOf;
  if (!job.parent.is_nil()) has |= kHasParent;
  if (!job.pinned.is_nil()) has |= kHasPinned;
  if (!job.children.empty()) has |= kHasChildren;

  PartWriter w(out);
  w.u16(has);
  w.id(job.id);
  w.id(job.body);
  w.text(job.owner);
  if (has & kHasKey) w.text(job.key);
  w.text(job.spec->raw.view());
  w.i64(job.submitted.us);
  w.i64(job.accepted.us);
  if (has & kHasIndex) w.u64(job.index);
  if (has & kHasTrace) w.text(job.trace);
  if (has & kHasRetryOf) w.id(job.retry_of);
  if (has & kHasParent) w.id(job.parent);
  if (has & kHasPinned) w.id(job.pinned);
  if (has & kHasChildren) {
    w.u32(static_cast<uint32_t>(job.children.size()));
    for (const JobId& child : job.children) w.id(child);
  }
  write_payload(w, job.input, PartKind::input, job.seq);
  w.seal(PartKind::accepted, job.seq);
}

Result<AcceptedPart> decode_accepted(std::string_view part, uint64_t seq, SpecCache& specs,
                                     uint64_t input_bytes_max) {
  auto fields = read_fields(part, seq);
  if (!fields) return corrupt("what was accepted");
  Result<SpecRef> spec = specs.parse(fields->spec);
  if (!spec) return fail(Errc::corrupt, "the spec cannot be read: " + spec.error().message);
  AcceptedPart accepted;
  PutJob& job = accepted.job;
  job.id = fields->id;
  job.seq = seq;
  job.spec = std::move(*spec);
  job.index = fields->index;
  job.key = fields->key;
  job.trace = fields->trace;
  job.owner = fields->owner;
  job.retry_of = fields->retry_of;
  job.parent = fields->parent;
  job.pinned = fields->pinned;
  job.children = std::move(fields->children);
  job.body = fields->body;
  job.submitted = fields->submitted;
  job.accepted = fields->accepted;
  job.input.tag = fields->input.tag;
  accepted.input = fields->input.outside;
  accepted.input_size = fields->input.size();
  accepted.input_read = !accepted.input.present && accepted.input_size <= input_bytes_max;
  if (accepted.input_read) job.input.data = Bytes::copy_of(fields->input.inside);
  return accepted;
}

std::optional<JobId> id_in_accepted(std::string_view part, uint64_t seq) {
  const auto fields = read_fields(part, seq);
  return fields ? std::optional(fields->id) : std::nullopt;
}

void encode_state(const PutState& state, uint64_t seq, FactsNumber worker, std::string& out) {
  PartWriter w(out);
  w.id(state.id);
  w.u8(static_cast<uint8_t>(state.status));
  w.u32(state.attempt);
  w.id(state.nonce);
  w.u32(worker);
  w.u32(state.failures);
  w.u32(state.losses);
  w.u8(state.cancel_requested ? 1 : 0);
  w.i64(state.not_before.us);
  w.i64(state.assigned.us);
  w.u32(static_cast<uint32_t>(state.lost.size()));
  for (const std::string& reason : state.lost) w.text(reason);
  if (state.spent) {
    w.i64(state.spent->waiting.count());
    w.i64(state.spent->queued.count());
    w.i64(state.spent->running.count());
    w.i64(state.spent->since.us);
  }
  w.seal(PartKind::state, seq);
}

Result<StatePart> decode_state(std::string_view part, uint64_t seq) {
  auto r = PartReader::open(part, PartKind::state, seq);
  if (!r) return corrupt("the state");
  StatePart result;
  PutState& state = result.state;
  state.id = r->id<JobId>();
  state.seq = seq;
  const bool known = read_status(*r, state.status);
  state.attempt = r->u32();
  state.nonce = r->id<Nonce>();
  result.worker = r->u32();
  state.failures = r->u32();
  state.losses = r->u32();
  state.cancel_requested = r->u8() != 0;
  state.not_before.us = r->i64();
  if (r->version() >= 2) {
    state.assigned.us = r->i64();
    const uint32_t count = r->u32();
    if (count > r->left() / sizeof(uint32_t)) return corrupt("the state");
    for (uint32_t i = 0; i < count; ++i) state.lost.emplace_back(r->text());
    if (r->left() > 0) {  // it was queued more than once
      Spent& spent = state.spent.emplace();
      spent.waiting = Micros{r->i64()};
      spent.queued = Micros{r->i64()};
      spent.running = Micros{r->i64()};
      spent.since.us = r->i64();
    }
  }
  if (!known || !r->finished()) return corrupt("the state");
  return result;
}

void encode_ended(const PutEnd& end, uint64_t seq, FactsNumber worker, std::string& out) {
  PartWriter w(out);
  w.id(end.id);
  w.u8(static_cast<uint8_t>(end.outcome.status));
  w.u32(end.attempt);
  w.u32(worker);
  w.i64(end.started.us);
  w.i64(end.finished.us);
  w.i64(end.ended.us);
  w.text(protocol::encode_outcome(end.outcome).view());
  write_payload(w, end.output, PartKind::output, seq);
  w.seal(PartKind::ended, seq);
}

namespace {

// All of a result, its outcome and output not yet decoded.
struct EndFields {
  PutEnd end;
  JobStatus status{};
  FactsNumber worker = 0;
  std::string_view outcome;
  FoundPayload output;
};

std::optional<EndFields> read_end(std::string_view part, uint64_t seq) {
  auto r = PartReader::open(part, PartKind::ended, seq);
  if (!r) return std::nullopt;
  EndFields fields;
  PutEnd& end = fields.end;
  end.id = r->id<JobId>();
  end.seq = seq;
  const bool known = read_status(*r, fields.status);
  end.attempt = r->u32();
  fields.worker = r->u32();
  end.started.us = r->i64();
  end.finished.us = r->i64();
  end.ended.us = r->version() >= 2 ? r->i64() : end.finished.us;
  fields.outcome = r->text();
  fields.output = read_payload(*r, PartKind::output);
  end.output.tag = fields.output.tag;
  if (!known || !fields.output.valid || !r->finished()) return std::nullopt;
  return fields;
}

}  // namespace

Result<EndedPart> decode_ended(std::string_view part, uint64_t seq) {
  auto fields = read_end(part, seq);
  if (!fields) return corrupt("the result");
  Result<Outcome> outcome = protocol::decode_outcome(Bytes::copy_of(fields->outcome));
  if (!outcome) return fail(Errc::corrupt, "the outcome: " + outcome.error().message);
  if (outcome->status != fields->status) return corrupt("the result");
  EndedPart result{std::move(fields->end), fields->worker, fields->output.outside};
  result.end.outcome = std::move(*outcome);
  result.end.output.data = Bytes::copy_of(fields->output.inside);
  return result;
}

Result<EndedJob> decode_ended_job(std::string_view accepted, std::string_view ended, uint64_t seq) {
  auto a = read_fields(accepted, seq);
  if (!a) return corrupt("what was accepted");
  const auto e = read_end(ended, seq);
  if (!e || e->end.id != a->id) return corrupt("the result");
  EndedJob job;
  job.id = a->id;
  job.seq = seq;
  job.body = a->body;
  job.status = e->status;
  job.attempt = e->end.attempt;
  job.ended = e->end.ended;
  job.bytes = stored_bytes(a->input.size(), e->output.size());
  job.key = a->key;
  job.owner = a->owner;
  job.children = std::move(a->children);
  return job;
}

}  // namespace zgrid::broker
