#include "broker/store/rows.h"

#include <cstring>

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

uint64_t first_half(const WorkerId& id) {
  uint64_t half = 0;
  std::memcpy(&half, id.bytes.data(), sizeof half);
  return half;
}

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

bool read_payload(PartReader& r, PartKind kind, Payload& payload, Outside& outside) {
  const uint8_t tag = r.u8();
  if ((tag & ~kOutsideFlag) > static_cast<uint8_t>(PayloadTag::json)) return false;
  payload.tag = static_cast<PayloadTag>(tag & ~kOutsideFlag);
  if ((tag & kOutsideFlag) == 0) {
    payload.data = Bytes::copy_of(r.text());
    return true;
  }
  outside = Outside{true, r.u64(), r.u64(), kind};
  return true;
}

// The fields that stand first, which recovery needs of ended jobs too.
struct Head {
  uint16_t has = 0;
  JobId id;
  Hash128 body;
  std::string_view owner, key;
};

Head read_head(PartReader& r) {
  Head head;
  head.has = r.u16();
  head.id = r.id<JobId>();
  head.body = r.id<Hash128>();
  head.owner = r.text();
  if (head.has & kHasKey) head.key = r.text();
  return head;
}

bool read_children(PartReader& r, std::vector<JobId>& children) {
  const uint32_t count = r.u32();
  if (count > r.left() / sizeof(JobId::bytes)) return false;
  children.reserve(count);
  for (uint32_t i = 0; i < count; ++i) children.push_back(r.id<JobId>());
  return true;
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

Result<AcceptedPart> decode_accepted(std::string_view part, uint64_t seq, SpecCache& specs) {
  auto r = PartReader::open(part, PartKind::accepted, seq);
  if (!r) return corrupt("what was accepted");
  AcceptedPart accepted;
  PutJob& job = accepted.job;
  const Head head = read_head(*r);
  if (head.has & ~kHasAll) return corrupt("what was accepted");
  job.seq = seq;
  job.id = head.id;
  job.body = head.body;
  job.owner = head.owner;
  job.key = head.key;
  const std::string_view raw = r->text();
  job.submitted.us = r->i64();
  if (head.has & kHasIndex) job.index = r->u64();
  if (head.has & kHasTrace) job.trace = r->text();
  if (head.has & kHasRetryOf) job.retry_of = r->id<JobId>();
  if (head.has & kHasParent) job.parent = r->id<JobId>();
  if (head.has & kHasPinned) job.pinned = r->id<WorkerId>();
  if ((head.has & kHasChildren) && !read_children(*r, job.children)) {
    return corrupt("the list of children");
  }
  if (!read_payload(*r, PartKind::input, job.input, accepted.input) || !r->finished()) {
    return corrupt("what was accepted");
  }
  Result<SpecRef> spec = specs.parse(raw);
  if (!spec) return fail(Errc::corrupt, "the spec cannot be read: " + spec.error().message);
  job.spec = std::move(*spec);
  return accepted;
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
  w.seal(PartKind::state, seq);
}

Result<StatePart> decode_state(std::string_view part, uint64_t seq) {
  auto r = PartReader::open(part, PartKind::state, seq);
  if (!r) return corrupt("the state");
  StatePart result;
  PutState& state = result.state;
  state.id = r->id<JobId>();
  const bool known = read_status(*r, state.status);
  state.attempt = r->u32();
  state.nonce = r->id<Nonce>();
  result.worker = r->u32();
  state.failures = r->u32();
  state.losses = r->u32();
  state.cancel_requested = r->u8() != 0;
  state.not_before.us = r->i64();
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
  w.text(protocol::encode_outcome(end.outcome).view());
  write_payload(w, end.output, PartKind::output, seq);
  w.seal(PartKind::ended, seq);
}

Result<EndedPart> decode_ended(std::string_view part, uint64_t seq) {
  auto r = PartReader::open(part, PartKind::ended, seq);
  if (!r) return corrupt("the result");
  EndedPart result;
  PutEnd& end = result.end;
  JobStatus status{};
  end.id = r->id<JobId>();
  const bool known = read_status(*r, status);
  end.attempt = r->u32();
  result.worker = r->u32();
  end.started.us = r->i64();
  end.finished.us = r->i64();
  const std::string_view raw = r->text();
  if (!read_payload(*r, PartKind::output, end.output, result.output) || !r->finished() || !known) {
    return corrupt("the result");
  }
  Result<Outcome> outcome = protocol::decode_outcome(Bytes::copy_of(raw));
  if (!outcome) return fail(Errc::corrupt, "the outcome: " + outcome.error().message);
  if (outcome->status != status) return corrupt("the result");
  end.outcome = std::move(*outcome);
  return result;
}

Result<EndedJob> decode_ended_job(std::string_view accepted, std::string_view ended, uint64_t seq) {
  auto a = PartReader::open(accepted, PartKind::accepted, seq);
  auto e = PartReader::open(ended, PartKind::ended, seq);
  if (!a) return corrupt("what was accepted");
  if (!e) return corrupt("the result");
  const Head head = read_head(*a);
  EndedJob job;
  job.id = head.id;
  job.seq = seq;
  job.body = head.body;
  job.key = head.key;
  job.owner = head.owner;
  const bool same = e->id<JobId>() == job.id;
  if (!same || !read_status(*e, job.status)) return corrupt("the result");
  job.attempt = e->u32();
  return job;
}

std::string encode_meta(const MetaPart& meta) {
  std::string out;
  PartWriter w(out);
  w.id(meta.id);
  w.u64(meta.epoch);
  w.u8(meta.clean ? 1 : 0);
  w.seal(PartKind::meta, 0);
  return out;
}

Result<MetaPart> decode_meta(std::string_view part) {
  auto r = PartReader::open(part, PartKind::meta, 0);
  if (!r) return corrupt("the store's own row");
  MetaPart meta;
  meta.id = r->id<StoreId>();
  meta.epoch = r->u64();
  meta.clean = r->u8() != 0;
  if (!r->finished()) return corrupt("the store's own row");
  return meta;
}

std::string encode_facts_part(const WorkerFacts& facts, FactsNumber number) {
  std::string out;
  PartWriter w(out);
  w.text(protocol::encode_facts(facts).view());
  w.seal(PartKind::facts, number);
  return out;
}

Result<WorkerFacts> decode_facts_part(std::string_view part, FactsNumber number) {
  auto r = PartReader::open(part, PartKind::facts, number);
  if (!r) return corrupt("what is known of a worker");
  const std::string_view raw = r->text();
  if (!r->finished()) return corrupt("what is known of a worker");
  Result<WorkerFacts> facts = protocol::decode_facts(Bytes::copy_of(raw));
  if (!facts) return fail(Errc::corrupt, "what is known of a worker: " + facts.error().message);
  return facts;
}

std::string encode_drain(const WorkerId& worker) {
  std::string out;
  PartWriter w(out);
  w.id(worker);
  w.seal(PartKind::drain, first_half(worker));
  return out;
}

bool is_drain(std::string_view part, const WorkerId& worker) {
  auto r = PartReader::open(part, PartKind::drain, first_half(worker));
  return r && r->id<WorkerId>() == worker && r->finished();
}

}  // namespace zgrid::broker
