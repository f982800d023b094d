// Whether anything listens at an address, and what an HTTP server there says. For `doctor`, which
// must tell a port that is wrong from a secret that is.
// Threads: free functions that block for `patience` at most (and for the resolver).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/base/time.h"

namespace zgrid::cli {

struct Address {
  std::string host;
  std::string port;
};
// Of tcp://HOST:PORT, http://HOST[:PORT]/…, https://…; nothing for another form.
std::optional<Address> address_of(const std::string& url);
// What is sent there stays on this host.
bool is_loopback(const std::string& host);

enum class Reach : uint8_t { ok, refused, silent, unknown_host, failed };
struct Reached {
  Reach reach = Reach::failed;
  std::string reason;  // in words, unless ok
};
Reached try_tcp(const Address& address, Millis patience);

// The status of GET `path` (HTTP/1.1, without credentials); nothing if no server answered so.
std::optional<int> http_status(const Address& address, const std::string& path, Millis patience);

}  // namespace zgrid::cli
