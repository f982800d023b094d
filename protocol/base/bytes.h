// A read-only run of bytes that shares its memory: copying costs a counter, slicing costs nothing.
// Threads: distinct Bytes may be used from distinct threads, also when they share memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace zgrid {

class Bytes {
 public:
  Bytes() = default;

  // Copies. An empty text needs no memory.
  static Bytes copy_of(std::string_view text);
  // Takes over a string without copying its characters.
  static Bytes own(std::string text);
  // Shares memory that `owner` keeps alive; `data` must lie inside it.
  static Bytes share(std::shared_ptr<const void> owner, std::string_view data) {
    return Bytes(std::move(owner), data);
  }

  [[nodiscard]] const char* data() const { return data_.data(); }
  [[nodiscard]] size_t size() const { return data_.size(); }
  [[nodiscard]] bool empty() const { return data_.empty(); }
  [[nodiscard]] std::string_view view() const { return data_; }
  [[nodiscard]] std::string str() const { return std::string(data_); }

  // offset + size must lie inside.
  [[nodiscard]] Bytes slice(size_t offset, size_t size) const;
  // The same bytes in memory of their own, so that a small slice does not keep a large frame.
  [[nodiscard]] Bytes detach() const { return copy_of(data_); }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.data_ == b.data_; }

 private:
  Bytes(std::shared_ptr<const void> owner, std::string_view data)
      : owner_(std::move(owner)), data_(data) {}

  std::shared_ptr<const void> owner_;
  std::string_view data_;
};

}  // namespace zgrid
