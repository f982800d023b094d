// JSON from users, programs and models: what parses can be written, and parses again to the same.
#include "protocol/base/check.h"
#include "protocol/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using zgrid::Json;
  const auto parsed = Json::parse({reinterpret_cast<const char*>(data), size});
  if (!parsed) {
    ZGRID_CHECK(!parsed.error().message.empty());
    return 0;
  }
  const std::string text = parsed->dump();
  const auto again = Json::parse(text);
  ZGRID_CHECK(again.has_value());
  ZGRID_CHECK(again->dump() == text);
  const auto pretty = Json::parse(parsed->pretty());
  ZGRID_CHECK(pretty.has_value());
  ZGRID_CHECK(pretty->dump() == text);
  return 0;
}
