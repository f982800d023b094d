// Waits of the lengths that callers of the library may ask for.
#include "protocol/base/wait.h"

#include <gtest/gtest.h>

#include <thread>

namespace zgrid {
namespace {

TEST(WaitTest, ForEverIsNoSumThatOverflows) {
  std::mutex mutex;
  std::condition_variable changed;
  bool is_waiting = false;
  bool is_done = false;
  bool was_done_at_the_end = false;
  std::thread waiting([&] {
    std::unique_lock lock(mutex);
    is_waiting = true;  // and the mutex is free only in the wait, or after it
    was_done_at_the_end = wait_at_most(changed, lock, Millis::max(), [&] { return is_done; });
  });
  const auto end_once_it_waits = [&] {
    const std::lock_guard lock(mutex);
    is_done = is_waiting;
    return is_done;
  };
  while (!end_once_it_waits()) std::this_thread::yield();
  changed.notify_all();
  waiting.join();
  EXPECT_TRUE(was_done_at_the_end);
}

TEST(WaitTest, WhatDoesNotHoldInTimeIsFalse) {
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock(mutex);
  EXPECT_FALSE(wait_at_most(changed, lock, Millis{1}, [] { return false; }));
  EXPECT_FALSE(wait_at_most(changed, lock, Millis::min(), [] { return false; }));
  EXPECT_TRUE(wait_at_most(changed, lock, Millis{-1}, [] { return true; }));
}

}  // namespace
}  // namespace zgrid
