// Bytes that no honest peer sends, and bytes that another implementation may send.
#include <gtest/gtest.h>

#include <functional>
#include <msgpack.hpp>

#include "protocol/codec.h"
#include "tests/unit/protocol/codec_samples.h"

namespace zgrid::protocol {
namespace {

using samples::dump;
using std::string_literals::operator""s;

Frames one_frame(std::string header) { return {Bytes::own(std::move(header))}; }

void expect_refused(const Frames& frames, Errc wanted, const std::string& what) {
  const auto decoded = decode(frames);
  ASSERT_FALSE(decoded) << what << " was accepted as " << dump(*decoded);
  EXPECT_EQ(decoded.error().code, wanted) << what << ": " << decoded.error().message;
  EXPECT_FALSE(decoded.error().message.empty());
}
void expect_malformed(std::string header, const std::string& what) {
  expect_refused(one_frame(std::move(header)), Errc::malformed, what);
}

// [1, kind, body]
std::string header(Kind kind, std::string_view body) {
  return "\x93\x01"s + static_cast<char>(kind) + std::string(body);
}
std::string packed(const std::function<void(msgpack::packer<msgpack::sbuffer>&)>& write) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  write(packer);
  return {buffer.data(), buffer.size()};
}

TEST(HostileBytes, CutAnywhereAreRefused) {
  for (const Message& message : samples::full_messages()) {
    const Frames frames = encode(message);
    for (size_t size = 0; size < frames[0].size(); ++size) {
      Frames cut = frames;
      cut[0] = frames[0].slice(0, size);
      expect_refused(cut, Errc::malformed, std::string(message_name(kind_of(message))));
    }
    Frames longer = frames;
    longer[0] = Bytes::own(frames[0].str() + '\xc0');
    expect_refused(longer, Errc::malformed, "a byte after the end");
  }
}

TEST(HostileBytes, AreNoHeader) {
  expect_refused({}, Errc::malformed, "no frame");
  for (const std::string& bytes :
       {""s, "\x00"s, "\x90"s, "\x91\x01"s, "\x92\x01\x01"s, "\x93\x01\x01"s, "\x93\x01\x01\xc0"s,
        "\x93\x01\x01\x90"s,
        "\x93\xa1"
        "1\x01\x80"s,
        "\x93\xff\x01\x80"s, "\x83\x01\x01\x80"s, "\x93\x01\x00\x80"s, "\x93\x01\x07\x80"s,
        "\x93\x01\xcd\x01\x01\x80"s, "\x93\x01\x26\x80"s, "\x93\x01\xa1\x01\x80"s, "READY"s,
        "\xc1"s, "\x94\x01\x01\x80"s}) {
    expect_malformed(bytes, "no header");
  }
}

TEST(HostileBytes, OfAnotherVersionAreNamedSo) {
  for (const std::string& bytes :
       {"\x93\x02\x01\x80"s, "\x93\x00\x01\x80"s, "\x92\x02\xc0"s, "\x93\xcd\x01\x01\x01\x80"s,
        "\x95\xcf\xff\xff\xff\xff\xff\xff\xff\xff"s}) {
    const auto decoded = decode(one_frame(bytes));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, Errc::envelope_version);
    EXPECT_FALSE(decoded.error().hint.empty());
  }
}

TEST(HostileBytes, OfTooManyOrTooLargeFramesAreRefused) {
  Frames frames = one_frame(header(Kind::partial, "\x80"));
  frames.resize(1 + limits::kPayloadFramesMax);
  EXPECT_TRUE(decode(frames));  // frames that nobody names may belong to a field we do not know
  frames.emplace_back();
  expect_refused(frames, Errc::malformed, "18 frames");
  frames.resize(2);
  frames[1] = Bytes::own(std::string(limits::kFrameBytesMax + 1, 'x'));
  expect_refused(frames, Errc::too_large, "a frame over 16 MiB");
}

