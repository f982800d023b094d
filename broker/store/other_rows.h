// The parts of rows that are not of one job: the store's own, workers', what was purged, the clock.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/store/job_store.h"
#include "broker/store/rows.h"

namespace zgrid::broker {

// How far the log of jobs goes: so many rows, all of numbers below `next_row`.
struct LogExtent {
  uint64_t rows = 0, next_row = 1;
};
// Who a store is and what it knows of itself.
struct MetaPart {
  StoreId id;
  uint64_t epoch = 0;
  bool clean = true;       // closed in an orderly way
  uint64_t log_bytes = 0;  // the write-ahead log of one that is not is so long at least; 0: unknown
  // Of the log of jobs, as it was when this was written; nothing: older layouts had none.
  std::optional<LogExtent> log;
};
// Whether the log of a store that was not closed in order is as long as it must be; `bytes`: what
// is there. Errc::corrupt.
Result<void> check_log_length(const MetaPart& meta, const std::string& log, uint64_t bytes);
std::string encode_meta(const MetaPart& meta);
std::string encode_clock(const PutClock& clock);
std::string encode_facts_part(const WorkerFacts& facts, FactsNumber number);
std::string encode_drain(const PutDrain& drain);
std::string encode_purge(const Purge& purge);

// All: Errc::corrupt.
Result<MetaPart> decode_meta(std::string_view part);
Result<PutClock> decode_clock(std::string_view part);
Result<WorkerFacts> decode_facts_part(std::string_view part, FactsNumber number);
// `worker` is the bytes of its id, the key of the row.
Result<PutDrain> decode_drain(std::string_view part, std::string_view worker);
Result<Purge> decode_purge(std::string_view part, uint64_t number);

}  // namespace zgrid::broker
