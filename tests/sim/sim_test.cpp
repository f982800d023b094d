// Worlds by the hundred. A failure prints its seed; ZGRID_SEED=n runs only that one, with a trace.
// ZGRID_FIRST_SEED=n begins elsewhere, ZGRID_SEEDS=n runs so many and tells of every failure.
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

// For long runs: so many seeds, and every failure is told.
std::optional<uint64_t> long_run() {
  const char* text = std::getenv("ZGRID_SEEDS");
  if (text == nullptr) return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

unsigned long long number(uint64_t n) { return n; }

struct Sum {
  Oracle::Tally grid;
  TurnRules::Tally rules;
  void add(const Verdict& verdict);
  void print() const;
};

void Sum::add(const Verdict& verdict) {
  const Oracle::Tally& tally = verdict.tally;
  grid.accepted += tally.accepted;
  grid.ended += tally.ended;
  grid.commits += tally.commits;
  grid.attempts += tally.attempts;
  grid.restarts += tally.restarts;
  grid.stale += tally.stale;
  rules.add(verdict.rules);
}

void Sum::print() const {
  std::printf(
      "%llu jobs, %llu attempts, %llu commits, %llu starts of brokers, %llu refused results\n"
      "%llu losses, %llu taken back, %llu attempts alone, %llu dead letters, %llu signs of "
      "hanging, %llu deadlines, %llu retries, %llu purged, %llu forgotten\n",
      number(grid.accepted), number(grid.attempts), number(grid.commits), number(grid.restarts),
      number(grid.stale), number(rules.losses), number(rules.forgiven), number(rules.alone),
      number(rules.dead), number(rules.wedged), number(rules.deadlines), number(rules.retries),
      number(rules.purged), number(rules.forgotten));
}

// Runs `count` seeds on a few threads; returns the verdict on the lowest one that failed.
std::optional<Verdict> run_seeds(Simulation::Options options, uint64_t first, uint64_t count,
                                 Sum& sum) {
  std::atomic<uint64_t> next{first};
  std::mutex mutex;
  std::optional<Verdict> failed;
  const auto work = [&] {
    for (uint64_t seed = next++; seed < first + count; seed = next++) {
      Simulation::Options one = options;
      one.seed = seed;
      const Verdict verdict = Simulation(one).run();
      const std::lock_guard lock(mutex);
      sum.add(verdict);
      if (verdict.violation.empty()) continue;
      if (!failed || seed < failed->seed) failed = verdict;
      if (long_run()) {
        std::printf("seed %llu: %s\n", number(seed), verdict.violation.c_str());
      } else {
        next = first + count;  // the others end as well
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  return failed;
}

Sum expect_promises_kept(Simulation::Options options, uint64_t first, uint64_t count) {
  Sum sum;
  if (const auto seed = chosen_seed()) {
    options.seed = *seed;
    options.tracing = true;
    const Verdict verdict = Simulation(options).run();
    EXPECT_EQ(verdict.violation, "") << "ZGRID_SEED=" << *seed;
    return sum;
  }
  const auto failed = run_seeds(options, first, count, sum);
  if (failed) {
    ADD_FAILURE() << failed->violation << "\nrepeat it with ZGRID_SEED=" << failed->seed;
    return sum;
  }
  sum.print();
  EXPECT_GT(sum.grid.accepted, count) << "worlds in which nothing happens prove nothing";
  return sum;
}

TEST(Simulation, KeepsEveryPromiseWhateverGoesWrong) {
  const Sum sum = expect_promises_kept({}, first_seed(), long_run().value_or(kSeeds));
  if (HasFailure() || chosen_seed()) return;
  for (const uint64_t seen :
       {sum.rules.losses, sum.rules.forgiven, sum.rules.alone, sum.rules.dead, sum.rules.wedged,
        sum.rules.deadlines, sum.rules.retries, sum.rules.purged, sum.rules.forgotten}) {
    EXPECT_GT(seen, 0u) << "what never happens is not tested";
  }
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
  const char* expected;           // part of what the oracle says
  const char* or_else = nullptr;  // if it sees only what follows from it
};

class PlantedBug : public testing::TestWithParam<Planted> {};

constexpr uint64_t kSeedsToNotice = 200;

TEST_P(PlantedBug, IsCaughtWithinTwoHundredSeeds) {
  Simulation::Options options;
  options.bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= kSeedsToNotice; ++seed) {
    options.seed = seed;
    const Verdict verdict = Simulation(options).run();
    if (verdict.violation.empty()) continue;
    std::printf("caught at seed %llu: %s\n", number(seed), verdict.violation.c_str());
    const auto says = [&](const char* text) {
      return text != nullptr && verdict.violation.find(text) != std::string::npos;
    };
    EXPECT_TRUE(says(GetParam().expected) || says(GetParam().or_else)) << verdict.violation;
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
                    Planted{Bug::result_forgotten, "AResultForgottenWhenItIsSent", "forgotten"},
                    Planted{Bug::alone_ignored, "ASecondJobWhereOneMustBeAlone", "must be alone"},
                    Planted{Bug::purge_early, "APurgeBeforeItsTime", "purged too early"},
                    Planted{Bug::ids_early, "IdsForgottenBeforeTheirTime", "forgotten too early"},
                    Planted{Bug::wall_deadline, "DeadlinesByTheWallClock", "grid"},
                    Planted{Bug::abort_overtakes, "AnAbortAheadOfItsRequest", "called back before"},
                    // Beside a worker that has just come back, the next record tells of it.
                    Planted{Bug::wedged_uncounted, "AHungAttemptThatCostsNothing", "must count",
                            "lost an attempt, but nobody had it in hand"},
                    Planted{Bug::inputs_swapped, "AnInputThatGoesToAnotherJob",
                            "not given what was submitted"}),
    [](const auto& planted) { return std::string(planted.param.name); });

}  // namespace
}  // namespace zgrid::sim
