// The bytes of ZGRID/1, pinned. A change of these files changes the protocol.
//
// zgrid-1/ holds the bytes that this source writes: ZGRID_GOLDEN_WRITE=1 writes them anew, for a
// new message or field. With each release the folder is copied to released-VERSION/, which is
// never written again: what a release sent must always be understood.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "protocol/beacon.h"
#include "protocol/hash.h"
#include "tests/golden/hex_file.h"
#include "tests/unit/protocol/codec_samples.h"

namespace zgrid::protocol {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(ZGRID_GOLDEN_DIR) / "zgrid-1";

golden::Cases read(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path << " cannot be read";
  return golden::parse(file);
}

void expect_golden(const std::string& name, const std::string& comment,
                   const golden::Cases& cases) {
  const fs::path path = kFolder / (name + ".hex");
  const std::string text = golden::format(comment, cases);
  if (std::getenv("ZGRID_GOLDEN_WRITE") != nullptr) std::ofstream(path) << text;
  const golden::Cases pinned = read(path);
  ASSERT_EQ(pinned.size(), cases.size()) << path;
  for (const auto& [title, frames] : cases) {
    ASSERT_TRUE(pinned.contains(title)) << path << " lacks [" << title << "]";
    EXPECT_TRUE(pinned.at(title) == frames) << path << " [" << title << "] differs; now it is\n"
                                            << golden::format("", {{title, frames}});
  }
}

std::string file_name(Kind kind) {
  std::string name(message_name(kind));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return static_cast<char>(c == '_' ? c : c - 'A' + 'a'); });
  return name;
}

// The cases of each kind, as messages.
std::map<std::string, Message> cases_of(size_t at) {
  std::map<std::string, Message> cases{{"default", samples::default_messages()[at]},
                                       {"full", samples::full_messages()[at]}};
  if (auto* final = std::get_if<Final>(&cases.at("default"))) {
    Final large = *final;
    large.items.resize(3);
    const auto payload = [](size_t size) {
      return Payload{PayloadTag::bytes, Bytes::own(std::string(size, 'a'))};
    };
    large.items[0].output = payload(limits::kInlinePayloadBytesMax);
    large.items[1].output = payload(limits::kInlinePayloadBytesMax + 1);
    large.items[2].output = payload(limits::kChunkBytes + 1);
    cases.emplace("large payloads", std::move(large));
  }
  return cases;
}

TEST(Golden, MessagesHaveThePinnedBytes) {
  for (size_t at = 0; at < std::variant_size_v<Message>; ++at) {
    const Kind kind = kind_of(samples::default_messages()[at]);
    golden::Cases cases;
    for (const auto& [title, message] : cases_of(at)) cases[title] = encode(message);
    expect_golden(file_name(kind),
                  "# ZGRID/1 " + std::string(message_name(kind)) + ", kind " +
                      std::to_string(static_cast<int>(kind)) + ". See golden_test.cpp.\n",
                  cases);
  }
}

TEST(Golden, ThePinnedBytesAreTheMessages) {
  for (size_t at = 0; at < std::variant_size_v<Message>; ++at) {
    const auto messages = cases_of(at);
    const Kind kind = kind_of(messages.at("default"));
    for (const auto& [title, frames] : read(kFolder / (file_name(kind) + ".hex"))) {
      const auto decoded = decode(frames);
      ASSERT_TRUE(decoded) << message_name(kind) << " " << title;
      ASSERT_TRUE(messages.contains(title)) << message_name(kind) << " " << title;
      EXPECT_EQ(samples::dump(*decoded), samples::dump(messages.at(title)));
    }
  }
}

TEST(Golden, WhatAReleaseSentIsUnderstood) {
  size_t folders = 0;
  for (const auto& folder : fs::directory_iterator(ZGRID_GOLDEN_DIR)) {
    if (!folder.is_directory()) continue;
    ++folders;
    for (const auto& file : fs::directory_iterator(folder)) {
      if (file.path().stem() == "derived") continue;
      for (const auto& [title, frames] : read(file)) {
        const auto decoded = decode(frames);
        ASSERT_TRUE(decoded) << file.path() << " " << title << ": " << decoded.error().message;
        EXPECT_TRUE(encode(*decoded) == frames) << file.path() << " " << title;
      }
    }
  }
  EXPECT_GT(folders, 0u);
}

// ---- what is stored, hashed or derived ---------------------------------------------------------

template <class T>
T full() {
  samples::Pattern pattern;
  samples::Filler filler(pattern);
  T value;
  describe(filler, value);
  return value;
}
template <class Tag>
protocol::Frames one(const Id<Tag>& id) {
  return {Bytes::copy_of(id.view())};
}

TEST(Golden, WhatIsStoredAndHashedHasThePinnedBytes) {
  const SpecRef empty = make_spec({}), spec = make_spec(full<JobSpec>());
  const Hash128 spec_hash = hash_bytes({}, spec->raw.view());
  const Payload input{PayloadTag::json, Bytes::own("{\"n\":1}")};
  const JobId job = make_job_id(1'700'000'000'000, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  WorkerId worker;
  worker.bytes.fill(7);
  Key32 key{};
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  Beacon beacon{Beacon::Type::answer, "c590611a8bb13701", {}, {}, 3, 4, 5670, "desk", {}};
  beacon.store.bytes.fill(1);
  beacon.boot.bytes.fill(2);
  beacon.nonce.bytes.fill(9);
  expect_golden(
      "derived",
      "# ZGRID/1: stored structs, hashes, ids and a beacon. See golden_test.cpp.\n"
      "# What follows from a secret is pinned in tests/unit/protocol/keys_test.cpp.\n",
      {{"spec, default", {empty->raw}},
       {"spec, full", {spec->raw}},
       {"spec, full: its hash", one(spec_hash)},
       {"body of that spec, input {\"n\":1}, index 0", one(hash_body(spec_hash, input, 0))},
       {"body of that spec, input {\"n\":1}, index 7", one(hash_body(spec_hash, input, 7))},
       {"outcome, full", {encode_outcome(full<Outcome>())}},
       {"facts, full", {encode_facts(full<WorkerFacts>())}},
       {"job id of 1700000000000 ms and random 1 to 10", one(job)},
       {"child of that job on worker 07*16", one(child_id(job, worker))},
       {"beacon, answer, key 0 to 31", {Bytes::own(encode_beacon(beacon, key))}}});
}

}  // namespace
}  // namespace zgrid::protocol
