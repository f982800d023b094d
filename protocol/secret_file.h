// Small files that only their owner may read.
// Threads: free functions without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace zgrid::protocol {

// A passphrase may be a paragraph; whoever names a larger file has named the wrong one.
inline constexpr size_t kSecretBytesMax = 4096;

// The content of a regular file of ours that nobody else may read. Nothing if it is not that, is
// a symbolic link, or is larger than `bytes_max`.
std::optional<std::string> read_private_file(const std::string& path, size_t bytes_max);
// Replaces the file as a whole, mode 0600; folders that are not there are made, mode 0700. False if
// it could not be written.
bool write_private_file(const std::string& path, std::string_view content);

}  // namespace zgrid::protocol