TEST(HostileBytes, WithFieldsOfTheFutureAreReadWithoutThem) {
  const std::string future = packed([](auto& p) {
    p.pack_array(4).pack(1).pack(31);
    p.pack_map(5);
    p.pack(1).pack(7);
    p.pack(3).pack_array(1).pack_map(3);
    p.pack(2).pack_map(2).pack(1).pack(5).pack(77).pack_array(2).pack_map(1).pack("a").pack_nil();
    p.pack(-5.5);
    p.pack(9).pack(std::string(300, 'x'));
    p.pack(100).pack_bin(3).pack_bin_body("abc", 3);
    p.pack(4).pack(true);
    p.pack(500).pack(70000);
    p.pack(65535).pack(-1);
    p.pack_array(1).pack_array(0);
  });
  const auto decoded = decode(one_frame(future));
  ASSERT_TRUE(decoded) << decoded.error().message;
  const auto& final = std::get<Final>(*decoded);
  EXPECT_EQ(final.batch, 7u);
  ASSERT_EQ(final.items.size(), 1u);
  EXPECT_EQ(final.items[0].outcome.status, JobStatus::failed);
}

TEST(HostileBytes, WithKeysOutOfOrderTwiceOrTooLargeAreRefused) {
  expect_malformed(header(Kind::heartbeat, "\x82\x02\x01\x01\x01"), "out of order");
  expect_malformed(header(Kind::heartbeat, "\x82\x01\x01\x01\x01"), "twice");
  expect_malformed(header(Kind::heartbeat, "\x83\x01\x01\x50\x01\x50\x01"), "unknown twice");
  expect_malformed(header(Kind::heartbeat, "\x81\xce\x00\x01\x00\x01\x05"s), "a key like 1");
  expect_malformed(header(Kind::heartbeat,
                          "\x81\xa1"
                          "1\x01"),
                   "a text as key");
  expect_malformed(header(Kind::heartbeat, "\x81\xff\x01"), "a negative key");
}

TEST(HostileBytes, OfTheWrongTypeAreRefused) {
  const std::vector<std::string> values{"\x01"s,      "\xff"s,         "\xc0"s,
                                        "\xc2"s,      "\xa1x"s,        "\xc4\x01x"s,
                                        "\x91\x01"s,  "\x81\x01\x01"s, "\xcb\x3f\xf8\0\0\0\0\0\0"s,
                                        "\xd4\x01x"s, "\xc1"s};
  struct Field {
    Kind kind;
    int key;
    std::string takes;  // indexes in values, in hex
  };
  // An unsigned number, a truth, a text, an id, a list, a struct.
  for (const Field& field : std::vector<Field>{{Kind::heartbeat, 1, "0"},
                                               {Kind::heartbeat, 4, "3"},
                                               {Kind::disconnect, 1, "4"},
                                               {Kind::welcome, 4, ""},
                                               {Kind::heartbeat, 6, ""},
                                               {Kind::refused, 1, "7"}}) {
    for (size_t i = 0; i < values.size(); ++i) {
      const auto decoded =
          decode(one_frame(header(field.kind, "\x81"s + char(field.key) + values[i])));
      const bool should = field.takes.find("0123456789a"[i]) != std::string::npos;
      EXPECT_EQ(decoded.has_value(), should)
          << message_name(field.kind) << " key " << field.key << " value " << i;
    }
  }
}

