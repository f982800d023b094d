// Closing a list in time: a message holds at most so many entries, header bytes and frames.
#pragma once

#include <cstddef>

#include "protocol/base/limits.h"
#include "protocol/messages.h"

namespace zgrid::protocol {

// What one entry adds to a message; an upper bound, but for fixed costs.
struct Weight {
  size_t header_bytes = 0;
  size_t frames = 0;
};

inline Weight weight(const Payload& payload) {
  const size_t size = payload.data.size();
  if (size <= limits::kInlinePayloadBytesMax) return {size + 8, 0};
  return {16, (size + limits::kChunkBytes - 1) / limits::kChunkBytes};
}
inline size_t weight(const Outcome& outcome) {
  if (!outcome.error) return 96 + outcome.event_type.size();
  const JobError& error = *outcome.error;
  return 160 + outcome.event_type.size() + error.message.size() + error.step.size() +
         error.stderr_tail.size();
}
inline Weight weight(const JobEntry& e) {
  Weight w = weight(e.input);
  w.header_bytes += 64 + e.key.size() + e.trace.size();
  return w;
}
inline Weight weight(const Assignment& e) {
  Weight w = weight(e.input);
  w.header_bytes += 80 + e.trace.size();
  return w;
}
inline Weight weight(const FinalEntry& e) {
  Weight w = weight(e.output);
  w.header_bytes += 64 + weight(e.outcome);
  return w;
}
inline Weight weight(const ResultEntry& e) {
  Weight w = weight(e.output);
  w.header_bytes += 128 + e.trace.size() + weight(e.outcome);
  return w;
}
inline Weight weight(const JobEvent& e) {
  Weight w = weight(e.data);
  w.header_bytes += 96 + e.name.size() + e.step.size();
  return w;
}

// Counts what a message under construction holds.
class BatchMeter {
 public:
  // False when the entry must open a new message (call reset first then). An empty message takes
  // any single entry that is within the limits.
  bool add(Weight w) {
    if (entries_ > 0 && (entries_ >= limits::kBatchItemsTarget ||
                         bytes_ + w.header_bytes > limits::kHeaderBytesTarget ||
                         frames_ + w.frames > limits::kPayloadFramesMax)) {
      return false;
    }
    ++entries_;
    bytes_ += w.header_bytes;
    frames_ += w.frames;
    return true;
  }
  void reset() { *this = {}; }
  [[nodiscard]] bool empty() const { return entries_ == 0; }

 private:
  size_t entries_ = 0, bytes_ = 0, frames_ = 0;
};

}  // namespace zgrid::protocol
