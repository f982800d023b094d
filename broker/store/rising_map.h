// Numbers that rise to values: those given one after another lie side by side, and the memory of
// old ones is given back as they go.
//
// An entry takes no more than its value as long as the numbers in use are dense; one that outlives
// its neighbours keeps the place of 256.
// Threads: one at a time, also those that only read.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>

namespace zgrid::broker {

// `Value{}` is none: is_empty() says so.
template <class Value>
class RisingMap {
 public:
  // Null if there is none. Stays where it is until it is erased.
  [[nodiscard]] Value* find(uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) return nullptr;
    Value& value = chunk->values[number % kChunk];
    return value.is_empty() ? nullptr : &value;
  }
  [[nodiscard]] const Value* find(uint64_t number) const {
    const Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) return nullptr;
    const Value& value = chunk->values[number % kChunk];
    return value.is_empty() ? nullptr : &value;
  }
  // Inserts or overwrites; the value must not be empty. Numbers begin with 1.
  Value& set(uint64_t number, const Value& value) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) {
      auto& made = chunks_[number / kChunk];
      made = std::make_unique<Chunk>();
      chunk = made.get();
      last_ = number / kChunk;
      last_chunk_ = chunk;
    }
    Value& place = chunk->values[number % kChunk];
    if (place.is_empty()) ++chunk->used, ++size_;
    place = value;
    return place;
  }
  void erase(uint64_t number) {
    Value* value = find(number);
    if (value == nullptr) return;
    *value = Value{};
    --size_;
    if (--last_chunk_->used > 0) return;
    chunks_.erase(last_);
    last_ = kNone;
  }
  void clear() {
    chunks_.clear();
    last_ = kNone;
    size_ = 0;
  }
  [[nodiscard]] size_t size() const { return size_; }

  // In rising, or falling, order until `visit(number, value)` says false.
  template <class Visit>
  void rising(Visit&& visit) const {
    for (const auto& [index, chunk] : chunks_) {
      for (size_t i = 0; i < kChunk; ++i) {
        const Value& value = chunk->values[i];
        if (!value.is_empty() && !visit(index * kChunk + i, value)) return;
      }
    }
  }
  template <class Visit>
  void falling(Visit&& visit) const {
    for (auto it = chunks_.rbegin(); it != chunks_.rend(); ++it) {
      for (size_t i = kChunk; i-- > 0;) {
        const Value& value = it->second->values[i];
        if (!value.is_empty() && !visit(it->first * kChunk + i, value)) return;
      }
    }
  }

 private:
  static constexpr uint64_t kChunk = 256;
  static constexpr uint64_t kNone = UINT64_MAX;
  struct Chunk {
    std::array<Value, kChunk> values{};
    size_t used = 0;
  };

  // Mostly the one that was asked for last. Null if there is none.
  Chunk* chunk_of(uint64_t number) const {
    if (number / kChunk == last_) return last_chunk_;
    const auto found = chunks_.find(number / kChunk);
    if (found == chunks_.end()) return nullptr;
    last_ = number / kChunk;
    last_chunk_ = found->second.get();
    return last_chunk_;
  }

  std::map<uint64_t, std::unique_ptr<Chunk>> chunks_;
  mutable uint64_t last_ = kNone;
  mutable Chunk* last_chunk_ = nullptr;  // valid unless last_ is kNone
  size_t size_ = 0;
};

}  // namespace zgrid::broker
