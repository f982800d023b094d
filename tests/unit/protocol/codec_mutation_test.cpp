// Mutated messages: whatever happens to a message's bytes, decode answers. Under the sanitizers of
// CI this proves that it reads nothing it should not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "protocol/codec.h"
#include "tests/unit/protocol/codec_samples.h"

namespace zgrid::protocol {
namespace {

class Mutator {
 public:
  explicit Mutator(uint32_t seed) : random_(seed) {}

  size_t below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  std::string tape() {
    std::string bytes(below(600), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  void mutate(std::string& bytes, const std::string& other) {
    const size_t times = below(3) == 0 ? 1 + below(4) : 1;
    for (size_t i = 0; i < times; ++i) mutate_once(bytes, other);
  }

 private:
  void mutate_once(std::string& bytes, const std::string& other) {
    const size_t at = below(bytes.size());
    switch (below(7)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        return;
      case 1: bytes.resize(at); return;
      case 2: bytes.insert(at, other, below(other.size()), below(40)); return;
      case 3: bytes.insert(at, 1, static_cast<char>(random_())); return;
      case 4: bytes.erase(at, 1 + below(8)); return;
      case 5: bytes.replace(at, below(40), other, below(other.size()), below(40)); return;
      case 6: {
        // The first bytes of the types with the longest lengths.
        constexpr std::string_view kLong("\xdd\xdf\xdb\xc6\xdc\xde\xda\xc5\xcf\xd3\xcb\xc1", 12);
        std::string value(1, kLong[below(kLong.size())]);
        value += std::string(8, static_cast<char>(below(2) ? 0xff : 0));
        bytes.replace(at, 1 + below(4), value, 0, 1 + below(9));
        return;
      }
    }
  }

  std::mt19937 random_;
};

// Nothing decodes into what cannot be sent again.
void expect_stable(const Frames& frames) {
  const Result<Message> decoded = decode(frames);
  if (!decoded) {
    ASSERT_FALSE(decoded.error().message.empty());
    return;
  }
  const Frames again = encode(*decoded);
  const Result<Message> twice = decode(again);
  ASSERT_TRUE(twice) << twice.error().message;
  ASSERT_EQ(samples::dump(*twice), samples::dump(*decoded));
  ASSERT_EQ(encode(*twice), again);
}

// More, or others, with ZGRID_MUTATIONS=n and ZGRID_SEED=n.
uint32_t from_environment(const char* name, uint32_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

TEST(MutatedMessages, AreReadOrRefusedAndNeverCrash) {
  const uint32_t seed = from_environment("ZGRID_SEED", 1);
  const uint32_t count = from_environment("ZGRID_MUTATIONS", 200'000);
  Mutator mutator(seed);
  Frames frames = encode(samples::message_of(mutator.tape()));
  size_t accepted = 0;
  for (uint32_t i = 0; i < count; ++i) {
    SCOPED_TRACE("mutation " + std::to_string(i) + " of seed " + std::to_string(seed));
    const std::string other = frames[0].str();
    if (i % 4 == 0) frames = encode(samples::message_of(mutator.tape()));
    std::string header = frames[0].str();
    mutator.mutate(header, other);
    Frames mutated = frames;
    mutated[0] = Bytes::own(std::move(header));
    if (mutator.below(20) == 0) mutated.resize(1 + mutator.below(18), mutated.back());
    expect_stable(mutated);
    if (testing::Test::HasFatalFailure()) return;
    accepted += decode(mutated).has_value() ? 1 : 0;
  }
  RecordProperty("accepted", static_cast<int>(accepted));
  EXPECT_GT(accepted, count / 100) << "the mutations are too wild to test anything";
}

}  // namespace
}  // namespace zgrid::protocol
