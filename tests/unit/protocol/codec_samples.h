// Messages for tests, made through describe.h so that no field is forgotten: a Filler gives every
// field a value that a Choice picks, a Dumper writes every field as text, defaults included.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/codec.h"
#include "protocol/describe.h"

namespace zgrid::protocol::samples {

// Where a Filler's values come from.
class Choice {
 public:
  virtual ~Choice() = default;
  // From 0 to max.
  virtual uint64_t number(uint64_t max) = 0;
};

// Reads the choices from bytes; when they are used up every choice is 0, the default.
class Tape : public Choice {
 public:
  explicit Tape(std::string_view bytes) : rest_(bytes) {}
  uint64_t number(uint64_t max) override {
    uint64_t value = 0;
    for (uint64_t wide = max; wide > 0 && !rest_.empty(); wide >>= 8) {
      value = value << 8 | static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
    }
    return max == UINT64_MAX ? value : value % (max + 1);
  }

 private:
  std::string_view rest_;
};

// Never 0, always the same.
class Pattern : public Choice {
 public:
  uint64_t number(uint64_t max) override {
    if (max == 0) return 0;
    at_ = at_ * 6364136223846793005u + 1442695040888963407u;
    return 1 + (at_ >> 16) % max;
  }

 private:
  uint64_t at_ = 1;
};

class Filler {
 public:
  explicit Filler(Choice& choice) : choice_(choice) {}

  template <class T>
  void field(int, T& value) {
    if (choice_.number(3) != 0) fill(value);
  }
  template <class T>
  void field(int key, T& value, const T&) {
    field(key, value);
  }
  void text(int, std::string& value, size_t max, std::string_view = {}) {
    if (choice_.number(3) != 0) fill_text(value, std::min<size_t>(max, 40));
  }
  template <class T>
  void list(int, std::vector<T>& value, size_t max) {
    const size_t size = choice_.number(std::min<size_t>(max, 3));
    for (size_t i = 0; i < size; ++i) fill(value.emplace_back());
  }

