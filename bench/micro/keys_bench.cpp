// From a secret to keys: what every start of a program pays.
#include <benchmark/benchmark.h>

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "protocol/keys.h"

namespace zgrid::protocol {
namespace {

constexpr const char* kPassphrase = "correct horse battery staple";

void BM_RootOfSecret(benchmark::State& state) {
  const std::string secret = new_secret();
  for (auto _ : state) benchmark::DoNotOptimize(derive_root(secret));
}
BENCHMARK(BM_RootOfSecret)->Unit(benchmark::kMicrosecond);

void BM_RootOfPassphrase(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(derive_root(kPassphrase));
}
BENCHMARK(BM_RootOfPassphrase)->Unit(benchmark::kMillisecond);

void BM_RootOfPassphraseCached(benchmark::State& state) {
  std::string folder = std::filesystem::temp_directory_path().string() + "/zgrid-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return state.SkipWithError("no temporary folder");
  for (auto _ : state) benchmark::DoNotOptimize(derive_root_cached(kPassphrase, folder));
  std::filesystem::remove_all(folder);
}
BENCHMARK(BM_RootOfPassphraseCached)->Unit(benchmark::kMicrosecond);

void BM_CurveKeys(benchmark::State& state) {
  const auto root = derive_root(new_secret());
  if (!root) return state.SkipWithError(root.error().message.c_str());
  for (auto _ : state) benchmark::DoNotOptimize(curve_keys(*root, Role::client));
}
BENCHMARK(BM_CurveKeys)->Unit(benchmark::kMicrosecond);

void BM_BeaconKey(benchmark::State& state) {
  const auto root = derive_root(new_secret());
  if (!root) return state.SkipWithError(root.error().message.c_str());
  for (auto _ : state) benchmark::DoNotOptimize(beacon_key(*root));
}
BENCHMARK(BM_BeaconKey)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace zgrid::protocol
