// Records to the parts of a stored row, and back.
//
// A row has up to three parts: accepted, state, ended. Payloads up to kInlineBytesMax lie inside
// their part; larger ones are kept beside the row, so that lists and updates do not move them, and
// the part keeps their size and check. The facts of a worker are kept once and named by a number.
// Rows that are not of a job are in other_rows.h.
//
// Parts of version 1, of the first release, lack the times of the grid's clock, which did not
// exist: the wall clock's stand in for them.
// Threads: pure functions, but SpecCache is of one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "broker/store/job_store.h"
#include "broker/store/row_bytes.h"

namespace zgrid::broker {

// A row with its payload should share a page of 4 KiB with others.
inline constexpr size_t kInlineBytesMax = 1024;

inline bool is_outside(const Payload& payload) { return payload.data.size() > kInlineBytesMax; }

// Worker facts by their number within a store; 0 = none.
using FactsNumber = uint32_t;

// Parsed specs by their bytes, because many jobs have the same one and a million parsed copies
// would fill the memory. Forgets all when it is full.
class SpecCache {
 public:
  static constexpr size_t kEntriesMax = 4096;
  Result<SpecRef> parse(std::string_view raw);

 private:
  std::unordered_map<std::string_view, SpecRef> specs_;  // keys lie in the raw of their specs
};

// What a part says of a payload that is kept beside the row.
struct Outside {
  bool present = false;
  uint64_t size = 0;
  uint64_t check = 0;
  PartKind kind = PartKind::input;
};
// Errc::corrupt if the bytes are not those that the part told of.
Result<Bytes> take_outside(const Outside& outside, uint64_t seq, std::string data);

// `out` is overwritten, its memory reused.
void encode_accepted(const PutJob& job, std::string& out);
void encode_state(const PutState& state, uint64_t seq, FactsNumber worker, std::string& out);
void encode_ended(const PutEnd& end, uint64_t seq, FactsNumber worker, std::string& out);

struct AcceptedPart {
  PutJob job;
  uint64_t input_size = 0;
  bool input_read = false;  // job.input.data is complete
  Outside input;
};
struct StatePart {
  PutState state;
  FactsNumber worker = 0;  // state.worker is not filled in
};
struct EndedPart {
  PutEnd end;
  FactsNumber worker = 0;  // end.worker is not filled in
  Outside output;
};
// All: Errc::corrupt. An input inside the part is left out if it is larger than wanted.
Result<AcceptedPart> decode_accepted(std::string_view part, uint64_t seq, SpecCache& specs,
                                     uint64_t input_bytes_max = UINT64_MAX);
Result<StatePart> decode_state(std::string_view part, uint64_t seq);
Result<EndedPart> decode_ended(std::string_view part, uint64_t seq);

// Whose part it is, if that can be read.
std::optional<JobId> id_in_accepted(std::string_view part, uint64_t seq);

// What recovery wants of a job that ended, without its spec and payloads.
Result<EndedJob> decode_ended_job(std::string_view accepted, std::string_view ended, uint64_t seq);

}  // namespace zgrid::broker