TEST(HostileBytes, WithNumbersOutOfRangeAreRefused) {
  const std::string most = "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"s;
  expect_malformed(header(Kind::heartbeat, "\x81\x01"s + most), "over 32 bits");
  expect_malformed(header(Kind::hello, "\x81\x01\xcd\x01\x00"s), "over 8 bits");
  expect_malformed(header(Kind::welcome, "\x81\x06"s + most), "a duration over 63 bits");
  expect_malformed(header(Kind::welcome, "\x81\x06\xff"s), "a duration below zero");
  expect_malformed(header(Kind::welcome, "\x81\x08\xd3\x80\0\0\0\0\0\0\0"s), "a time long ago");
  expect_malformed(header(Kind::welcome, "\x81\x08\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"s),
                   "a time far away");
  expect_malformed(header(Kind::query, "\x81\x02\x07"s), "an enumerator over the last");
  expect_malformed(header(Kind::query, "\x81\x02"s + most), "an enumerator that wraps");
  expect_malformed(header(Kind::refused, "\x81\x01\x81\x01\x00"s), "an error code below the first");
  expect_malformed(header(Kind::refused, "\x81\x01\x81\x01\x1e"s), "an error code over the last");
  expect_malformed(header(Kind::answer, "\x81\x05\x91\x81\x0c\x81\x03\xcb\x7f\xf0\0\0\0\0\0\0"s),
                   "an infinite number");
  EXPECT_TRUE(decode(one_frame(header(Kind::refused, "\x81\x01\x81\x01\x1d"s))));
}

TEST(HostileBytes, OverALimitAreTooLarge) {
  const auto text = [](size_t size) {
    return packed([&](auto& p) { p.pack_map(1).pack(1).pack(std::string(size, 'x')); });
  };
  EXPECT_TRUE(decode(one_frame(header(Kind::disconnect, text(limits::kTextBytesMax)))));
  expect_refused(one_frame(header(Kind::disconnect, text(limits::kTextBytesMax + 1))),
                 Errc::too_large, "a text");
  const auto list = [](size_t size) {
    return packed([&](auto& p) {
      p.pack_map(1).pack(1).pack_array(static_cast<uint32_t>(size));
      for (size_t i = 0; i < size; ++i) p.pack_map(0);
    });
  };
  EXPECT_TRUE(decode(one_frame(header(Kind::started, list(limits::kBatchItemsMax)))));
  expect_refused(one_frame(header(Kind::started, list(limits::kBatchItemsMax + 1))),
                 Errc::too_large, "a list");
  const std::string spec = packed([](auto& p) {
    const std::string junk(limits::kSpecBytesMax, 'x');
    p.pack_map(1).pack(5).pack_array(1).pack_map(1).pack(99).pack(junk);
  });
  expect_refused(one_frame(header(Kind::submit, spec)), Errc::too_large, "a spec");
}

TEST(HostileBytes, WithAnIndexThatPointsNowhereAreRefused) {
  Submit submit;
  submit.specs = {make_spec({})};
  submit.jobs.resize(2);
  submit.jobs[1].spec = 1;
  expect_refused(encode(submit), Errc::malformed, "a spec");
  Request request;
  request.items.resize(1);
  expect_refused(encode(request), Errc::malformed, "a spec");
  Results results;
  results.items.resize(1);
  expect_refused(encode(results), Errc::malformed, "a head");
  results.heads.resize(1);
  EXPECT_TRUE(decode(encode(results)));
  results.items[0].worker = 0;
  expect_refused(encode(results), Errc::malformed, "a worker");
}

// A FINAL of entries whose outputs name these frames.
Frames final_naming(const std::vector<std::pair<uint64_t, uint64_t>>& named, size_t frames) {
  Frames message = one_frame(packed([&](auto& p) {
    p.pack_array(3).pack(1).pack(31).pack_map(1).pack(3);
    p.pack_array(static_cast<uint32_t>(named.size()));
    for (const auto& [first, count] : named) {
      p.pack_map(1).pack(3).pack_array(3).pack(0).pack(first).pack(count);
    }
  }));
  for (size_t i = 0; i < frames; ++i) message.push_back(Bytes::copy_of(std::to_string(i)));
  return message;
}

