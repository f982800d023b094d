// From the grid secret to everything that is derived from it.
//
//   secret zgs1_… (256 bits)      ─ BLAKE2b ─┐
//   passphrase ─ Argon2id 64 MiB, 3 passes ──┴▶ root ─ crypto_kdf ─▶ a subkey per purpose
//
// Every holder of the secret derives every key: the roles between holders are labels. Nothing that
// is sent or advertised lets anyone guess a secret faster than Argon2id allows.
// Threads: pure functions, but for load_root, which may read and write its cache file.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/result.h"
#include "protocol/messages.h"

namespace zgrid::protocol {

using Key32 = std::array<uint8_t, 32>;

// Wiped from memory when it goes.
class Root {
 public:
  explicit Root(const Key32& bytes) : bytes_(bytes) {}
  Root(const Root&) = default;
  Root& operator=(const Root&) = default;
  ~Root();
  [[nodiscard]] const Key32& bytes() const { return bytes_; }

 private:
  Key32 bytes_;
};

// "zgs1_" and 52 characters of RFC 4648 base32 (lower case, no padding): 256 random bits and,
// in the four bits that are left over, a check.
std::string new_secret();
// How good a secret is, without telling it.
struct SecretInfo {
  bool generated = false;  // zgs1_…, else a passphrase
  size_t length = 0;
};
// Errc::config for an empty text, a damaged zgs1_, or a passphrase under 16 characters.
// One trailing newline is ignored.
Result<SecretInfo> inspect_secret(std::string_view text);
// The root of a secret's text. Slow (0.1 s and more) for a passphrase.
Result<Root> derive_root(std::string_view text);
// The same, with a passphrase's root cached in `cache_dir` (a file of mode 0600 that is found by
// a keyed hash of the passphrase; an unreadable or open-to-others file is not used).
Result<Root> derive_root_cached(std::string_view text, const std::string& cache_dir);

// Z85 as CURVE wants them: 40 characters.
struct CurveKeys {
  std::string public_key, secret_key;
};
CurveKeys curve_keys(const Root& root, Role role);  // broker, worker, client
std::string grid_id(const Root& root);              // 16 hex digits, public
Key32 beacon_key(const Root& root);
std::string http_token(const Root& root);           // for the gateway, URL-safe

// Reads a secret file as docs/protocol.md says: Errc::config, naming the file and the fix, when
// it is missing, unreadable, or (outside /run/secrets and $CREDENTIALS_DIRECTORY, which is passed
// in) readable by group or others.
Result<std::string> read_secret_file(const std::string& path,
                                     const std::string& credentials_directory);

}  // namespace zgrid::protocol
