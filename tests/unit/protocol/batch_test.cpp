#include "protocol/batch.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"
#include "tests/unit/protocol/codec_samples.h"

namespace zgrid::protocol {
namespace {

constexpr size_t kFixed = 64;  // of a message: its header, keys and lengths

Id<struct AnyTag> ones() {
  Id<struct AnyTag> id;
  id.bytes.fill(0xff);
  return id;
}
JobId some_job() { return {ones().bytes}; }
Token some_token() { return {some_job(), UINT32_MAX, {ones().bytes}}; }
Payload payload_of(size_t size) { return {PayloadTag::bytes, Bytes::own(std::string(size, 'x'))}; }
Outcome largest_outcome() {
  Outcome outcome;
  outcome.status = JobStatus::failed;
  outcome.event_type = std::string(limits::kServiceBytesMax, 'e');
  outcome.run = Micros{315'576'000'000'000'000};
  outcome.usage = {UINT64_MAX, UINT64_MAX, 1.5, true};
  outcome.error = JobError{JobErrorKind::spawn,
                           std::string(limits::kTextBytesMax, 'm'),
                           true,
                           false,
                           std::string(limits::kServiceBytesMax, 's'),
                           INT32_MIN,
                           std::string(limits::kStderrTailBytes, 't')};
  return outcome;
}
JobEvent largest_event(size_t size) {
  return {EventKind::reset,
          UINT64_MAX,
          std::string(limits::kServiceBytesMax, 'n'),
          std::string(limits::kServiceBytesMax, 's'),
          WallTime{INT64_MAX},
          payload_of(size)};
}

const std::vector<size_t> kSizes{0,
                                 1,
                                 300,
                                 limits::kInlinePayloadBytesMax,
                                 limits::kInlinePayloadBytesMax + 1,
                                 limits::kChunkBytes + 1};

// What an entry adds to a message is at most what its weight says.
template <class M, class List, class Entry>
void expect_bounded(M message, List M::*list, const Entry& entry, Weight weight) {
  (message.*list).push_back(entry);
  const Frames one = encode(message);
  EXPECT_LE(one[0].size(), kFixed + weight.header_bytes);
  EXPECT_EQ(one.size() - 1, weight.frames);
  (message.*list).push_back(entry);
  const Frames two = encode(message);
  EXPECT_LE(two[0].size() - one[0].size(), weight.header_bytes);
}

TEST(Weight, IsAnUpperBoundOfEveryEntry) {
  for (const size_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::string trace(255, 't');
    JobEntry job{some_job(),
                 UINT32_MAX,
                 payload_of(size),
                 UINT64_MAX,
                 std::string(limits::kKeyBytesMax, 'k'),
                 trace,
                 some_job()};
    expect_bounded(Submit{}, &Submit::jobs, job, weight(job));
    Assignment assignment{some_token(), UINT32_MAX, payload_of(size), UINT64_MAX, trace};
    expect_bounded(Request{}, &Request::items, assignment, weight(assignment));
    for (const Outcome& outcome : {largest_outcome(), Outcome{}}) {
      FinalEntry final{some_token(), outcome, payload_of(size)};
      expect_bounded(Final{}, &Final::items, final, weight(final));
      ResultEntry result{some_job(),          UINT32_MAX,          70'000,
                         UINT32_MAX,          UINT64_MAX,          outcome,
                         payload_of(size),    WallTime{INT64_MIN}, WallTime{INT64_MAX},
                         WallTime{INT64_MAX}, some_job(),          trace};
      expect_bounded(Results{}, &Results::items, result, weight(result));
    }
    const JobEvent event = largest_event(size);
    expect_bounded(Partial{}, &Partial::items, Partial::Item{some_token(), event}, weight(event));
    expect_bounded(Events{}, &Events::items, Events::Item{some_job(), UINT32_MAX, event},
                   weight(event));
  }
}

TEST(BatchMeter, ClosesAListBeforeItsHeaderIsTooLarge) {
  for (const size_t size : kSizes) {
    FinalEntry entry{some_token(), largest_outcome(), payload_of(size)};
    BatchMeter meter;
    Final final;
    while (meter.add(weight(entry))) final.items.push_back(entry);
    const Frames frames = encode(final);
    EXPECT_LE(frames[0].size(), limits::kHeaderBytesTarget + kFixed) << size;
    EXPECT_LE(frames.size(), 1 + limits::kPayloadFramesMax) << size;
    EXPECT_TRUE(decode(frames)) << size;
  }
}

TEST(BatchMeter, ClosesAListOfTinyEntriesByTheirNumber) {
  BatchMeter meter;
  size_t entries = 0;
  while (meter.add({1, 0})) ++entries;
  EXPECT_EQ(entries, limits::kBatchItemsTarget);
}

TEST(BatchMeter, TakesAnySingleEntryIntoAnEmptyMessage) {
  BatchMeter meter;
  EXPECT_TRUE(meter.empty());
  const Weight largest = weight(payload_of(limits::kPayloadBytesMax));
  EXPECT_EQ(largest.frames, limits::kPayloadFramesMax);
  EXPECT_TRUE(meter.add(largest));
  EXPECT_FALSE(meter.add(largest));
  EXPECT_TRUE(meter.add({1, 0}));
  meter.reset();
  EXPECT_TRUE(meter.add({limits::kHeaderBytesTarget * 2, 0}));
  EXPECT_FALSE(meter.add({0, 0}));
}

// The tables of RESULTS are not weighed: with all their entries the header is still a frame.
TEST(BatchMeter, LeavesRoomForTheTablesOfResults) {
  Results results;
  WorkerFacts facts{{ones().bytes},        std::string(63, 'n'),  std::string(255, 'h'),
                    std::string(255, 'o'), std::string(255, 'v'), std::string(255, 'a'),
                    std::string(63, 'v')};
  const ResultEntry entry{some_job(), 1, 0, 0, 1, Outcome{}, payload_of(0), {}, {}, {}, {}, {}};
  BatchMeter meter;
  while (meter.add(weight(entry))) {
    results.items.push_back(entry);
    results.workers.push_back(std::make_shared<const WorkerFacts>(facts));
    results.heads.push_back({JobKind::prompt, std::string(128, 'n'), std::string(63, 'r')});
  }
  const Frames frames = encode(results);
  EXPECT_LE(frames[0].size(), limits::kFrameBytesMax);
  EXPECT_TRUE(decode(frames));
}

}  // namespace
}  // namespace zgrid::protocol
