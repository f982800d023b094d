#include "protocol/base/result.h"

namespace zgrid {

std::string_view errc_name(Errc code) {
  switch (code) {
    case Errc::internal: return "internal";
    case Errc::usage: return "usage";
    case Errc::bad_input: return "bad_input";
    case Errc::not_found: return "not_found";
    case Errc::conflict: return "conflict";
    case Errc::ambiguous: return "ambiguous";
    case Errc::cannot_create: return "cannot_create";
    case Errc::io: return "io";
    case Errc::no_broker: return "no_broker";
    case Errc::wrong_grid: return "wrong_grid";
    case Errc::queue_full: return "queue_full";
    case Errc::not_ready: return "not_ready";
    case Errc::no_candidate: return "no_candidate";
    case Errc::envelope_version: return "envelope_version";
    case Errc::auth: return "auth";
    case Errc::forbidden: return "forbidden";
    case Errc::revoked: return "revoked";
    case Errc::config: return "config";
    case Errc::timeout: return "timeout";
    case Errc::name_taken: return "name_taken";
    case Errc::malformed: return "malformed";
    case Errc::too_large: return "too_large";
    case Errc::store_unavailable: return "store_unavailable";
    case Errc::not_leader: return "not_leader";
    case Errc::connection_lost: return "connection_lost";
    case Errc::shutting_down: return "shutting_down";
    case Errc::stale_epoch: return "stale_epoch";
    case Errc::unsupported: return "unsupported";
    case Errc::corrupt: return "corrupt";
  }
  return "unknown";
}

int exit_code(Errc code) {
  switch (code) {
    case Errc::usage: return 2;
    case Errc::bad_input:
    case Errc::too_large:
    case Errc::malformed: return 65;
    case Errc::not_found:
    case Errc::conflict:
    case Errc::ambiguous: return code == Errc::not_found ? 66 : 65;
    case Errc::no_broker:
    case Errc::wrong_grid:
    case Errc::not_leader:
    case Errc::connection_lost:
    case Errc::shutting_down: return 69;
    case Errc::internal:
    case Errc::unsupported: return 70;
    case Errc::cannot_create: return 73;
    case Errc::io:
    case Errc::corrupt: return 74;
    case Errc::queue_full:
    case Errc::not_ready:
    case Errc::no_candidate:
    case Errc::store_unavailable: return 75;
    case Errc::envelope_version:
    case Errc::stale_epoch: return 76;
    case Errc::auth:
    case Errc::forbidden:
    case Errc::revoked: return 77;
    case Errc::config:
    case Errc::name_taken: return 78;
    case Errc::timeout: return 124;
  }
  return 70;
}

bool is_retryable(Errc code) {
  switch (code) {
    case Errc::no_broker:
    case Errc::queue_full:
    case Errc::not_ready:
    case Errc::no_candidate:
    case Errc::timeout:
    case Errc::store_unavailable:
    case Errc::not_leader:
    case Errc::connection_lost:
    case Errc::shutting_down: return true;
    case Errc::internal:
    case Errc::usage:
    case Errc::bad_input:
    case Errc::not_found:
    case Errc::conflict:
    case Errc::ambiguous:
    case Errc::cannot_create:
    case Errc::io:
    case Errc::wrong_grid:
    case Errc::envelope_version:
    case Errc::auth:
    case Errc::forbidden:
    case Errc::revoked:
    case Errc::config:
    case Errc::name_taken:
    case Errc::malformed:
    case Errc::too_large:
    case Errc::stale_epoch:
    case Errc::unsupported:
    case Errc::corrupt: return false;
  }
  return false;
}

}  // namespace zgrid
