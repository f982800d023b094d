// What a decoder may ask for: lengths that a peer only claims cost nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "protocol/codec.h"

namespace {
// Allocated by this thread since it was set to 0; never counted down.
thread_local size_t allocated = 0;

void* counted(size_t size) {
  allocated += size;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
}  // namespace

// Never inlined: g++ would compare one half of a pair with the other's library twin and warn.
#define ZGRID_NOINLINE __attribute__((noinline))
ZGRID_NOINLINE void* operator new(size_t size) { return counted(size); }
ZGRID_NOINLINE void* operator new[](size_t size) { return counted(size); }
ZGRID_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
ZGRID_NOINLINE void operator delete[](void* memory) noexcept { std::free(memory); }
ZGRID_NOINLINE void operator delete(void* memory, size_t) noexcept { std::free(memory); }
ZGRID_NOINLINE void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

namespace zgrid::protocol {
namespace {

using std::string_literals::operator""s;

size_t cost_of_decoding(const Frames& frames) {
  allocated = 0;
  { const auto decoded = decode(frames); }
  return allocated;
}

TEST(DecoderMemory, IsNotSpentOnLengthsThatAreOnlyClaimed) {
  for (const std::string& kind :
       {"\x01"s, "\x02"s, "\x05"s, "\x06"s, "\x0a"s, "\x0c"s, "\x0e"s, "\x1e"s, "\x1f"s, "\x25"s}) {
    for (const std::string& length :
         {"\xdd\xff\xff\xff\xff"s, "\xdf\xff\xff\xff\xff"s, "\xdb\xff\xff\xff\xff"s,
          "\xc6\xff\xff\xff\xff"s, "\xdd\x04\0\0\0"s, "\xdc\xff\xff"s, "\xc9\xff\xff\xff\xff"s}) {
      for (const std::string& before : {""s, "\x81\x01"s, "\x81\x02"s, "\x81\x03"s, "\x81\x05"s,
                                        "\x81\x08"s, "\x81\x0d"s, "\x81\x50"s}) {
        const Frames frames{Bytes::own("\x93\x01"s + kind + before + length)};
        EXPECT_FALSE(decode(frames));
        EXPECT_LT(cost_of_decoding(frames), 8192u);
      }
    }
  }
}

TEST(DecoderMemory, IsNotSpentOnNesting) {
  for (const char lead : {'\x91', '\x81'}) {
    // In a field that we do not know: passed over without a stack.
    const Frames frames{Bytes::own("\x93\x01\x05\x81\x50"s + std::string(10'000'000, lead))};
    EXPECT_FALSE(decode(frames));
    EXPECT_LT(cost_of_decoding(frames), 8192u);
  }
}

TEST(DecoderMemory, IsBoundedByTheBytesThatCame) {
  // The densest message: one byte makes an attempt in hand.
  std::string body = "\x93\x01\x05\x81\x05\xdd\0\x01\0\0"s + std::string(65'536, '\x80');
  const Frames frames{Bytes::own(std::move(body))};
  ASSERT_TRUE(decode(frames));
  EXPECT_LT(cost_of_decoding(frames), frames[0].size() * 300);
}

TEST(DecoderMemory, IsNotSpentOnPayloadsThatAreShared) {
  std::string body = "\x93\x01\x1f\x81\x03\xdc\x10\0"s;
  for (int i = 0; i < 4096; ++i) body += "\x81\x03\x93\x00\x01\x10"s;
  Frames frames{Bytes::own(std::move(body))};
  frames.resize(17, Bytes::own(std::string(1u << 20, 'x')));
  EXPECT_FALSE(decode(frames));
  EXPECT_LT(cost_of_decoding(frames), 64u << 20);
}

}  // namespace
}  // namespace zgrid::protocol
