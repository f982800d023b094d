// How much is under way, and what is shown when.
#include "client/cli/bulk_window.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace zgrid::cli {
namespace {

using Order = InOrder<int, std::string>;

TEST(BulkWindowTest, EachLimitClosesItAndItsReturnOpensItAgain) {
  BulkWindow::Limits limits;
  limits.unacknowledged = 2;
  limits.open = 3;
  limits.bytes = 100;
  limits.ahead = 5;
  BulkWindow window(limits);
  EXPECT_EQ(window.submitted(10), 0u);
  EXPECT_TRUE(window.has_room());
  EXPECT_EQ(window.submitted(10), 1u);
  EXPECT_FALSE(window.has_room());  // two are not acknowledged
  window.acknowledged(10);
  EXPECT_TRUE(window.has_room());
  window.submitted(200);
  window.acknowledged(10);
  EXPECT_FALSE(window.has_room());  // three are open, and too many bytes
  window.ended();
  EXPECT_FALSE(window.has_room());
  window.acknowledged(200);
  EXPECT_TRUE(window.has_room());
  window.submitted(0);
  window.acknowledged(0);
  window.ended();
  window.submitted(0);
  window.acknowledged(0);
  window.ended();
  EXPECT_FALSE(window.has_room());  // five places were given out, none was shown
  window.shown_until(1);
  EXPECT_TRUE(window.has_room());
  EXPECT_EQ(window.open(), 2u);
  EXPECT_EQ(window.submitted_so_far(), 5u);
}

TEST(BulkWindowTest, AnInputLargerThanTheBudgetGoesAlone) {
  BulkWindow::Limits limits;
  limits.bytes = 100;
  BulkWindow window(limits);
  EXPECT_TRUE(window.has_room());
  window.submitted(1000);
  EXPECT_FALSE(window.has_room());
  window.acknowledged(1000);
  EXPECT_TRUE(window.has_room());
}

TEST(InOrderTest, WhatComesEarlyWaitsForItsTurn) {
  Order order(100);
  order.put(2, 2, "c", 1);
  order.put(1, 1, "b", 1);
  EXPECT_FALSE(order.take());
  order.put(0, 0, "a", 1);
  EXPECT_EQ(*order.take(), "a");
  EXPECT_EQ(*order.take(), "b");
  EXPECT_EQ(*order.take(), "c");
  EXPECT_FALSE(order.take());
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(order.next(), 3u);
  EXPECT_EQ(order.held_bytes(), 0u);
}

TEST(InOrderTest, ASkippedPlaceHoldsNobodyUp) {
  Order order(100);
  order.put(1, 1, "b", 1);
  order.skip(0);
  order.skip(2);
  EXPECT_EQ(*order.take(), "b");
  EXPECT_FALSE(order.take());
  EXPECT_EQ(order.next(), 3u);
  EXPECT_TRUE(order.empty());
}

TEST(InOrderTest, BeyondTheBudgetTheFarthestAreParkedAndFetchedWhenTheirTurnIsNear) {
  Order order(10);
  order.put(3, 3, "d", 4);
  order.put(2, 2, "c", 4);
  order.put(1, 1, "b", 4);  // parks 3
  order.put(4, 4, "e", 4);  // no room, and nothing farther away
  EXPECT_LE(order.held_bytes(), 10u);
  uint64_t place = order.next();
  EXPECT_FALSE(order.to_fetch(place));  // the first has not come at all
  order.put(0, 0, "a", 4);              // its turn: parks 2
  EXPECT_LE(order.held_bytes(), 10u);
  EXPECT_EQ(*order.take(), "a");
  EXPECT_EQ(*order.take(), "b");
  EXPECT_FALSE(order.take());
  std::vector<int> fetched;
  place = order.next();
  while (const auto key = order.to_fetch(place)) {
    fetched.push_back(*key);
    EXPECT_EQ(place, static_cast<uint64_t>(*key));
  }
  EXPECT_EQ(fetched, (std::vector<int>{2, 3}));
  place = order.next();
  EXPECT_FALSE(order.to_fetch(place));  // asked for already
  order.put(3, 3, "d", 4);
  order.put(2, 2, "c", 4);
  EXPECT_EQ(*order.take(), "c");
  EXPECT_EQ(*order.take(), "d");
  place = order.next();
  EXPECT_EQ(order.to_fetch(place), 4);
  order.skip(4);  // it was forgotten meanwhile
  EXPECT_FALSE(order.take());
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(order.held_bytes(), 0u);
}

TEST(InOrderTest, OneThatIsLargerThanTheBudgetIsHeldWhenItsTurnComes) {
  Order order(10);
  order.put(1, 1, "big", 1000);
  order.put(0, 0, "a", 1);
  EXPECT_EQ(*order.take(), "a");
  EXPECT_FALSE(order.take());
  uint64_t place = order.next();
  EXPECT_EQ(order.to_fetch(place), 1);
  order.put(1, 1, "big", 1000);
  EXPECT_EQ(*order.take(), "big");
  EXPECT_EQ(order.held_bytes(), 0u);
}

TEST(InOrderTest, InAnyOrderOfArrivalEverythingComesOutOnceAndInOrder) {
  for (uint32_t seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    constexpr int kCount = 300;
    std::vector<int> arrivals;
    for (int i = 0; i < kCount; ++i) arrivals.push_back(i);
    std::shuffle(arrivals.begin(), arrivals.end(), random);
    Order order(50);
    std::vector<int> fetching, shown;
    size_t at = 0;
    while (shown.size() < kCount) {
      while (const auto value = order.take()) shown.push_back(std::stoi(*value));
      uint64_t place = order.next();
      while (const auto key = order.to_fetch(place)) fetching.push_back(*key);
      EXPECT_LE(order.held_bytes(), 50u + 20u);  // the budget, or one whose turn it is
      const bool fetch = !fetching.empty() && (at == arrivals.size() || random() % 2 == 0);
      int next = 0;
      if (fetch) {
        const size_t which = random() % fetching.size();
        next = fetching[which];
        fetching.erase(fetching.begin() + static_cast<ptrdiff_t>(which));
      } else if (at < arrivals.size()) {
        next = arrivals[at++];
      } else {
        ASSERT_EQ(shown.size(), kCount) << "nothing can happen any more, seed " << seed;
        break;
      }
      order.put(static_cast<uint64_t>(next), next, std::to_string(next),
                static_cast<size_t>(next % 20));
    }
    for (int i = 0; i < kCount; ++i) ASSERT_EQ(shown[static_cast<size_t>(i)], i);
    EXPECT_TRUE(order.empty());
    EXPECT_EQ(order.held_bytes(), 0u);
  }
}

}  // namespace
}  // namespace zgrid::cli
