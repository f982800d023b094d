#include "protocol/base/result.h"

#include <gtest/gtest.h>

#include <set>

namespace zgrid {
namespace {

// The numbers and words are part of the protocol, the exit codes of the command line.
struct Row {
  Errc code;
  int number;
  const char* name;
  int exit;
  bool retryable;
};

constexpr Row kRows[] = {
    {Errc::internal, 1, "internal", 70, false},
    {Errc::usage, 2, "usage", 2, false},
    {Errc::bad_input, 3, "bad_input", 65, false},
    {Errc::not_found, 4, "not_found", 66, false},
    {Errc::conflict, 5, "conflict", 65, false},
    {Errc::ambiguous, 6, "ambiguous", 65, false},
    {Errc::cannot_create, 7, "cannot_create", 73, false},
    {Errc::io, 8, "io", 74, false},
    {Errc::no_broker, 9, "no_broker", 69, true},
    {Errc::wrong_grid, 10, "wrong_grid", 69, false},
    {Errc::queue_full, 11, "queue_full", 75, true},
    {Errc::not_ready, 12, "not_ready", 75, true},
    {Errc::no_candidate, 13, "no_candidate", 75, true},
    {Errc::envelope_version, 14, "envelope_version", 76, false},
    {Errc::auth, 15, "auth", 77, false},
    {Errc::forbidden, 16, "forbidden", 77, false},
    {Errc::revoked, 17, "revoked", 77, false},
    {Errc::config, 18, "config", 78, false},
    {Errc::timeout, 19, "timeout", 124, true},
    {Errc::name_taken, 20, "name_taken", 78, false},
    {Errc::malformed, 21, "malformed", 65, false},
    {Errc::too_large, 22, "too_large", 65, false},
    {Errc::store_unavailable, 23, "store_unavailable", 75, true},
    {Errc::not_leader, 24, "not_leader", 69, true},
    {Errc::connection_lost, 25, "connection_lost", 69, true},
    {Errc::shutting_down, 26, "shutting_down", 69, true},
    {Errc::stale_epoch, 27, "stale_epoch", 76, false},
    {Errc::unsupported, 28, "unsupported", 70, false},
    {Errc::corrupt, 29, "corrupt", 74, false},
};

TEST(Result, CodesHaveTheirPublicNumberWordAndExitCode) {
  std::set<std::string_view> names;
  for (const Row& row : kRows) {
    EXPECT_EQ(static_cast<int>(row.code), row.number) << row.name;
    EXPECT_EQ(errc_name(row.code), row.name);
    EXPECT_EQ(exit_code(row.code), row.exit) << row.name;
    EXPECT_EQ(is_retryable(row.code), row.retryable) << row.name;
    EXPECT_TRUE(names.insert(row.name).second);
  }
}

TEST(Result, CodesOfTheTableAreAllThereAre) {
  int known = 0;
  for (int number = 0; number < 256; ++number) {
    known += errc_name(static_cast<Errc>(number)) != "unknown";
  }
  EXPECT_EQ(known, static_cast<int>(std::size(kRows)));
  EXPECT_EQ(exit_code(static_cast<Errc>(200)), 70);
  EXPECT_FALSE(is_retryable(static_cast<Errc>(200)));
}

TEST(Result, FailuresCarryWhatWhyAndWhatToDo) {
  const Result<int> result = fail(Errc::io, "cannot write", "free some space", Effect::unknown);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(),
            (Error{Errc::io, "cannot write", "free some space", Effect::unknown, 0}));
  EXPECT_EQ(Error{}.effect, Effect::none);
}

}  // namespace
}  // namespace zgrid
