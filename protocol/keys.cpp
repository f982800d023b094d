#include "protocol/keys.h"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "protocol/base/check.h"
#include "protocol/secret_file.h"

namespace zgrid::protocol {
namespace {

constexpr std::string_view kSecretPrefix = "zgs1_";
constexpr std::string_view kCredentialPrefix = "zgm1_";
constexpr size_t kSecretDigits = 52;  // of five bits: 256 and the check of four
constexpr size_t kPassphraseCharsMin = 16;
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kZ85 =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

// All below are part of the protocol: another value makes another grid.
constexpr unsigned long long kArgonPasses = 3;
constexpr size_t kArgonBytes = 64u << 20;
constexpr char kArgonSalt[crypto_pwhash_SALTBYTES + 1] = "zgrid/1 passphra";
constexpr char kSecretPersonal[crypto_generichash_blake2b_PERSONALBYTES + 1] = "zgrid/1 secret\0\0";
constexpr char kCheckPersonal[crypto_generichash_blake2b_PERSONALBYTES + 1] = "zgrid/1 check\0\0\0";
constexpr char kSubkeyContext[crypto_kdf_CONTEXTBYTES + 1] = "zgrid/1\0";
enum class Subkey : uint64_t {
  curve_broker = 1,
  curve_worker = 2,
  curve_client = 3,
  grid_id = 4,
  beacon = 5,
  http_token = 6,
};

void require_sodium() { ZGRID_CHECK(sodium_init() >= 0); }  // may be repeated, from any thread

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// BLAKE2b of a purpose's own.
Key32 hash_for(const char* personal, std::span<const uint8_t> data) {
  Key32 hash;
  ZGRID_CHECK(crypto_generichash_blake2b_salt_personal(
                  hash.data(), hash.size(), data.data(), data.size(), nullptr, 0, nullptr,
                  reinterpret_cast<const unsigned char*>(personal)) == 0);
  return hash;
}

uint8_t check_of(const Key32& secret) { return hash_for(kCheckPersonal, secret)[0] & 0x0f; }

std::string encode_secret(const Key32& secret) {
  std::string text(kSecretPrefix);
  uint32_t bits = 0;
  int held = 0;
  const auto put = [&](uint32_t value, int count) {
    bits = (bits << count) | value;
    for (held += count; held >= 5; held -= 5) text += kBase32[(bits >> (held - 5)) & 0x1f];
  };
  for (const uint8_t byte : secret) put(byte, 8);
  put(check_of(secret), 4);
  return text;
}

// Of the 52 digits. Nothing if one is no digit or the check fails.
std::optional<Key32> decode_secret(std::string_view digits) {
  if (digits.size() != kSecretDigits) return std::nullopt;
  Key32 secret{};
  uint32_t bits = 0;
  int held = 0;
  size_t size = 0;
  for (const char digit : digits) {
    const size_t value = kBase32.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 5) | static_cast<uint32_t>(value);
    held += 5;
    if (held >= 8 && size < secret.size()) {
      held -= 8;
      secret[size++] = static_cast<uint8_t>(bits >> held);
    }
  }
  if ((bits & 0x0f) != check_of(secret)) return std::nullopt;
  return secret;
}

std::string_view without_newline(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

size_t count_characters(std::string_view utf8) {
  return static_cast<size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

Result<Root> root_of_passphrase(std::string_view passphrase) {
  Key32 root;
  if (crypto_pwhash(root.data(), root.size(), passphrase.data(), passphrase.size(),
                    reinterpret_cast<const unsigned char*>(kArgonSalt), kArgonPasses, kArgonBytes,
                    crypto_pwhash_ALG_ARGON2ID13) != 0) {
    return fail(Errc::io, "cannot derive keys from the passphrase: it takes 64 MiB of memory",
                "free memory, or use a generated secret (`zgrid secret new`)");
  }
  Root result(root);
  sodium_memzero(root.data(), root.size());
  return result;
}

Key32 subkey(const Root& root, Subkey which) {
  require_sodium();
  Key32 key;
  ZGRID_CHECK(crypto_kdf_derive_from_key(key.data(), key.size(), static_cast<uint64_t>(which),
                                         kSubkeyContext, root.bytes().data()) == 0);
  return key;
}

std::string z85(std::span<const uint8_t> bytes) {
  ZGRID_CHECK(bytes.size() % 4 == 0);
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 4) {
    uint32_t value = 0;
    for (size_t j = 0; j < 4; ++j) value = (value << 8) | bytes[i + j];
    for (uint32_t divisor = 85u * 85 * 85 * 85; divisor > 0; divisor /= 85) {
      text += kZ85[value / divisor % 85];
    }
  }
  return text;
}

// The cache of passphrases' roots: a magic, then entries, the newest first.
constexpr std::string_view kCacheMagic = "ZGROOTS1";
constexpr size_t kCacheEntriesMax = 8;
struct CacheEntry {
  std::array<uint8_t, 16> salt;  // random
  Key32 verifier;                // BLAKE2b of root and passphrase, keyed with the salt
  Key32 root;
};
static_assert(sizeof(CacheEntry) == 80);

Key32 verifier_of(const CacheEntry& entry, std::string_view passphrase) {
  Key32 hash;
  crypto_generichash_state state;
  crypto_generichash_init(&state, entry.salt.data(), entry.salt.size(), hash.size());
  crypto_generichash_update(&state, entry.root.data(), entry.root.size());
  crypto_generichash_update(&state, raw(passphrase), passphrase.size());
  crypto_generichash_final(&state, hash.data(), hash.size());
  return hash;
}

std::vector<CacheEntry> read_cache(const std::string& path) {
  constexpr size_t kBytesMax = kCacheMagic.size() + kCacheEntriesMax * sizeof(CacheEntry);
  auto text = read_private_file(path, kBytesMax);
  if (!text || !text->starts_with(kCacheMagic)) return {};
  std::vector<CacheEntry> entries((text->size() - kCacheMagic.size()) / sizeof(CacheEntry));
  if (!entries.empty()) {
    std::memcpy(entries.data(), text->data() + kCacheMagic.size(),
                entries.size() * sizeof(CacheEntry));
  }
  sodium_memzero(text->data(), text->size());
  return entries;
}

void write_cache(const std::string& path, std::span<const CacheEntry> entries) {
  std::string text(kCacheMagic);
  text.append(reinterpret_cast<const char*>(entries.data()), entries.size_bytes());
  // A cache that cannot be written costs 0.2 s at the next start, nothing else.
  (void)write_private_file(path, text);
  sodium_memzero(text.data(), text.size());
}

}  // namespace

Root::~Root() { sodium_memzero(bytes_.data(), bytes_.size()); }

std::string new_secret() {
  require_sodium();
  Key32 secret;
  randombytes_buf(secret.data(), secret.size());
  std::string text = encode_secret(secret);
  sodium_memzero(secret.data(), secret.size());
  return text;
}

Result<SecretInfo> inspect_secret(std::string_view text) {
  require_sodium();
  text = without_newline(text);
  if (text.empty()) {
    return fail(Errc::config, "the secret is empty", "make one with `zgrid secret new`");
  }
  if (text.starts_with(kCredentialPrefix)) {
    return fail(Errc::config, "this is a member's credential (zgm1_…), not the grid secret",
                "use the secret that the broker uses");
  }
  if (text.starts_with(kSecretPrefix)) {
    if (!decode_secret(text.substr(kSecretPrefix.size()))) {
      return fail(Errc::config, "the secret is damaged: zgs1_ and 52 letters and digits that fit",
                  "copy it again, as a whole");
    }
    return SecretInfo{true, text.size()};
  }
  const size_t length = count_characters(text);
  if (length < kPassphraseCharsMin) {
    return fail(Errc::config,
                "the passphrase has " + std::to_string(length) + " characters, less than 16",
                "use a longer one, or better `zgrid secret new`");
  }
  if (text.size() > kSecretBytesMax) {
    return fail(Errc::config, "the passphrase is longer than 4096 bytes", "use a shorter one");
  }
  return SecretInfo{false, length};
}

Result<Root> derive_root(std::string_view text) {
  const auto info = inspect_secret(text);
  if (!info) return fail(info.error());
  text = without_newline(text);
  if (!info->generated) return root_of_passphrase(text);
  auto secret = *decode_secret(text.substr(kSecretPrefix.size()));
  Root root(hash_for(kSecretPersonal, secret));
  sodium_memzero(secret.data(), secret.size());
  return root;
}

Result<Root> derive_root_cached(std::string_view text, const std::string& cache_dir) {
  const auto info = inspect_secret(text);
  if (!info) return fail(info.error());
  if (info->generated || cache_dir.empty()) return derive_root(text);
  const std::string_view passphrase = without_newline(text);
  const std::string path = cache_dir + "/roots";
  auto entries = read_cache(path);
  for (const auto& entry : entries) {
    const Key32 verifier = verifier_of(entry, passphrase);
    if (sodium_memcmp(verifier.data(), entry.verifier.data(), verifier.size()) == 0) {
      return Root(entry.root);
    }
  }
  auto root = root_of_passphrase(passphrase);
  if (!root) return root;
  CacheEntry entry;
  randombytes_buf(entry.salt.data(), entry.salt.size());
  entry.root = root->bytes();
  entry.verifier = verifier_of(entry, passphrase);
  entries.insert(entries.begin(), entry);
  if (entries.size() > kCacheEntriesMax) entries.resize(kCacheEntriesMax);
  write_cache(path, entries);
  sodium_memzero(entries.data(), entries.size() * sizeof(CacheEntry));
  return root;
}

CurveKeys curve_keys(const Root& root, Role role) {
  ZGRID_CHECK(role == Role::broker || role == Role::worker || role == Role::client);
  const Subkey which = role == Role::broker   ? Subkey::curve_broker
                       : role == Role::worker ? Subkey::curve_worker
                                              : Subkey::curve_client;
  Key32 seed = subkey(root, which);
  Key32 public_key, secret_key;
  ZGRID_CHECK(crypto_box_seed_keypair(public_key.data(), secret_key.data(), seed.data()) == 0);
  CurveKeys keys{z85(public_key), z85(secret_key)};
  sodium_memzero(seed.data(), seed.size());
  sodium_memzero(secret_key.data(), secret_key.size());
  return keys;
}

std::string grid_id(const Root& root) {
  const Key32 key = subkey(root, Subkey::grid_id);
  char text[17];
  sodium_bin2hex(text, sizeof text, key.data(), 8);
  return text;
}

Key32 beacon_key(const Root& root) { return subkey(root, Subkey::beacon); }

std::string http_token(const Root& root) {
  const Key32 key = subkey(root, Subkey::http_token);
  char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
  sodium_bin2base64(text, sizeof text, key.data(), key.size(),
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return text;
}

}  // namespace zgrid::protocol