TEST(HostileBytes, ThatNameFramesWronglyAreRefused) {
  EXPECT_TRUE(decode(final_naming({{1, 1}, {2, 2}}, 3)));
  EXPECT_TRUE(decode(final_naming({{2, 1}, {4, 1}}, 4)));  // the others may be a future field's
  const std::vector<std::vector<std::pair<uint64_t, uint64_t>>> wrong{
      {{0, 1}},  // the header itself
      {{1, 0}},  // none
      {{1, 4}},  // more than there are
      {{4, 1}},  // past the end
      {{UINT64_MAX, 1}}, {{1, UINT64_MAX}}, {{3, UINT64_MAX - 1}},
      {{1, 1}, {1, 1}},  // shared: a thousand such entries would make 64 GB of 64 MiB
      {{1, 3}, {2, 1}},  {{2, 1}, {1, 1}}};
  for (const auto& named : wrong) {
    expect_refused(final_naming(named, 3), Errc::malformed, "frames");
  }
}

TEST(HostileBytes, ThatMakeAPayloadOver64MiBAreTooLarge) {
  Frames frames = final_naming({{1, 5}}, 5);
  const Bytes chunk = Bytes::own(std::string(limits::kFrameBytesMax, 'x'));
  for (size_t i = 1; i <= 4; ++i) frames[i] = chunk;
  expect_refused(frames, Errc::too_large, "64 MiB and a byte");
  frames[5] = {};
  EXPECT_TRUE(decode(frames));
}

TEST(ForeignBytes, OurHeaderIsMsgpack) {
  for (const Message& message : samples::full_messages()) {
    const Frames frames = encode(message);
    const msgpack::unpack_limit limit(10'000, 10'000, 100'000, 100'000, 0, 20);
    size_t offset = 0;
    const auto handle =
        msgpack::unpack(frames[0].data(), frames[0].size(), offset, nullptr, nullptr, limit);
    EXPECT_EQ(offset, frames[0].size());
    const msgpack::object& object = handle.get();
    ASSERT_EQ(object.type, msgpack::type::ARRAY);
    ASSERT_EQ(object.via.array.size, 3u);
    EXPECT_EQ(object.via.array.ptr[0].as<int>(), 1);
    EXPECT_EQ(object.via.array.ptr[1].as<int>(), static_cast<int>(kind_of(message)));
    EXPECT_EQ(object.via.array.ptr[2].type, msgpack::type::MAP);
  }
}

TEST(ForeignBytes, IntegersOfAnyWidthAreRead) {
  for (const std::string& five :
       {"\x05"s, "\xcc\x05"s, "\xcd\0\x05"s, "\xce\0\0\0\x05"s, "\xcf\0\0\0\0\0\0\0\x05"s}) {
    const auto decoded =
        decode(one_frame("\xdd\0\0\0\x03\xcd\0\x01\xcc\x05\xdf\0\0\0\x01\xce\0\0\0\x01"s + five));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Heartbeat>(*decoded).running, 5u);
  }
  for (const std::string& time : {"\x05"s, "\xd0\x05"s, "\xd1\0\x05"s, "\xd2\0\0\0\x05"s,
                                  "\xd3\0\0\0\0\0\0\0\x05"s, "\xcd\0\x05"s}) {
    const auto decoded = decode(one_frame(header(Kind::welcome, "\x81\x08"s + time)));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::get<Welcome>(*decoded).now.us, 5);
  }
  const auto past = decode(one_frame(header(Kind::welcome, "\x81\x08\xd1\xff\xfb"s)));
  ASSERT_TRUE(past);
  EXPECT_EQ(std::get<Welcome>(*past).now.us, -5);
}

TEST(ForeignBytes, WholeNumbersMayStandForFractions) {
  for (const std::string& two : {"\x02"s, "\xca\x40\0\0\0"s, "\xcb\x40\0\0\0\0\0\0\0"s}) {
    const auto outcome = decode_outcome(Bytes::own("\x81\x04\x81\x03"s + two));
    ASSERT_TRUE(outcome) << outcome.error().message;
    EXPECT_EQ(outcome->usage.cost_usd, 2.0);
  }
}

}  // namespace
}  // namespace zgrid::protocol
