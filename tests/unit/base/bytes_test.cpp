#include "protocol/base/bytes.h"

#include <gtest/gtest.h>

namespace zgrid {
namespace {

TEST(Bytes, KeepACopyOfTheirOwn) {
  std::string text = "hello";
  const Bytes bytes = Bytes::copy_of(text);
  text[0] = 'J';
  EXPECT_EQ(bytes.view(), "hello");
  EXPECT_EQ(bytes.str(), "hello");
  EXPECT_EQ(bytes, Bytes::copy_of("hello"));
  EXPECT_FALSE(bytes == Bytes::copy_of("hellO"));
}

TEST(Bytes, ShareTheirMemoryWithSlices) {
  Bytes slice;
  const char* memory = nullptr;
  {
    const Bytes bytes = Bytes::own(std::string(1000, 'a') + "tail");
    memory = bytes.data();
    slice = bytes.slice(1000, 4);
  }
  EXPECT_EQ(slice.view(), "tail");
  EXPECT_EQ(slice.data(), memory + 1000);
  EXPECT_NE(slice.detach().data(), slice.data());
  EXPECT_EQ(slice.detach(), slice);
}

TEST(Bytes, KeepTheOwnerOfSharedMemoryAlive) {
  auto owner = std::make_shared<std::string>("shared");
  const std::weak_ptr<std::string> alive = owner;
  const std::string_view view = *owner;
  Bytes bytes = Bytes::share(std::move(owner), view);
  EXPECT_FALSE(alive.expired());
  EXPECT_EQ(bytes.slice(1, 3).view(), "har");
  bytes = {};
  EXPECT_TRUE(alive.expired());
}

TEST(Bytes, MayBeEmpty) {
  EXPECT_TRUE(Bytes().empty());
  EXPECT_TRUE(Bytes::copy_of("").empty());
  EXPECT_TRUE(Bytes::own("").empty());
  EXPECT_TRUE(Bytes::copy_of("x").slice(1, 0).empty());
}

TEST(BytesDeathTest, RefuseASliceBeyondTheirEnd) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Bytes bytes = Bytes::copy_of("abc");
  EXPECT_DEATH((void)bytes.slice(2, 2), "internal error");
  EXPECT_DEATH((void)bytes.slice(4, 0), "internal error");
  EXPECT_DEATH((void)bytes.slice(1, SIZE_MAX), "internal error");
}

}  // namespace
}  // namespace zgrid
