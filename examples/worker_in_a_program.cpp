// A worker inside a program of its own: offers workflows until standard input ends, then finishes
// what runs. Usage: worker_in_a_program SECRET_FILE BROKER NAME STATE_DIR WORKFLOWS…
#include <chrono>
#include <cstdio>
#include <vector>
#include <zgrid/worker.hpp>

namespace {

using zgrid::api::EmbeddedWorker;
using zgrid::api::Error;

int report(const Error& error) {
  std::fprintf(stderr, "worker_in_a_program: %s (%s)\n", error.message.c_str(), error.code.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fputs("usage: worker_in_a_program SECRET_FILE BROKER NAME STATE_DIR WORKFLOWS...\n",
               stderr);
    return 2;
  }
  zgrid::api::WorkerOptions options;
  options.secret_file = argv[1];
  options.brokers = {argv[2]};
  options.name = argv[3];
  options.state_dir = argv[4];
  options.workflows.assign(argv + 5, argv + argc);
  auto worker = EmbeddedWorker::start(options);
  if (!worker) return report(worker.error());
  if (const auto ready = worker->wait_ready(std::chrono::seconds(10)); !ready) {
    return report(ready.error());
  }
  std::puts("ready");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  worker->drain();
  const auto ended = worker->wait(std::chrono::minutes(15));
  return ended ? 0 : report(ended.error());
}
