// Servers of others, each with a client and a worker of our own that speak its protocol over a
// plain socket: no library of theirs is between the server and the measurement.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "bench/load.h"

namespace zgrid::bench {

struct PeerOptions {
  LoadOptions load;
  uint16_t port = 0;
  size_t in_hand = 1;  // jobs that a worker asks for at a time, where the protocol has that
};

struct Peer {
  const char* name;
  // Once, before workers and clients.
  void (*prepare)(const PeerOptions&);
  // Works for ever.
  void (*work)(const PeerOptions&);
  std::unique_ptr<Target> (*connect)(const PeerOptions&);
};

extern const Peer kGearman;    // jobs in the memory of gearmand
extern const Peer kNats;       // request and reply through subjects
extern const Peer kJetStream;  // a work queue on file, acknowledged; results through a subject
extern const Peer kBeanstalk;  // jobs in one tube, results in another
extern const Peer kRedis;      // jobs in one list, in hand in a second, results in a third

}  // namespace zgrid::bench
