// A message as one run of bytes: each frame but the last has two bytes of length (big-endian)
// before it, and the first byte says how many frames follow. Frames past 64 KiB cannot be written.
#pragma once

#include <string>
#include <string_view>

#include "protocol/codec.h"

namespace zgrid::fuzz {

inline protocol::Frames split(std::string_view bytes) {
  protocol::Frames frames;
  if (bytes.empty()) return frames;
  size_t left = static_cast<uint8_t>(bytes[0]) % 20;
  bytes.remove_prefix(1);
  for (; left > 1 && bytes.size() >= 2; --left) {
    const size_t size = std::min<size_t>(
        static_cast<size_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1])),
        bytes.size() - 2);
    frames.push_back(Bytes::copy_of(bytes.substr(2, size)));
    bytes.remove_prefix(2 + size);
  }
  frames.push_back(Bytes::copy_of(bytes));
  return frames;
}

inline std::string join(const protocol::Frames& frames) {
  std::string bytes(1, static_cast<char>(frames.size()));
  for (size_t i = 0; i < frames.size(); ++i) {
    if (i + 1 < frames.size()) {
      bytes += static_cast<char>(frames[i].size() >> 8);
      bytes += static_cast<char>(frames[i].size() & 0xff);
    }
    bytes += frames[i].view();
  }
  return bytes;
}

}  // namespace zgrid::fuzz
