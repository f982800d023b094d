// Keyed hashes of jobs: SipHash-2-4 with 128 bits. They tell equal bodies from different ones
// among members of one grid; they are no defence against somebody who looks for collisions.
// Threads: pure functions.
#pragma once

#include "protocol/job.h"

namespace zgrid::protocol {

Hash128 hash_bytes(const Hash128& key, std::string_view bytes);

// Of a job's body: its spec, input and index, without its id and trace.
// `spec_hash` is hash_bytes({}, spec.raw): it is the same for all jobs of a spec.
Hash128 hash_body(const Hash128& spec_hash, const Payload& input, uint64_t index);

// The id of a broadcast's child: always the same for the same parent and worker.
JobId child_id(const JobId& parent, const WorkerId& worker);

}  // namespace zgrid::protocol
