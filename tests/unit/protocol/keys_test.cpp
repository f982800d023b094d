#include "protocol/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

namespace zgrid::protocol {
namespace {

// The 32 bytes 0, 1, … 31. What follows from it was computed by another program, written from
// the definitions of BLAKE2b, X25519, base32 and Z85.
constexpr std::string_view kSecret = "zgs1_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
constexpr std::string_view kPassphrase = "correct horse battery staple";

std::string hex(const Key32& key) {
  std::string text;
  for (const unsigned byte : key) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", byte);
    text += digits;
  }
  return text;
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/zgrid-keys-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string write(const std::string& name, std::string_view text, mode_t mode) {
    std::ofstream(path(name)) << text;
    chmod(path(name).c_str(), mode);
    return path(name);
  }

 private:
  std::string path_;
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Keys, AllThatFollowsFromASecretIsPinned) {
  const auto root = derive_root(kSecret);
  ASSERT_TRUE(root);
  EXPECT_EQ(hex(root->bytes()), "2c92f8bd66ff615052f6e4acc9b8374e8b86a8869910e3f8c77d2b6a516be107");
  const auto broker = curve_keys(*root, Role::broker);
  EXPECT_EQ(broker.public_key, "qGX5&-@RTI0?W-6y>KY9v-L#:>z)y37}mQIC57t#");
  EXPECT_EQ(broker.secret_key, "gD1@ARwAbTtxV$NWLPQRKNb{6*7Yfp{4(@&Vt:3H");
  const auto worker = curve_keys(*root, Role::worker);
  EXPECT_EQ(worker.public_key, "J8TO9pd<7W{5(i7/n-$>&=eYlVrR:P?HqgoraJ*[");
  EXPECT_EQ(worker.secret_key, "?jP6PK:F/!V+)axIDG8l2Q+GR8k>:&{/&qRBLMVY");
  const auto client = curve_keys(*root, Role::client);
  EXPECT_EQ(client.public_key, "arO^/7>NbN<T<w7YoBx4@0-*UXSCPfDBk]<C<#HT");
  EXPECT_EQ(client.secret_key, "7r^E-Dx/6Q!uesQrUq1okXhc.cO]BIa/*UAwcfWA");
  EXPECT_EQ(grid_id(*root), "c590611a8bb13701");
  EXPECT_EQ(hex(beacon_key(*root)),
            "683da9c19925f07f089868037d83f96bf62537c4dd2b6c6cffe9770677bc3671");
  EXPECT_EQ(http_token(*root), "Zm73mJKZxBfPWpmzyTEuKlWuYXhzWt2LV1z45LLvyXo");
}

TEST(Keys, TheRootOfAPassphraseIsPinned) {
  const auto root = derive_root(kPassphrase);
  ASSERT_TRUE(root);
  EXPECT_EQ(hex(root->bytes()), "79243555c3787135cc3d03ea696325130a56e7b59dc5730f8037e953ec17922f");
  EXPECT_EQ(grid_id(*root), "14f98a024c9ffe81");
}

TEST(Keys, ATrailingNewlineMakesNoDifference) {
  const std::string text(kSecret);
  const auto root = derive_root(text);
  ASSERT_TRUE(root);
  for (const char* newline : {"\n", "\r\n"}) {
    const auto same = derive_root(text + newline);
    ASSERT_TRUE(same);
    EXPECT_EQ(same->bytes(), root->bytes());
  }
  EXPECT_FALSE(derive_root(text + "\n\n"));
}

TEST(Keys, NewSecretsAreGoodAndDifferent) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string secret = new_secret();
    EXPECT_EQ(secret.size(), 57u);
    const auto info = inspect_secret(secret);
    ASSERT_TRUE(info) << secret;
    EXPECT_TRUE(info->generated);
    EXPECT_TRUE(seen.insert(secret).second);
  }
}

TEST(Keys, AMistypedSecretIsNearlyAlwaysNoticed) {
  const std::string good(kSecret);
  int tried = 0, noticed = 0;
  for (size_t i = 5; i < good.size(); ++i) {
    for (const char digit : std::string_view("abcdefghijklmnopqrstuvwxyz234567")) {
      std::string typed = good;
      if (typed[i] == digit) continue;
      typed[i] = digit;
      ++tried;
      noticed += inspect_secret(typed) ? 0 : 1;
    }
  }
  EXPECT_GT(noticed, tried * 9 / 10);
}

