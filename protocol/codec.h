// Messages to frames and back. Never aborts and never throws on bytes from a peer.
//
// Frame 0 is the header, a msgpack array [version, kind, body]. A body is a map with small integer
// keys in ascending order; a field equal to its default is left out, an unknown key is skipped.
// Payloads up to limits::kInlinePayloadBytesMax ride in the header, larger ones in frames of their
// own. Equal values have equal bytes, so that bytes can be hashed and compared.
// Threads: pure functions.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/messages.h"

namespace zgrid::protocol {

using Frames = std::vector<Bytes>;

// The message must respect the limits (see batch.h for lists that may not).
Frames encode(const Message& message);

// Payloads and raw specs of the message share the memory of `frames`.
// Errc::malformed for bytes that are no message, Errc::envelope_version for another version,
// Errc::too_large for a value over its limit.
Result<Message> decode(std::span<const Bytes> frames);

// A spec with its canonical bytes.
SpecRef make_spec(JobSpec job);
Result<SpecRef> decode_spec(const Bytes& raw);

// What stores keep of an outcome.
Bytes encode_outcome(const Outcome& outcome);
Result<Outcome> decode_outcome(const Bytes& raw);
Bytes encode_facts(const WorkerFacts& facts);
Result<WorkerFacts> decode_facts(const Bytes& raw);

}  // namespace zgrid::protocol