 private:
  // Small numbers and large ones alike.
  uint64_t wide(uint64_t max) {
    const uint64_t value = choice_.number(max);
    return value >> choice_.number(63);
  }
  void fill_text(std::string& value, size_t max) {
    value.assign(choice_.number(max), ' ');
    for (char& c : value) c = static_cast<char>('a' + choice_.number(25));
  }
  template <class Int>
  requires std::is_unsigned_v<Int>
  void fill(Int& value) { value = static_cast<Int>(wide(std::numeric_limits<Int>::max())); }
  void fill(bool& value) { value = choice_.number(1) != 0; }
  void fill(int32_t& value) { value = static_cast<int32_t>(choice_.number(UINT32_MAX)); }
  void fill(double& value) { value = static_cast<double>(wide(UINT64_MAX)) / 1024 - 1000; }
  void fill(Millis& value) { value = Millis{wide(315'576'000'000'000)}; }
  void fill(Micros& value) { value = Micros{wide(315'576'000'000'000'000)}; }
  void fill(WallTime& value) {
    value.us = static_cast<int64_t>(wide(315'576'000'000'000'000)) * (choice_.number(7) ? 1 : -1);
  }
  void fill(std::string& value) { fill_text(value, 40); }
  template <class Tag>
  void fill(Id<Tag>& id) {
    for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(choice_.number(255));
  }
  template <class E>
  requires std::is_enum_v<E>
  void fill(E& value) {
    value = static_cast<E>(enum_min(E{}) + choice_.number(enum_max(E{}) - enum_min(E{})));
  }
  template <class T>
  void fill(std::optional<T>& value) {
    fill(value.emplace());
  }
  template <class T>
  void fill(Rare<T>& value) {
    fill(value.emplace());
  }
  void fill(std::pair<std::string, std::string>& value) {
    fill(value.first);
    fill(value.second);
  }
  void fill(SpecRef& spec) {
    JobSpec job;
    describe(*this, job);
    spec = make_spec(std::move(job));
  }
  void fill(WorkerFactsRef& facts) {
    WorkerFacts some;
    describe(*this, some);
    facts = std::make_shared<const WorkerFacts>(std::move(some));
  }
  void fill(Payload& payload) {
    fill(payload.tag);
    size_t size = choice_.number(40);
    const bool is_large = large_left_ > 0 && choice_.number(15) == 15;
    if (is_large) size += limits::kInlinePayloadBytesMax - 20;
    large_left_ -= is_large ? 1 : 0;
    payload.data = Bytes::own(std::string(size, static_cast<char>('a' + choice_.number(25))));
  }
  template <class T>
  requires std::is_class_v<T>
  void fill(T& value) { describe(*this, value); }

  Choice& choice_;
  size_t large_left_ = limits::kPayloadFramesMax;
};

class Dumper {
 public:
  std::string out;

  template <class T>
  void field(int key, T& value) {
    out += std::to_string(key) + ":";
    dump(value);
    out += ' ';
  }
  template <class T>
  void field(int key, T& value, const T&) {
    field(key, value);
  }
  void text(int key, std::string& value, size_t, std::string_view = {}) { field(key, value); }
  template <class T>
  void list(int key, std::vector<T>& value, size_t) {
    out += std::to_string(key) + ":[";
    for (T& element : value) {
      dump(element);
      out += ' ';
    }
    out += "] ";
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void dump(T& value) { out += std::to_string(value); }
  void dump(Millis& value) { out += std::to_string(value.count()); }
  void dump(Micros& value) { out += std::to_string(value.count()); }
  void dump(WallTime& value) { out += std::to_string(value.us); }
  void dump(std::string& value) { out += '"' + value + '"'; }
  template <class Tag>
  void dump(Id<Tag>& id) {
    out += id.str();
  }
  template <class E>
  requires std::is_enum_v<E>
  void dump(E& value) { out += std::to_string(static_cast<int>(value)); }
  template <class T>
  void dump(std::optional<T>& value) {
    out += value ? "some " : "none";
    if (value) dump(*value);
  }
  template <class T>
  void dump(Rare<T>& value) {
    out += value ? "some " : "none";
    if (value) dump(*value);
  }
  void dump(std::pair<std::string, std::string>& value) {
    dump(value.first);
    out += '=';
    dump(value.second);
  }
  void dump(SpecRef& spec) {
    dump(const_cast<JobSpec&>(spec->job));
    out += " raw " + spec->raw.str();
  }
  void dump(WorkerFactsRef& facts) { dump(const_cast<WorkerFacts&>(*facts)); }
  void dump(Payload& payload) {
    dump(payload.tag);
    out += '"' + payload.data.str() + '"';
  }
  template <class T>
  requires std::is_class_v<T>
  void dump(T& value) {
    out += "{ ";
    describe(*this, value);
    out += '}';
  }
};

// Every field of a message or of one of its structs.
template <class T>
std::string dump(const T& value) {
  Dumper dumper;
  dumper.dump(const_cast<T&>(value));  // a Dumper only looks
  return dumper.out;
}
inline std::string dump(const Message& message) {
  return std::string(message_name(kind_of(message))) +
         std::visit([](const auto& body) { return dump(body); }, message);
}

// ---- messages of every kind ------------------------------------------------------------------

namespace detail {
template <size_t... kAt>
std::vector<Message> defaults(std::index_sequence<kAt...>) {
  return {Message(std::in_place_index<kAt>)...};
}
template <class T>
void point_somewhere(T&) {}
inline void point_somewhere(Submit& m) {
  if (m.specs.empty()) m.jobs.clear();
  for (JobEntry& job : m.jobs) job.spec = static_cast<uint32_t>(job.spec % m.specs.size());
}
inline void point_somewhere(Request& m) {
  if (m.specs.empty()) m.items.clear();
  for (Assignment& item : m.items) item.spec = static_cast<uint32_t>(item.spec % m.specs.size());
}
inline void point_somewhere(Results& m) {
  if (m.heads.empty()) m.items.clear();
  for (ResultEntry& item : m.items) {
    item.head = static_cast<uint32_t>(item.head % m.heads.size());
    if (item.worker >= m.workers.size()) item.worker = kNoWorker;
  }
}
}  // namespace detail

// One of each kind, as its struct begins.
inline std::vector<Message> default_messages() {
  return detail::defaults(std::make_index_sequence<std::variant_size_v<Message>>{});
}
inline Message filled(Message message, Choice& choice) {
  Filler filler(choice);
  std::visit(
      [&](auto& body) {
        describe(filler, body);
        detail::point_somewhere(body);
      },
      message);
  return message;
}
// One of each kind with a value in every field; always the same.
inline std::vector<Message> full_messages() {
  std::vector<Message> messages;
  for (Message& message : default_messages()) {
    Pattern pattern;
    messages.push_back(filled(std::move(message), pattern));
  }
  return messages;
}
// Any message that the tape describes.
inline Message message_of(std::string_view tape) {
  Tape choice(tape);
  std::vector<Message> messages = default_messages();
  const size_t kind = choice.number(messages.size() - 1);
  return filled(std::move(messages[kind]), choice);
}

}  // namespace zgrid::protocol::samples
