#include "protocol/hash.h"

#include <gtest/gtest.h>

#include "protocol/codec.h"

namespace zgrid::protocol {
namespace {

Hash128 counting() {
  Hash128 key;
  for (size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = static_cast<uint8_t>(i);
  return key;
}
Payload json(std::string text) { return {PayloadTag::json, Bytes::own(std::move(text))}; }

// The first two test vectors of SipHash's authors for 128 bits.
TEST(Hash, IsSipHash) {
  EXPECT_EQ(hash_bytes(counting(), "").str(), "a3817f04-ba25-a8e6-6df6-7214c7550293");
  EXPECT_EQ(hash_bytes(counting(), std::string(1, '\0')).str(),
            "da87c1d8-6b99-af44-3476-59119b22fc45");
}

TEST(HashOfABody, DependsOnSpecInputTagAndIndex) {
  const Hash128 spec = hash_bytes({}, make_spec({})->raw.view());
  const Hash128 body = hash_body(spec, json("1"), 0);
  EXPECT_EQ(hash_body(spec, json("1"), 0), body);
  EXPECT_NE(hash_body(spec, json("2"), 0), body);
  EXPECT_NE(hash_body(spec, json("1"), 1), body);
  EXPECT_NE(hash_body(spec, json("1"), uint64_t{1} << 63), body);
  EXPECT_NE(hash_body(spec, {PayloadTag::utf8, Bytes::own("1")}, 0), body);
  JobSpec other;
  other.retries = 1;
  EXPECT_NE(hash_body(hash_bytes({}, make_spec(other)->raw.view()), json("1"), 0), body);
}

TEST(ChildId, IsAlwaysTheSameJobOfItsParentsTime) {
  const JobId parent = make_job_id(1'700'000'000'000, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  WorkerId worker;
  worker.bytes.fill(7);
  const JobId child = child_id(parent, worker);
  EXPECT_EQ(child_id(parent, worker), child);
  EXPECT_NE(child, parent);
  EXPECT_EQ(child.str().substr(0, 15), parent.str().substr(0, 14) + "7");
  EXPECT_TRUE(std::string("89ab").find(child.str()[19]) != std::string::npos);
  worker.bytes[0] = 8;
  EXPECT_NE(child_id(parent, worker), child);
  EXPECT_NE(child_id(child, worker), child_id(parent, worker));
}

}  // namespace
}  // namespace zgrid::protocol
