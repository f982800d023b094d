// The index and the table of jobs against a map of the standard library.
#include "broker/core/id_index.h"

#include <gtest/gtest.h>

#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "broker/core/job_table.h"

namespace zgrid::broker {
namespace {

// Of few different tails, so that many ids want the same slot and share their tag.
JobId id_of(uint64_t head, uint64_t tail) {
  JobId id;
  std::memcpy(id.bytes.data(), &head, sizeof head);
  std::memcpy(id.bytes.data() + 8, &tail, sizeof tail);
  return id;
}

struct Thing {
  JobId id;
  int number = 0;
};

TEST(IdIndexTest, finds_what_was_added_and_nothing_else_while_it_grows_and_shrinks) {
  std::mt19937_64 random(5);
  IdIndex index;
  std::map<JobId, uint32_t> expected;
  std::vector<JobId> ids;  // by their places
  const auto find = [&](const JobId& id) {
    return index.find(id, [&](uint32_t place) { return ids[place] == id; });
  };
  for (int phase = 0; phase < 6; ++phase) {
    const bool grows = phase % 2 == 0;
    for (int i = 0; i < 3000; ++i) {
      if (grows || expected.empty()) {
        const JobId id = id_of(ids.size(), random() % 400);
        index.add(id, static_cast<uint32_t>(ids.size()));
        expected[id] = static_cast<uint32_t>(ids.size());
        ids.push_back(id);
      } else {
        const auto gone = std::next(
            expected.begin(), static_cast<long>(random() % 7) % static_cast<long>(expected.size()));
        index.erase(gone->first, gone->second);
        EXPECT_FALSE(find(gone->first));
        expected.erase(gone);
      }
    }
    ASSERT_EQ(index.size(), expected.size());
    for (const auto& [id, place] : expected) ASSERT_EQ(find(id), place);
    std::set<uint32_t> visited;
    index.for_each([&](uint32_t place) { EXPECT_TRUE(visited.insert(place).second); });
    EXPECT_EQ(visited.size(), expected.size());
    EXPECT_FALSE(find(id_of(UINT64_MAX, random() % 400)));
  }
  index.clear();
  EXPECT_EQ(index.size(), 0U);
  EXPECT_FALSE(find(ids.front()));
}

TEST(JobTableTest, a_place_is_used_again_and_comes_clean) {
  JobTable<Thing> table;
  Thing& first = table.add(id_of(1, 1));
  first.number = 7;
  table.erase(first);
  EXPECT_EQ(table.find(id_of(1, 1)), nullptr);
  Thing& second = table.add(id_of(2, 1));
  EXPECT_EQ(&second, &first);
  EXPECT_EQ(second.number, 0);
  EXPECT_EQ(second.id, id_of(2, 1));
}

TEST(JobTableTest, jobs_stay_where_they_are_while_others_come) {
  JobTable<Thing> table;
  std::vector<Thing*> things;
  for (int i = 0; i < 5000; ++i) {
    things.push_back(&table.add(id_of(static_cast<uint64_t>(i), 3)));
    things.back()->number = i;
  }
  for (int i = 0; i < 5000; i += 2) table.erase(*things[static_cast<size_t>(i)]);
  EXPECT_EQ(table.size(), 2500U);
  for (int i = 1; i < 5000; i += 2) {
    Thing* const found = table.find(id_of(static_cast<uint64_t>(i), 3));
    ASSERT_EQ(found, things[static_cast<size_t>(i)]);
    ASSERT_EQ(found->number, i);
  }
  int sum = 0;
  table.for_each([&](const Thing& thing) { sum += thing.number; });
  EXPECT_EQ(sum, 2500 * 2500);
}

}  // namespace
}  // namespace zgrid::broker
