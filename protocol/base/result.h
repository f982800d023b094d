// Errors as values. What the world or a peer can do wrong is an Error, never an exception.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace zgrid {

// Closed; the numbers are part of the protocol (docs/protocol.md). Never renumber, only append.
enum class Errc : uint8_t {
  internal = 1,            // a bug of ours
  usage = 2,               // a command line that cannot be understood
  bad_input = 3,           // input that does not fit its contract
  not_found = 4,           // no such job, run, worker, file
  conflict = 5,            // the same id or key with another body
  ambiguous = 6,           // a shortened id with several matches
  cannot_create = 7,       // file exists, address in use, store locked
  io = 8,                  // reading or writing failed
  no_broker = 9,           // none authenticated in time
  wrong_grid = 10,         // only another grid's broker was found
  queue_full = 11,         // a limit of admission; retry after retry_after_ms
  not_ready = 12,          // the result of an unfinished job was asked for
  no_candidate = 13,       // nobody can run it
  envelope_version = 14,   // no common protocol version
  auth = 15,               // the handshake was refused: wrong secret
  forbidden = 16,          // this role may not do that
  revoked = 17,            // the credential was revoked
  config = 18,             // configuration: secret, key, file
  timeout = 19,            // the deadline of this call ran out
  name_taken = 20,         // another live worker has this name
  malformed = 21,          // bytes that are not a message
  too_large = 22,          // over a size limit
  store_unavailable = 23,  // the store cannot write now; retry
  not_leader = 24,         // another broker leads
  connection_lost = 25,    // the connection went away and did not come back in time
  shutting_down = 26,      // the peer is stopping
  stale_epoch = 27,        // the broker's store is older than one seen before
  unsupported = 28,        // known, but not offered here
  corrupt = 29,            // stored bytes fail their checksum
};

// The stable word for scripts: "queue_full", "not_found", …
std::string_view errc_name(Errc code);
// The process exit code of docs/protocol.md for an error that ends a command.
int exit_code(Errc code);
// Whether trying the same again later can help.
bool is_retryable(Errc code);

// What is known about the effect of a call that failed.
enum class Effect : uint8_t { none = 0, unknown = 1, happened = 2 };

struct Error {
  Errc code = Errc::internal;
  std::string message;  // what and why, one sentence without a full stop
  std::string hint;     // what to do; may be empty
  Effect effect = Effect::none;
  uint32_t retry_after_ms = 0;  // 0 = no advice

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;
using Failure = tl::unexpected<Error>;

inline Failure fail(Errc code, std::string message, std::string hint = {},
                    Effect effect = Effect::none) {
  return Failure(Error{code, std::move(message), std::move(hint), effect, 0});
}
inline Failure fail(Error error) { return Failure(std::move(error)); }

}  // namespace zgrid
