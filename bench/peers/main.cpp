// Load on a server of others that runs on this machine.
//
//   bench_peer NAME --port P [--in-hand N] [--work] and the options of load.h
//
// NAME: gearman, nats, jetstream, beanstalk or redis. --work: be a worker until ended, nothing
// else. Prints one JSON object.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "bench/peers/peer.h"

namespace {

using namespace zgrid::bench;

const Peer* find(const std::string& name) {
  for (const Peer* peer : {&kGearman, &kNats, &kJetStream, &kBeanstalk, &kRedis}) {
    if (name == peer->name) return peer;
  }
  std::fprintf(stderr, "'%s' is none of gearman, nats, jetstream, beanstalk, redis\n",
               name.c_str());
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const Peer& peer = *find(argc > 1 ? argv[1] : "");
  PeerOptions options;
  bool work = false;
  const auto other = [&](const std::string& name, const std::string& value) {
    if (name == "--work") return work = true, 1;
    if (name == "--port") return options.port = static_cast<uint16_t>(number_of(name, value)), 2;
    if (name == "--in-hand") return options.in_hand = number_of(name, value), 2;
    return 0;
  };
  options.load =
      parse_load(argc - 1, argv + 1, "bench_peer NAME --port P [--in-hand N] [--work]", other);
  if (options.port == 0 || options.in_hand == 0) {
    std::fprintf(stderr, "--port and --in-hand must be at least 1\n");
    return 2;
  }
  if (options.load.clients > 1) {
    std::fprintf(stderr, "one client only: results come back through one subject, tube or list\n");
    return 2;
  }
  peer.prepare(options);
  if (work) peer.work(options);
  Children workers;
  for (size_t i = 0; i < options.load.workers; ++i) {
    workers.start([&] { peer.work(options); });
  }
  print(peer.name, options.load,
        run_load(options.load, [&options, &peer] { return peer.connect(options); }));
  return 0;
}
