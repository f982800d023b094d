#include "broker/core/history.h"

#include <gtest/gtest.h>

#include <map>

namespace zgrid::broker {
namespace {

JobId id_of(uint64_t number) {
  JobId id;
  for (size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  return id;
}
Past past(uint64_t number) {
  Past one;
  one.id = id_of(number);
  one.seq = number;
  one.ended = GridTime{static_cast<int64_t>(number) * 1000};
  one.bytes = 10;
  return one;
}
std::vector<uint64_t> seqs(const Purge& purge) {
  std::vector<uint64_t> list;
  for (const EndedJob& job : purge.jobs) list.push_back(job.seq);
  return list;
}

// Each at the beginning of the numbers of places, and where they begin anew.
class HistoryTest : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Places, HistoryTest, ::testing::Values(0U, UINT32_MAX, UINT32_MAX - 2));

TEST_P(HistoryTest, PurgesInOrderOfTheEndAndRemembersUntilTheChunkIsForgotten) {
  History history(GetParam());
  for (uint64_t i = 1; i <= 5; ++i) history.add(past(i), i == 2 ? "key" : "", {});
  EXPECT_EQ(history.kept(), 5u);
  EXPECT_EQ(history.kept_bytes(), 50u);
  Purge first = history.purge_oldest(GridTime{7});
  history.purge_more(first);
  EXPECT_EQ(seqs(first), (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(first.jobs.at(1).key, "key");
  EXPECT_EQ(history.kept(), 3u);
  EXPECT_EQ(history.kept_bytes(), 30u);
  ASSERT_NE(history.find(id_of(2)), nullptr);
  EXPECT_TRUE(history.find(id_of(2))->purged);
  EXPECT_FALSE(history.find(id_of(3))->purged);
  std::map<uint64_t, std::string> gone;
  const Forget forget =
      history.forget_oldest([&](const Past& p, const std::string& key) { gone[p.seq] = key; });
  EXPECT_EQ(forget.number, first.number);
  EXPECT_EQ(gone, (std::map<uint64_t, std::string>{{1, ""}, {2, "key"}}));
  EXPECT_EQ(history.find(id_of(1)), nullptr);
  EXPECT_NE(history.find(id_of(5)), nullptr);
  EXPECT_EQ(history.size(), 3u);
}

TEST_P(HistoryTest, AJobPurgedOutOfTurnIsPassedOverLaterAndForgottenWithItsOwnChunk) {
  History history(GetParam());
  for (uint64_t i = 1; i <= 4; ++i) history.add(past(i), {}, {});
  const Purge single = history.purge({id_of(3), id_of(9), id_of(3)}, GridTime{1});
  EXPECT_EQ(seqs(single), (std::vector<uint64_t>{3}));
  Purge rest = history.purge_oldest(GridTime{2});
  history.purge_more(rest);
  history.purge_more(rest);
  history.purge_more(rest);
  EXPECT_EQ(seqs(rest), (std::vector<uint64_t>{1, 2, 4}));
  EXPECT_EQ(history.oldest_kept(), nullptr);
  EXPECT_EQ(*history.oldest_purge(), GridTime{1});
  const auto ignore = [](const Past&, const std::string&) {};
  EXPECT_EQ(history.forget_oldest(ignore).number, single.number);
  EXPECT_EQ(history.find(id_of(3)), nullptr);
  EXPECT_NE(history.find(id_of(4)), nullptr);
  EXPECT_EQ(history.forget_oldest(ignore).number, rest.number);
  EXPECT_EQ(history.size(), 0u);
  EXPECT_FALSE(history.oldest_purge());
}

TEST_P(HistoryTest, ARestartKeepsChunksAndOrdersTheRestByTheirEnd) {
  History history(GetParam());
  Purge stored;
  stored.number = 7;
  stored.at = GridTime{5};
  stored.jobs.resize(2);
  stored.jobs[0].id = id_of(1);
  stored.jobs[1].id = id_of(2);
  stored.jobs[1].key = "k";
  stored.jobs[1].children = {id_of(20)};
  history.restore(std::move(stored));
  Past late = past(3);
  late.ended = GridTime{900};
  Past early = past(4);
  early.ended = GridTime{100};
  history.add(late, {}, {});
  history.add(early, {}, {});
  history.sort();
  EXPECT_TRUE(history.find(id_of(2))->purged);
  ASSERT_NE(history.children(id_of(2)), nullptr);
  EXPECT_EQ(history.oldest_kept()->seq, 4u);
  EXPECT_EQ(history.purge_oldest(GridTime{6}).number, 8u);
  EXPECT_EQ(history.find(id_of(3))->ended, GridTime{900});
}

// Against a plain map, with ids that collide in the index often.
TEST_P(HistoryTest, FindsWhatAMapFinds) {
  History history(GetParam());
  std::map<uint64_t, bool> known;
  uint64_t random = 1, next = 1;
  const auto draw = [&](uint64_t below) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return (random >> 33) % below;
  };
  for (int round = 0; round < 20'000; ++round) {
    if (draw(10) < 6) {
      history.add(past(next), {}, {});
      known[next++] = false;
    } else if (history.oldest_kept() != nullptr && draw(2) == 0) {
      known[history.purge_oldest(GridTime{round}).jobs.front().seq] = true;
    } else if (history.oldest_purge()) {
      history.forget_oldest([&](const Past& p, const std::string&) { known.erase(p.seq); });
    }
    const uint64_t probe = 1 + draw(next);
    const Past* found = history.find(id_of(probe));
    const auto it = known.find(probe);
    ASSERT_EQ(found != nullptr, it != known.end()) << probe;
    if (found != nullptr) {
      ASSERT_EQ(found->seq, probe);
      ASSERT_EQ(found->purged, it->second);
    }
  }
  EXPECT_EQ(history.size(), known.size());
}

}  // namespace
}  // namespace zgrid::broker
