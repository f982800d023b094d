#include "protocol/base/nearest.h"

#include <gtest/gtest.h>

namespace zgrid {
namespace {

TEST(Nearest, FindsSmallSlipsAndShortenedWords) {
  const std::vector<std::string> keys{"bind", "store", "io_threads", "queue_jobs_max"};
  EXPECT_EQ(nearest("bnid", keys), "bind");
  EXPECT_EQ(nearest("stores", keys), "store");
  EXPECT_EQ(nearest("io_thread", keys), "io_threads");
  EXPECT_EQ(nearest("io-threads", keys), "io_threads");
  EXPECT_EQ(nearest("queue_jobs", keys), "queue_jobs_max");
  EXPECT_EQ(nearest("elephant", keys), std::nullopt);
  EXPECT_EQ(nearest("", keys), std::nullopt);
  EXPECT_EQ(nearest("xy", {"ab"}), std::nullopt);
  EXPECT_EQ(nearest(std::string(1000, 'x'), keys), std::nullopt);
}

}  // namespace
}  // namespace zgrid
