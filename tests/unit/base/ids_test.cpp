#include "protocol/base/ids.h"

#include <gtest/gtest.h>

#include <unordered_set>

namespace zgrid {
namespace {

constexpr const char* kText = "0123abcd-4567-89ef-0123-456789abcdef";

TEST(Ids, ReadTheirOwnTextForm) {
  const auto id = WorkerId::parse(kText);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->str(), kText);
  EXPECT_EQ(id->bytes[0], 0x01);
  EXPECT_EQ(id->bytes[15], 0xef);
  EXPECT_EQ(id->view().size(), 16u);
}

TEST(Ids, ReadUpperCaseAndBareHexToo) {
  EXPECT_EQ(WorkerId::parse("0123ABCD-4567-89EF-0123-456789ABCDEF")->str(), kText);
  EXPECT_EQ(WorkerId::parse("0123abcd456789ef0123456789abcdef")->str(), kText);
}

TEST(Ids, RefuseEverythingElse) {
  for (const char* text :
       {"", "0123abcd", "0123abcd-4567-89ef-0123-456789abcde",
        "0123abcd-4567-89ef-0123-456789abcdeg", "0123abcd4567-89ef-0123-456789abcdef-",
        "{123abcd-4567-89ef-0123-456789abcdef", "0123abcd-4567-89ef-0123-456789abcdef0",
        "0123abcd-4567-89ef-012-3456789abcdef"}) {
    EXPECT_FALSE(WorkerId::parse(text)) << text;
  }
}

TEST(Ids, OfJobsCarryTimeVersionAndVariant) {
  std::array<uint8_t, 10> random;
  random.fill(0xff);
  const JobId id = make_job_id(0x0123456789ab, random);
  EXPECT_EQ(id.str(), "01234567-89ab-7fff-bfff-ffffffffffff");
  random.fill(0);
  EXPECT_EQ(make_job_id(0x0123456789ab, random).str(), "01234567-89ab-7000-8000-000000000000");
}

TEST(Ids, OfJobsSortByTime) {
  std::array<uint8_t, 10> high, low;
  high.fill(0xff);
  low.fill(0);
  EXPECT_LT(make_job_id(1000, high), make_job_id(1001, low));
}

TEST(Ids, AreNilUntilSet) {
  EXPECT_TRUE(JobId{}.is_nil());
  EXPECT_FALSE(JobId::parse(kText)->is_nil());
}

TEST(Ids, HashByTheirRandomHalf) {
  std::unordered_set<JobId> ids;
  for (uint8_t i = 0; i < 100; ++i) {
    std::array<uint8_t, 10> random{};
    random[9] = i;
    ids.insert(make_job_id(7, random));
  }
  EXPECT_EQ(ids.size(), 100u);
  EXPECT_EQ(ids.count(JobId{}), 0u);
}

}  // namespace
}  // namespace zgrid
