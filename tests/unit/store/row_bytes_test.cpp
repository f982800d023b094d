#include "broker/store/row_bytes.h"

#include <gtest/gtest.h>

#include "broker/store/other_rows.h"
#include "broker/store/rising_map.h"
#include "tests/contract/store_sample.h"

namespace zgrid::broker {
namespace {

using namespace sample;  // NOLINT

std::string accepted_part() {
  PutJob job = put_job(3, spec("nightly"));
  job.key = "key";
  job.trace = "trace";
  job.children = {job_id(1), job_id(2)};
  std::string part;
  encode_accepted(job, part);
  return part;
}

std::string ended_part() {
  std::string part;
  encode_ended(put_end(3), 3, 1, part);
  return part;
}

std::string state_part() {
  std::string part;
  encode_state(put_state(3, JobStatus::running), 3, 1, part);
  return part;
}

bool readable(const std::string& accepted, const std::string& state, const std::string& ended) {
  SpecCache specs;
  return decode_accepted(accepted, 3, specs) && decode_state(state, 3) && decode_ended(ended, 3);
}

TEST(RowBytes, NoticeEveryFlippedBitOfEveryPart) {
  ASSERT_TRUE(readable(accepted_part(), state_part(), ended_part()));
  const auto flip_all = [](const std::string& part, auto&& decode) {
    for (size_t bit = 0; bit < part.size() * 8; ++bit) {
      std::string flipped = part;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      const auto result = decode(flipped);
      ASSERT_FALSE(result) << "bit " << bit;
      ASSERT_EQ(result.error().code, Errc::corrupt);
    }
  };
  SpecCache specs;
  flip_all(accepted_part(), [&](const auto& part) { return decode_accepted(part, 3, specs); });
  flip_all(state_part(), [](const auto& part) { return decode_state(part, 3); });
  flip_all(ended_part(), [](const auto& part) { return decode_ended(part, 3); });
  flip_all(encode_meta({some_id<StoreId>(1), 5, true}), decode_meta);
}

TEST(RowBytes, NoticeThatTheyWereCutShort) {
  SpecCache specs;
  const std::string part = accepted_part();
  for (size_t size = 0; size < part.size(); ++size) {
    EXPECT_FALSE(decode_accepted(part.substr(0, size), 3, specs)) << size;
  }
}

TEST(RowBytes, BelongToOneRowAndOneKind) {
  SpecCache specs;
  EXPECT_FALSE(decode_accepted(accepted_part(), 4, specs));
  EXPECT_FALSE(decode_state(state_part(), 2));
  EXPECT_FALSE(decode_ended(ended_part(), 2));
  EXPECT_FALSE(decode_state(ended_part(), 3));
}

TEST(RowBytes, HoldOutAgainstASealedPartOfNonsense) {
  // The seal is right, the contents are not: as a bug or a forger would leave it.
  uint32_t noise = 1;
  SpecCache specs;
  for (int round = 0; round < 20'000; ++round) {
    std::string part;
    PartWriter w(part);
    for (int i = 0; i < round % 200; ++i) {
      noise = noise * 1664525 + 1013904223;
      w.u8(round % 3 == 0 ? 0xff : static_cast<uint8_t>(noise >> 24));
    }
    const std::string body = part;
    w.seal(PartKind::accepted, 3);
    EXPECT_FALSE(decode_accepted(part, 3, specs));
    for (const PartKind kind : {PartKind::ended, PartKind::state}) {
      part = body;
      PartWriter again(part);
      part = body;
      again.seal(kind, 3);
      const bool ended = kind == PartKind::ended;
      if (ended) {
        EXPECT_FALSE(decode_ended(part, 3));
      } else if (const auto state = decode_state(part, 3)) {
        EXPECT_LT(static_cast<size_t>(state->state.status), kJobStatusCount);
      }
    }
  }
}

TEST(RowBytes, ShareTheSpecOfJobsThatHaveTheSameOne) {
  SpecCache specs;
  const auto one = decode_accepted(accepted_part(), 3, specs);
  const auto two = decode_accepted(accepted_part(), 3, specs);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->job.spec, two->job.spec);
}

struct Number {
  uint64_t value = 0;
  [[nodiscard]] bool is_empty() const { return value == 0; }
};

TEST(RisingMap, BehavesLikeAMap) {
  RisingMap<Number> map;
  std::map<uint64_t, uint64_t> model;
  uint32_t noise = 7;
  for (uint64_t round = 1; round < 200'000; ++round) {
    noise = noise * 1664525 + 1013904223;
    // Few numbers, far apart at times; more inserts than erasures first, then the other way round.
    const uint64_t number = 1 + (noise >> 8) % 5000 * ((noise >> 27) % 2 ? 1 : 1'000'003);
    if ((noise >> 28) < (round < 100'000 ? 12u : 4u)) {
      map.set(number, Number{round});
      model[number] = round;
    } else {
      map.erase(number);
      model.erase(number);
    }
    ASSERT_EQ(map.size(), model.size());
  }
  auto expected = model.begin();
  map.rising([&](uint64_t number, const Number& value) {
    EXPECT_EQ(number, expected->first);
    EXPECT_EQ(value.value, expected->second);
    ++expected;
    return true;
  });
  EXPECT_EQ(expected, model.end());
  auto last = model.rbegin();
  map.falling([&](uint64_t number, const Number&) {
    EXPECT_EQ(number, last->first);
    return ++last != model.rend();
  });
  for (const auto& [number, value] : model) EXPECT_EQ(map.find(number)->value, value);
  EXPECT_EQ(map.find(model.rbegin()->first + 1), nullptr);
  map.clear();
  EXPECT_EQ(map.size(), 0u);
}

}  // namespace
}  // namespace zgrid::broker