TEST(Keys, WhatIsNoSecretIsAnErrorOfConfiguration) {
  const std::string good(kSecret);
  for (const std::string& wrong :
       {std::string(), std::string("\n"), std::string("zgs1_"), good.substr(0, 56), good + "a",
        "zgs1_0" + good.substr(6), std::string("zgm1_") + good.substr(5),
        std::string("fifteen letters"), std::string("üüüüüüüü"), std::string(5000, 'x')}) {
    const auto info = inspect_secret(wrong);
    ASSERT_FALSE(info) << wrong;
    EXPECT_EQ(info.error().code, Errc::config);
    EXPECT_FALSE(info.error().hint.empty());
    EXPECT_FALSE(derive_root(wrong));
    EXPECT_FALSE(derive_root_cached(wrong, "/nowhere"));
    if (!wrong.empty() && wrong != "\n" && wrong != "zgs1_") {
      EXPECT_EQ(info.error().message.find(wrong), std::string::npos);
    }
  }
  EXPECT_EQ(inspect_secret("sixteen letters.\n")->length, 16u);
  EXPECT_FALSE(inspect_secret("sixteen letters.\n")->generated);
}

TEST(Keys, APassphrasesRootIsFoundInTheCache) {
  Folder folder;
  const std::string cache = folder.path("home/.cache/zgrid");  // none of these folders is there
  const auto first = derive_root_cached(kPassphrase, cache);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->bytes(), derive_root(kPassphrase)->bytes());
  struct stat info {};
  ASSERT_EQ(stat((cache + "/roots").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  const std::string stored = read(cache + "/roots");
  EXPECT_EQ(stored.find(kPassphrase), std::string::npos);

  // A hit leaves the file as it is; a miss would put another entry in front.
  EXPECT_EQ(derive_root_cached(std::string(kPassphrase) + "\n", cache)->bytes(), first->bytes());
  EXPECT_EQ(read(cache + "/roots"), stored);
  const auto other = derive_root_cached("another long passphrase", cache);
  ASSERT_TRUE(other);
  EXPECT_NE(other->bytes(), first->bytes());
  EXPECT_EQ(derive_root_cached(kPassphrase, cache)->bytes(), first->bytes());
  EXPECT_TRUE(read(cache + "/roots").ends_with(stored.substr(8)));
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(cache)) ++files;
  EXPECT_EQ(files, 1u);
}

TEST(Keys, ADamagedOrOpenCacheIsNotUsed) {
  Folder folder;
  const std::string cache = folder.path("cache"), file = cache + "/roots";
  const auto root = derive_root_cached(kPassphrase, cache);
  ASSERT_TRUE(root);
  std::string stored = read(file);
  stored[stored.size() - 1] ^= 1;  // in the root
  std::ofstream(file, std::ios::binary) << stored;
  EXPECT_EQ(derive_root_cached(kPassphrase, cache)->bytes(), root->bytes());
  EXPECT_NE(read(file), stored);

  stored = read(file);
  chmod(file.c_str(), 0640);
  EXPECT_EQ(derive_root_cached(kPassphrase, cache)->bytes(), root->bytes());
  EXPECT_NE(read(file), stored);
  struct stat info {};
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);

  std::ofstream(file, std::ios::binary) << "ZGROOTS1 cut off";
  EXPECT_EQ(derive_root_cached(kPassphrase, cache)->bytes(), root->bytes());
}

TEST(Keys, AGeneratedSecretIsNotCachedAndAnImpossibleCacheIsNoError) {
  Folder folder;
  ASSERT_TRUE(derive_root_cached(kSecret, folder.path("cache")));
  EXPECT_FALSE(std::filesystem::exists(folder.path("cache")));
  EXPECT_TRUE(derive_root_cached(kPassphrase, "/proc/none/of/this"));
}

TEST(SecretFile, IsReadIfOnlyItsOwnerMay) {
  Folder folder;
  const auto good = read_secret_file(folder.write("good", "the secret\n", 0600), "");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(*good, "the secret\n");
  EXPECT_TRUE(read_secret_file(folder.write("read-only", "x", 0400), ""));
  for (const mode_t mode : {0640u, 0604u, 0620u, 0601u, 0644u}) {
    const std::string path = folder.write("open", "x", mode);
    const auto open = read_secret_file(path, "");
    ASSERT_FALSE(open);
    EXPECT_EQ(open.error().code, Errc::config);
    EXPECT_EQ(open.error().hint, "chmod 600 " + path);
    EXPECT_NE(open.error().message.find(path), std::string::npos);
  }
}

TEST(SecretFile, IsNotJudgedWhereSecretsAreMounted) {
  Folder folder;
  const std::string path = folder.write("secret", "x", 0644);
  EXPECT_TRUE(read_secret_file(path, folder.path("")));
  EXPECT_FALSE(read_secret_file(path, folder.path("sec")));
  EXPECT_FALSE(read_secret_file(path, "/run"));
}

TEST(SecretFile, IsNamedWhenItCannotBeRead) {
  Folder folder;
  for (const std::string& path : {folder.path("missing"), folder.path(""),
                                  folder.write("large", std::string(5000, 'x'), 0600)}) {
    const auto failed = read_secret_file(path, "");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::config);
    EXPECT_NE(failed.error().message.find(path), std::string::npos);
    EXPECT_FALSE(failed.error().hint.empty());
  }
}

}  // namespace
}  // namespace zgrid::protocol
