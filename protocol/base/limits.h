// Every limit of zgrid, with its reason. Reaching one is an ordinary, tested answer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/base/time.h"

namespace zgrid::limits {

// Wire. A frame is what libzmq reads into memory before anyone may judge it.
inline constexpr size_t kFrameBytesMax = 16u << 20;
inline constexpr size_t kPayloadBytesMax = 64u << 20;  // one input or output, sent in chunks
inline constexpr size_t kPayloadFramesMax = 16;        // frames after the header
// Larger payloads are cut into chunks: a heartbeat cannot pass inside a frame, so that a frame must
// cross a slow link before the heartbeat's timeout. 16 of them hold the largest payload.
inline constexpr size_t kChunkBytes = 4u << 20;
inline constexpr size_t kInlinePayloadBytesMax = 32u << 10;  // larger ones get a frame of their own
inline constexpr size_t kHeaderBytesTarget = 1u << 20;  // a batch is closed when its header is this
inline constexpr size_t kBatchItemsMax = 4096;          // entries of one list
// Lists are closed earlier, and a turn takes no more messages when it has so many entries: the disk
// writes one list while the next is on its way. In one list a window of 1000 jobs would go round
// as a whole, and whoever does not have it would be idle.
inline constexpr size_t kBatchItemsTarget = 256;
inline constexpr size_t kRidingAcksMax = 1024;  // acknowledgements inside another message
inline constexpr size_t kSpecBytesMax = 1u
                                        << 20;  // an encoded spec, so that a REQUEST can hold any
inline constexpr size_t kIdsMax = 65'536;       // job ids in one watch or cancel
inline constexpr size_t kInHandMax = 65'536;    // attempts that one worker may present
inline constexpr size_t kMalformedMax = 8;      // such messages from one peer before it is cut off

// Names and texts inside messages.
inline constexpr size_t kNameBytesMax = 63;
inline constexpr size_t kServiceBytesMax = 128;
inline constexpr size_t kTextBytesMax = 4096;  // messages, hints, stderr tails
inline constexpr size_t kKeyBytesMax = 255;
inline constexpr size_t kSystemPromptBytesMax = 64u << 10;
inline constexpr size_t kTagsMax = 64;
inline constexpr size_t kServicesMax = 1024;
inline constexpr size_t kStepsMax = 256;
inline constexpr size_t kCacheKeysMax = 1024;
inline constexpr size_t kStderrTailBytes = 4096;

// Time.
inline constexpr Millis kHeartbeat{1000};
inline constexpr Millis kLease{3000};           // three missed beats
inline constexpr Millis kTick{50};              // how late a timer of the broker may fire
inline constexpr Millis kClientLease{30'000};   // a silent client's subscriptions are dropped
inline constexpr Millis kLossForgiven{60'000};  // the same boot id came back: not its job's fault
inline constexpr Millis kRecallAfter{100};  // prefetched work that waits longer may be taken back
inline constexpr Millis kRetryBackoffMin{1000};
inline constexpr Millis kRetryBackoffMax{60'000};

// An attempt whose processes are stopped, rather than idle, is wedged after so long.
inline constexpr Millis kWedgedStopped{10'000};
// How much of a broker's absence counts for deadlines and retention.
inline constexpr Seconds kAbsenceCounted{24 * 3600};

// What happened on the grid, kept in memory for `zgrid events`; what is beyond is told as a gap.
inline constexpr size_t kGridEventsKept = 2048;
inline constexpr size_t kGridEventTextMax = 512;  // so that all of them take a megabyte
// How long a `follow` holds: as long as somebody follows, the events of every job are kept as well.
inline constexpr Millis kFollowed{5000};
// Workers that one explanation lists; what is beyond is counted.
inline constexpr size_t kExplainedWorkersMax = 256;

// Jobs.
inline constexpr uint32_t kLossesMax = 3;          // then the dead-letter list
inline constexpr uint32_t kLossesBeforeAlone = 2;  // then it runs alone on its worker
inline constexpr size_t kPurgeBatch = 256;         // jobs purged together leave one row behind
inline constexpr uint32_t kRetriesMax = 1000;
// Events of a running job that are kept for those who attach later; what is beyond is a gap.
inline constexpr size_t kEventsKept = 256;
inline constexpr size_t kEventBytesKept = 64u << 10;
// Of ended jobs, for `zgrid logs`: the events of the last attempts that ended, all together.
inline constexpr size_t kPastLogsKept = 1024;
inline constexpr size_t kPastLogBytesKept = 4u << 20;
inline constexpr uint32_t kWindowMax = 1024;  // attempts in hand of one worker
inline constexpr uint32_t kSlotsMax = 4096;
inline constexpr uint8_t kPriorityMax = 9;
inline constexpr uint8_t kPriorityDefault = 4;
inline constexpr uint32_t kDepthOfSubJobsMax = 16;
inline constexpr size_t kBroadcastMax = 10'000;  // children of one broadcast, and of one SUBMIT
inline constexpr size_t kWorkersMax = 10'000;    // that a broker remembers, online or not

}  // namespace zgrid::limits
