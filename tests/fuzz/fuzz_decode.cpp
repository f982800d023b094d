// Frames from a peer: decode answers, and what decodes can be sent again and is then the same.
#include "protocol/base/check.h"
#include "tests/fuzz/frames_of.h"
#include "tests/unit/protocol/codec_samples.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace zgrid;
  using namespace zgrid::protocol;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto decoded = decode(fuzz::split(bytes));
  if (decoded) {
    const Frames frames = encode(*decoded);
    const auto again = decode(frames);
    ZGRID_CHECK(again.has_value());
    ZGRID_CHECK(samples::dump(*again) == samples::dump(*decoded));
    ZGRID_CHECK(encode(*again) == frames);
  } else {
    ZGRID_CHECK(!decoded.error().message.empty());
  }
  const Bytes raw = Bytes::copy_of(bytes);
  if (const auto outcome = decode_outcome(raw)) {
    ZGRID_CHECK(decode_outcome(encode_outcome(*outcome)).value() == *outcome);
  }
  if (const auto facts = decode_facts(raw)) {
    ZGRID_CHECK(decode_facts(encode_facts(*facts)).value() == *facts);
  }
  if (const auto spec = decode_spec(raw)) {
    ZGRID_CHECK(decode_spec(make_spec((*spec)->job)->raw).value()->job == (*spec)->job);
  }
  return 0;
}
