#include "protocol/base/bytes.h"

#include <cstring>

#include "protocol/base/check.h"

namespace zgrid {

Bytes Bytes::copy_of(std::string_view text) {
  if (text.empty()) return {};
  // One allocation for the counter and the characters.
  auto memory = std::make_shared_for_overwrite<char[]>(text.size());
  std::memcpy(memory.get(), text.data(), text.size());
  const std::string_view view(memory.get(), text.size());
  return {std::shared_ptr<const void>(std::move(memory)), view};
}

Bytes Bytes::own(std::string text) {
  if (text.empty()) return {};
  auto memory = std::make_shared<const std::string>(std::move(text));
  const std::string_view view = *memory;
  return {std::shared_ptr<const void>(std::move(memory)), view};
}

Bytes Bytes::slice(size_t offset, size_t size) const {
  ZGRID_CHECK(offset <= data_.size() && size <= data_.size() - offset);
  if (size == 0) return {};
  return {owner_, data_.substr(offset, size)};
}

}  // namespace zgrid
