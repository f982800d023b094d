#include "broker/store/other_rows.h"

#include <cstring>

#include "protocol/codec.h"

namespace zgrid::broker {
namespace {

// In the byte of a purged job's status.
constexpr uint8_t kHasKey = 0x10;
constexpr uint8_t kHasChildren = 0x20;
constexpr uint8_t kStatusMask = 0x0f;

Failure corrupt(const char* what) {
  return fail(Errc::corrupt, std::string(what) + " fails its checksum or has impossible values",
              "restore the store from a backup");
}

uint64_t first_half(const WorkerId& id) {
  uint64_t half = 0;
  std::memcpy(&half, id.bytes.data(), sizeof half);
  return half;
}

void write_purged_job(PartWriter& w, const EndedJob& job) {
  auto flags = static_cast<uint8_t>(job.status);
  if (!job.key.empty()) flags |= kHasKey;
  if (!job.children.empty()) flags |= kHasChildren;
  w.u8(flags);
  w.id(job.id);
  w.u64(job.seq);
  w.id(job.body);
  w.u32(job.attempt);
  w.i64(job.ended.us);
  w.text(job.owner);
  if (flags & kHasKey) w.text(job.key);
  if ((flags & kHasChildren) == 0) return;
  w.u32(static_cast<uint32_t>(job.children.size()));
  for (const JobId& child : job.children) w.id(child);
}

bool read_purged_job(PartReader& r, EndedJob& job) {
  const uint8_t flags = r.u8();
  job.status = static_cast<JobStatus>(flags & kStatusMask);
  job.id = r.id<JobId>();
  job.seq = r.u64();
  job.body = r.id<Hash128>();
  job.attempt = r.u32();
  job.ended.us = r.i64();
  job.owner = r.text();
  if (flags & kHasKey) job.key = r.text();
  if (flags & kHasChildren) {
    const uint32_t count = r.u32();
    if (count > r.left() / sizeof(JobId::bytes)) return false;
    for (uint32_t i = 0; i < count; ++i) job.children.push_back(r.id<JobId>());
  }
  return (flags & kStatusMask) < kJobStatusCount && is_terminal(job.status) &&
         (flags & ~(kStatusMask | kHasKey | kHasChildren)) == 0;
}

}  // namespace

Result<void> check_log_length(const MetaPart& meta, const std::string& log, uint64_t bytes) {
  if (meta.clean || bytes >= meta.log_bytes) return {};
  return fail(Errc::corrupt,
              "the log " + log + " was cut from " + std::to_string(meta.log_bytes) + " to " +
                  std::to_string(bytes) + " bytes, its latest commits are lost",
              "restore the store from a backup; sqlite3 removes a log, too, when it is used on the "
              "store of a broker that was killed");
}

std::string encode_meta(const MetaPart& meta) {
  std::string out;
  PartWriter w(out);
  w.id(meta.id);
  w.u64(meta.epoch);
  w.u8(meta.clean ? 1 : 0);
  w.u64(meta.log_bytes);
  if (meta.log) {
    w.u64(meta.log->rows);
    w.u64(meta.log->next_row);
  }
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
  if (r->left() > 0) meta.log_bytes = r->u64();  // the first release had none
  if (r->left() > 0) {
    LogExtent& log = meta.log.emplace();
    log.rows = r->u64();
    log.next_row = r->u64();
  }
  if (!r->finished()) return corrupt("the store's own row");
  return meta;
}

std::string encode_clock(const PutClock& clock) {
  std::string out;
  PartWriter w(out);
  w.i64(clock.grid.us);
  w.i64(clock.wall.us);
  w.seal(PartKind::clock, 0);
  return out;
}

Result<PutClock> decode_clock(std::string_view part) {
  auto r = PartReader::open(part, PartKind::clock, 0);
  if (!r) return corrupt("the grid's clock");
  PutClock clock;
  clock.grid.us = r->i64();
  clock.wall.us = r->i64();
  if (!r->finished()) return corrupt("the grid's clock");
  return clock;
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

std::string encode_drain(const PutDrain& drain) {
  std::string out;
  PartWriter w(out);
  w.id(drain.worker);
  w.text(drain.name);
  w.seal(PartKind::drain, first_half(drain.worker));
  return out;
}

Result<PutDrain> decode_drain(std::string_view part, std::string_view worker) {
  constexpr const char* kWhat = "a row of the draining workers";
  PutDrain drain;
  drain.draining = true;
  if (worker.size() != drain.worker.bytes.size()) return corrupt(kWhat);
  std::memcpy(drain.worker.bytes.data(), worker.data(), worker.size());
  auto r = PartReader::open(part, PartKind::drain, first_half(drain.worker));
  if (!r) return corrupt(kWhat);
  const bool same = r->id<WorkerId>() == drain.worker;
  if (r->version() >= 2) drain.name = r->text();
  if (!same || !r->finished()) return corrupt(kWhat);
  return drain;
}

std::string encode_purge(const Purge& purge) {
  std::string out;
  PartWriter w(out);
  w.i64(purge.at.us);
  w.u32(static_cast<uint32_t>(purge.jobs.size()));
  for (const EndedJob& job : purge.jobs) write_purged_job(w, job);
  w.seal(PartKind::purged, purge.number);
  return out;
}

Result<Purge> decode_purge(std::string_view part, uint64_t number) {
  constexpr const char* kWhat = "a row of purged jobs";
  auto r = PartReader::open(part, PartKind::purged, number);
  if (!r) return corrupt(kWhat);
  Purge purge;
  purge.number = number;
  purge.at.us = r->i64();
  const uint32_t count = r->u32();
  for (uint32_t i = 0; i < count; ++i) {
    EndedJob job;
    // After the end of the part everything is zero, which no purged job's state is.
    if (!read_purged_job(*r, job)) return corrupt(kWhat);
    purge.jobs.push_back(std::move(job));
  }
  if (!r->finished()) return corrupt(kWhat);
  return purge;
}

}  // namespace zgrid::broker
