#include "protocol/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <random>

#include "protocol/batch.h"
#include "tests/unit/protocol/codec_samples.h"

namespace zgrid::protocol {
namespace {

using samples::dump;

Message round_trip(const Message& message) {
  Result<Message> decoded = decode(encode(message));
  EXPECT_TRUE(decoded) << message_name(kind_of(message)) << ": "
                       << (decoded ? "" : decoded.error().message);
  return decoded ? std::move(*decoded) : message;
}

// The same fields, and the same bytes.
void expect_same(const Message& got, const Message& wanted) {
  EXPECT_EQ(dump(got), dump(wanted));
  EXPECT_EQ(encode(got), encode(wanted));
}

TEST(Codec, EveryKindArrivesAsItWasSent) {
  for (const Message& message : samples::default_messages()) {
    expect_same(round_trip(message), message);
    EXPECT_EQ(encode(message)[0].size(), 3 + 1u)
        << message_name(kind_of(message)) << " carries its defaults";
  }
  for (const Message& message : samples::full_messages()) expect_same(round_trip(message), message);
}

RC_GTEST_PROP(Codec, AnyMessageArrivesAsItWasSent, ()) {
  // Smaller choices are closer to the defaults, so that a failure shrinks to what matters.
  const auto any_byte = rc::gen::map(rc::gen::inRange(0, 256), [](int n) { return char(n); });
  const auto tape = *rc::gen::container<std::string>(600, any_byte);
  for (size_t kind = 0; kind < std::variant_size_v<Message>; ++kind) {
    const Message message = samples::message_of(static_cast<char>(kind) + tape);
    const Frames frames = encode(message);
    const Result<Message> decoded = decode(frames);
    RC_ASSERT(decoded.has_value());
    RC_ASSERT(dump(*decoded) == dump(message));
    RC_ASSERT(encode(*decoded) == frames);
  }
}

TEST(Codec, ZeroArrivesWhereTheDefaultIsAnotherNumber) {
  Ready ready;
  ready.slots = 0;
  ready.window = 0;
  ready.version_min = 0;
  expect_same(round_trip(ready), ready);
  Welcome welcome;
  welcome.lease = Millis{0};
  welcome.durable = false;
  expect_same(round_trip(welcome), welcome);
  Abort abort;
  abort.items.push_back({Token{}, Abort::Reason::cancelled});
  expect_same(round_trip(abort), abort);
}

TEST(Codec, APayloadOfAnySizeArrives) {
  constexpr size_t kInline = limits::kInlinePayloadBytesMax;
  constexpr size_t kChunk = limits::kChunkBytes;
  constexpr size_t kFrame = limits::kFrameBytesMax;
  for (const size_t size :
       {size_t{0}, size_t{1}, kInline - 1, kInline, kInline + 1, kChunk - 1, kChunk, kChunk + 1,
        kFrame, kFrame + 1, size_t{40} << 20, limits::kPayloadBytesMax}) {
    Partial partial;
    partial.items.emplace_back();
    std::string bytes(size, 'x');
    if (size > 0) bytes.front() = 'a', bytes.back() = 'z';
    partial.items[0].event.data = {PayloadTag::bytes, Bytes::own(bytes)};
    const Frames frames = encode(partial);
    const size_t beside = size <= kInline ? 0 : (size + kChunk - 1) / kChunk;
    ASSERT_EQ(frames.size(), 1 + beside) << size;
    for (const Bytes& frame : frames) EXPECT_LE(frame.size(), kFrame);
    const auto decoded = decode(frames);
    ASSERT_TRUE(decoded) << size;
    const Payload& data = std::get<Partial>(*decoded).items[0].event.data;
    EXPECT_EQ(data.tag, PayloadTag::bytes);
    EXPECT_TRUE(data.data.view() == bytes) << size;
  }
}

TEST(Codec, SmallAndLargePayloadsShareAMessage) {
  Final final;
  for (size_t i = 0; i < 20; ++i) {
    const size_t size = i % 2 == 0 ? 10 : limits::kInlinePayloadBytesMax + i;
    final.items.push_back({Token{{}, static_cast<uint32_t>(i), {}},
                           Outcome{},
                           {PayloadTag::utf8, Bytes::own(std::string(size, 'x'))}});
  }
  EXPECT_EQ(encode(final).size(), 11u);
  expect_same(round_trip(final), final);
}

TEST(Codec, APayloadSharesTheMemoryOfItsFrame) {
  Final final;
  final.items.resize(1);
  final.items[0].output = {PayloadTag::bytes, Bytes::own(std::string(100'000, 'x'))};
  const Frames frames = encode(final);
  EXPECT_EQ(frames[1].data(), final.items[0].output.data.data());
  const auto decoded = decode(frames);
  EXPECT_EQ(std::get<Final>(*decoded).items[0].output.data.data(), frames[1].data());
}

TEST(Codec, ASpecKeepsItsBytesAlsoThoseOfFieldsItDoesNotKnow) {
  // A map with service "a", priority 4 written out, and the unknown key 200.
  const std::string raw(
      "\x83\x02\xa1"
      "a\x05\x04\xcc\xc8\x2a",
      9);
  const auto spec = decode_spec(Bytes::copy_of(raw));
  ASSERT_TRUE(spec);
  EXPECT_EQ((*spec)->raw.view(), raw);
  EXPECT_EQ((*spec)->job.service, "a");
  Submit submit;
  submit.specs = {*spec};
  submit.jobs.resize(2);
  const Message decoded = round_trip(submit);
  EXPECT_EQ(std::get<Submit>(decoded).specs.at(0)->raw.view(), raw);
  const Frames frames = encode(decoded);
  EXPECT_NE(frames[0].view().find(raw), std::string_view::npos);
  EXPECT_NE(make_spec((*spec)->job)->raw.view(), raw);
}

TEST(Codec, WholeNumbersOfDollarsArrive) {
  for (const double usd : {1.0, -3.0, 0.5, 1e300, 4294967296.0}) {
    Outcome outcome;
    outcome.usage.cost_usd = usd;
    EXPECT_EQ(decode_outcome(encode_outcome(outcome)).value(), outcome);
  }
}

TEST(Codec, EqualValuesHaveEqualBytes) {
  JobSpec a, b;
  a.budget_usd = 0.0;
  b.budget_usd = -0.0;
  EXPECT_EQ(make_spec(a)->raw, make_spec(b)->raw);
  Outcome c, d;
  c.usage.cost_usd = 0.0;
  d.usage.cost_usd = -0.0;
  EXPECT_EQ(c, d);
  EXPECT_EQ(encode_outcome(c), encode_outcome(d));
}

TEST(Codec, ANumberThatIsNoneIsLeftOut) {
  Outcome outcome;
  outcome.usage.cost_usd = std::nan("");
  const auto decoded = decode_outcome(encode_outcome(outcome));
  ASSERT_TRUE(decoded);
  EXPECT_FALSE(decoded->usage.cost_usd);
  JobSpec spec;
  spec.budget_usd = INFINITY;
  EXPECT_TRUE(decode_spec(make_spec(spec)->raw));
}

TEST(Codec, ATimeOutOfRangeIsMovedIntoItWhenWritten) {
  Outcome outcome;
  outcome.run = Micros{-5};
  EXPECT_EQ(decode_outcome(encode_outcome(outcome)).value().run, Micros{0});
  Welcome welcome;
  welcome.now = WallTime{INT64_MIN};
  welcome.lease = Millis::max();
  const auto arrived = std::get<Welcome>(round_trip(welcome));
  EXPECT_EQ(arrived.now.us, -kMicrosMax.count());
  EXPECT_EQ(arrived.lease, kMillisMax);
}

TEST(Codec, ATextOverItsLimitIsCutWhenWritten) {
  Disconnect disconnect{std::string(limits::kTextBytesMax + 5, 'x')};
  EXPECT_EQ(std::get<Disconnect>(round_trip(disconnect)).reason.size(), limits::kTextBytesMax);
}

TEST(Codec, WhatStoresKeepRoundTrips) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    std::mt19937 random(seed);
    std::string bytes(400, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    samples::Tape tape(bytes);
    samples::Filler filler(tape);
    Outcome outcome;
    WorkerFacts facts;
    describe(filler, outcome);
    describe(filler, facts);
    EXPECT_EQ(decode_outcome(encode_outcome(outcome)).value(), outcome);
    EXPECT_EQ(decode_facts(encode_facts(facts)).value(), facts);
  }
  EXPECT_FALSE(decode_outcome(Bytes::copy_of("\x80\x80")));
  EXPECT_FALSE(decode_facts({}));
}

TEST(Roles, AreAllowedTheMessagesOfTheirTable) {
  const std::vector<Kind> worker{Kind::ready, Kind::final_, Kind::partial, Kind::released,
                                 Kind::started};
  const std::vector<Kind> reader{Kind::hello, Kind::watch, Kind::query};
  const std::vector<Kind> writer{Kind::submit, Kind::cancel, Kind::control, Kind::retry,
                                 Kind::purge};
  const std::vector<Kind> anyone{Kind::heartbeat, Kind::disconnect};
  const auto has = [](const std::vector<Kind>& list, Kind kind) {
    return std::find(list.begin(), list.end(), kind) != list.end();
  };
  for (int number = 0; number < 256; ++number) {
    const auto kind = static_cast<Kind>(number);
    EXPECT_FALSE(may_send(Role::none, kind));
    EXPECT_EQ(may_send(Role::broker, kind), has(anyone, kind));
    EXPECT_EQ(may_send(Role::worker, kind), has(anyone, kind) || has(worker, kind));
    EXPECT_EQ(may_send(Role::readonly, kind), has(anyone, kind) || has(reader, kind));
    EXPECT_EQ(may_send(Role::client, kind),
              has(anyone, kind) || has(reader, kind) || has(writer, kind));
  }
}

}  // namespace
}  // namespace zgrid::protocol
