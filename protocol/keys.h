// From the grid secret to everything that is derived from it.
//
//   secret zgs1_… (256 bits)      ─ BLAKE2b ─┐
//   passphrase ─ Argon2id 64 MiB, 3 passes ──┴▶ root ─ crypto_kdf ─▶ a subkey per purpose
//
// Every holder of the secret derives every key: the roles between holders are labels. Nothing that
// is sent or advertised lets anyone guess a secret faster than Argon2id allows.
// Threads: pure functions, but for those that name a file; all may be called from any thread.
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
  size_t length = 0;       // in characters
};
// Errc::config for an empty text, a damaged zgs1_, a zgm1_ (a member's credential), or a passphrase
// under 16 characters. One trailing newline is ignored. Of 16 damaged zgs1_ one is not noticed.
Result<SecretInfo> inspect_secret(std::string_view text);
// The root of a secret's text. Slow (0.1 s and more) for a passphrase.
Result<Root> derive_root(std::string_view text);
// The same, with the roots of the last eight passphrases cached in `cache_dir`/roots. The file is
// ours and of mode 0600, or it is not used. Who can read it has the root and with it the grid;
// beyond that it lets him guess the passphrase itself fast, since an entry is found by a salted
// BLAKE2b of it. Do not use the passphrase elsewhere, or use a generated secret: those are not
// cached, being quick anyway. A cache that cannot be read or written is no error.
Result<Root> derive_root_cached(std::string_view text, const std::string& cache_dir);

// Z85 as CURVE wants them: 40 characters.
struct CurveKeys {
  std::string public_key, secret_key;
};
CurveKeys curve_keys(const Root& root, Role role);  // broker, worker, client
std::string grid_id(const Root& root);              // 16 hex digits, public
Key32 beacon_key(const Root& root);
std::string http_token(const Root& root);  // for the gateway, URL-safe

// Reads a secret file as docs/protocol.md says: Errc::config, naming the file and the fix, when
// it is missing, unreadable, or (outside /run/secrets and $CREDENTIALS_DIRECTORY, which is passed
// in) readable by group or others.
Result<std::string> read_secret_file(const std::string& path,
                                     const std::string& credentials_directory);

}  // namespace zgrid::protocol
