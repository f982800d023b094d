// Worlds by the hundred. A failure prints its seed; ZGRID_SEED=n runs only that one, with a trace.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/sim/simulation.h"

namespace zgrid::sim {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 150;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
constexpr uint64_t kSeeds = 150;
#else
constexpr uint64_t kSeeds = 1000;
#endif
#else
constexpr uint64_t kSeeds = 1000;
#endif
constexpr unsigned kThreads = 2;

std::optional<uint64_t> chosen_seed() {
  const char* text = std::getenv("ZGRID_SEED");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

uint64_t first_seed() {
  const char* text = std::getenv("ZGRID_FIRST_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

// Runs `count` seeds on a few threads; returns the verdict on the lowest one that failed.
std::optional<Verdict> run_seeds(Simulation::Options options, uint64_t first, uint64_t count,
                                 Oracle::Tally& sum) {
  std::atomic<uint64_t> next{first};
  std::mutex mutex;
  std::optional<Verdict> failed;
  const auto work = [&] {
    for (uint64_t seed = next++; seed < first + count; seed = next++) {
      Simulation::Options one = options;
      one.seed = seed;
      const Verdict verdict = Simulation(one).run();
      const std::lock_guard lock(mutex);
      sum.accepted += verdict.tally.accepted;
      sum.ended += verdict.tally.ended;
      sum.commits += verdict.tally.commits;
      sum.attempts += verdict.tally.attempts;
      sum.restarts += verdict.tally.restarts;
      sum.stale += verdict.tally.stale;
      if (verdict.violation.empty()) continue;
      if (!failed || seed < failed->seed) failed = verdict;
      next = first + count;  // the others end as well
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return failed;
}

void expect_promises_kept(Simulation::Options options, uint64_t first, uint64_t count) {
  if (const auto seed = chosen_seed()) {
    options.seed = *seed;
    options.tracing = true;
    const Verdict verdict = Simulation(options).run();
    EXPECT_EQ(verdict.violation, "") << "ZGRID_SEED=" << *seed;
    return;
  }
  Oracle::Tally sum;
  const auto failed = run_seeds(options, first, count, sum);
  if (failed) {
    ADD_FAILURE() << failed->violation << "\nrepeat it with ZGRID_SEED=" << failed->seed;
    return;
  }
  std::printf(
      "%llu jobs, %llu attempts, %llu commits, %llu starts of brokers, %llu refused results\n",
      static_cast<unsigned long long>(sum.accepted), static_cast<unsigned long long>(sum.attempts),
      static_cast<unsigned long long>(sum.commits), static_cast<unsigned long long>(sum.restarts),
      static_cast<unsigned long long>(sum.stale));
  EXPECT_GT(sum.accepted, count) << "worlds in which nothing happens prove nothing";
}

TEST(Simulation, KeepsEveryPromiseWhateverGoesWrong) {
  expect_promises_kept({}, first_seed(), kSeeds);
}

TEST(Simulation, ABrokerThatOnlyRestartsMakesNothingRunTwice) {
  Simulation::Options options;
  options.broker_restarts_only = true;
  expect_promises_kept(options, first_seed(), kSeeds / 5);
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation::Options options;
    options.seed = seed;
    const Verdict one = Simulation(options).run();
    const Verdict two = Simulation(options).run();
    EXPECT_EQ(one.digest, two.digest) << "seed " << seed;
  }
}

// ---- the oracle itself --------------------------------------------------------------------------

struct Planted {
  Bug bug;
  const char* name;
  const char* expected;  // part of what the oracle says
};

class PlantedBug : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBug, IsCaughtWithinAHundredSeeds) {
  Simulation::Options options;
  options.bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    options.seed = seed;
    const Verdict verdict = Simulation(options).run();
    if (verdict.violation.empty()) continue;
    std::printf("caught at seed %llu: %s\n", static_cast<unsigned long long>(seed),
                verdict.violation.c_str());
    EXPECT_NE(verdict.violation.find(GetParam().expected), std::string::npos) << verdict.violation;
    return;
  }
  FAIL() << "the oracle did not notice";
}

INSTANTIATE_TEST_SUITE_P(
    OfEachKind, PlantedBug,
    testing::Values(Planted{Bug::early_ack, "AnAcknowledgementBeforeItsCommit",
                            "acknowledged and not committed"},
                    Planted{Bug::early_reveal, "AnAnswerAboutWhatIsNotCommitted", "commit"},
                    Planted{Bug::stale_accepted, "ALateResultThatCounts", "not current"},
                    Planted{Bug::result_forgotten, "AResultForgottenWhenItIsSent", "forgotten"}),
    [](const auto& planted) { return std::string(planted.param.name); });

}  // namespace
}  // namespace zgrid::sim
