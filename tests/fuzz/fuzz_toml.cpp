// Configuration and workflow files: an error has a message, and nothing crashes.
#include "conf/toml.h"
#include "protocol/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      zgrid::conf::parse_toml({reinterpret_cast<const char*>(data), size}, "fuzzed.toml");
  if (!parsed) ZGRID_CHECK(!parsed.error().message.empty());
  return 0;
}
