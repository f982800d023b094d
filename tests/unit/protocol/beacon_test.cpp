#include "protocol/beacon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace zgrid::protocol {
namespace {

template <class SomeId>
SomeId id_of(uint8_t first) {
  SomeId id;
  std::iota(id.bytes.begin(), id.bytes.end(), first);
  return id;
}

Key32 key_of(uint8_t byte) {
  Key32 key;
  key.fill(byte);
  return key;
}

Beacon answer_of(const std::string& name, uint64_t epoch, uint16_t port = 5670) {
  Beacon beacon;
  beacon.type = Beacon::Type::answer;
  beacon.grid_id = "c590611a8bb13701";
  beacon.store = id_of<StoreId>(0x10);
  beacon.boot = id_of<BootId>(0x20);
  beacon.epoch = epoch;
  beacon.sequence = 0x0102030405060708;
  beacon.port = port;
  beacon.name = name;
  beacon.nonce = id_of<Nonce>(0x30);
  return beacon;
}

constexpr MonoTime at(int64_t ms) { return {Millis{ms}}; }

TEST(Beacon, SurvivesTheWay) {
  for (const auto type : {Beacon::Type::announce, Beacon::Type::probe, Beacon::Type::answer}) {
    for (const std::string& name :
         {std::string(), std::string("my-broker_1.x"), std::string(63, 'n')}) {
      Beacon sent = answer_of(name, 7, 65535);
      sent.type = type;
      const std::string datagram = encode_beacon(sent, key_of(1));
      EXPECT_LE(datagram.size(), kBeaconBytesMax);
      const auto got = decode_beacon(datagram, key_of(1));
      ASSERT_TRUE(got);
      EXPECT_EQ(got->type, sent.type);
      EXPECT_EQ(got->grid_id, sent.grid_id);
      EXPECT_EQ(got->store, sent.store);
      EXPECT_EQ(got->boot, sent.boot);
      EXPECT_EQ(got->epoch, sent.epoch);
      EXPECT_EQ(got->sequence, sent.sequence);
      EXPECT_EQ(got->port, sent.port);
      EXPECT_EQ(got->name, sent.name);
      EXPECT_EQ(got->nonce, sent.nonce);
      EXPECT_EQ(beacon_grid(datagram), sent.grid_id);
    }
  }
}

TEST(Beacon, ItsBytesArePinned) {
  const std::string datagram = encode_beacon(answer_of("b", 5), key_of(1));
  std::string hex;
  for (const char byte : datagram) {
    const auto value = static_cast<uint8_t>(byte);
    hex += "0123456789abcdef"[value >> 4];
    hex += "0123456789abcdef"[value & 15];
  }
  EXPECT_EQ(hex,
            "5a47520103c590611a8bb13701101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
            "2e2f000000000000000501020304050607081626303132333435363738393a3b3c3d3e3f0162"
            "1d5ba8ebaab67cecce2ec306bb7dabbf7257c8f72a78204f50784a78e9dd0393");
}

TEST(Beacon, AnyChangedBitMakesItInvalid) {
  const std::string good = encode_beacon(answer_of("broker", 1), key_of(1));
  ASSERT_TRUE(decode_beacon(good, key_of(1)));
  for (size_t i = 0; i < good.size() * 8; ++i) {
    std::string bad = good;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(decode_beacon(bad, key_of(1))) << i;
  }
}

TEST(Beacon, AnotherGridsIsNotBelievedButNamed) {
  const std::string foreign = encode_beacon(answer_of("theirs", 1), key_of(2));
  EXPECT_FALSE(decode_beacon(foreign, key_of(1)));
  EXPECT_EQ(beacon_grid(foreign), "c590611a8bb13701");
}

TEST(Beacon, AnyOtherFormIsNone) {
  const std::string good = encode_beacon(answer_of("broker", 1), key_of(1));
  std::vector<std::string> others = {
      "",         "Z",        "ZGR", "ZRE\1", std::string(1000, '\0'), std::string(255, '\xff'),
      good + "x", good + good};
  for (size_t size = 0; size < good.size(); ++size) others.push_back(good.substr(0, size));
  for (const auto& other : others) {
    EXPECT_FALSE(decode_beacon(other, key_of(1)));
    EXPECT_FALSE(beacon_grid(other));
  }
}

TEST(BrokerTable, ListsTheNewestEpochFirstThenByName) {
  BrokerTable table;
  table.on_answer("10.0.0.1:40001", answer_of("b", 1), at(0));
  table.on_answer("10.0.0.2:40002", answer_of("a", 1), at(0));
  table.on_answer("10.0.0.3", answer_of("c", 2), at(1000));
  const auto found = table.list(at(1500));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].endpoint, "tcp://10.0.0.3:5670");
  EXPECT_EQ(found[0].age, Millis{500});
  EXPECT_EQ(found[1].endpoint, "tcp://10.0.0.2:5670");
  EXPECT_EQ(found[1].name, "a");
  EXPECT_EQ(found[2].name, "b");
}

TEST(BrokerTable, ForgetsWhoFallsSilentAndReplacesWhoRestarts) {
  BrokerTable table;
  table.on_answer("10.0.0.1:1", answer_of("b", 1), at(0));
  table.on_answer("10.0.0.1:2", answer_of("b", 2), at(100));
  ASSERT_EQ(table.list(at(5100)).size(), 1u);
  EXPECT_EQ(table.list(at(5100))[0].epoch, 2u);
  EXPECT_TRUE(table.list(at(5101)).empty());
  table.on_answer("10.0.0.1:3", answer_of("b", 2), at(9000));
  EXPECT_EQ(table.list(at(9000)).size(), 1u);
}

TEST(BrokerTable, KeepsStaticPeersAndWhatWasHeardOfThem) {
  BrokerTable table;
  table.on_static("tcp://10.0.0.1:5670");
  table.on_static("tcp://other.example:5670");
  ASSERT_EQ(table.list(at(60'000)).size(), 2u);
  EXPECT_EQ(table.list(at(60'000))[0].name, "");
  table.on_answer("10.0.0.1:40001", answer_of("b", 3), at(60'000));
  table.on_static("tcp://10.0.0.1:5670");
  const auto found = table.list(at(120'000));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].name, "b");
  EXPECT_TRUE(found[0].is_static);
  EXPECT_EQ(found[0].age, Millis{60'000});
}

TEST(BrokerTable, IgnoresABrokerWithoutAnEndpointHere) {
  BrokerTable table;
  table.on_answer("10.0.0.1:40001", answer_of("b", 3, 0), at(0));
  EXPECT_TRUE(table.list(at(0)).empty());
}

TEST(BrokerTable, WritesIpv6AddressesInBrackets) {
  BrokerTable table;
  table.on_answer("[fe80::1]:40001", answer_of("b", 3), at(0));
  EXPECT_EQ(table.list(at(0)).at(0).endpoint, "tcp://[fe80::1]:5670");
}

TEST(BrokerTable, IsBoundedAndKeepsStaticPeersAndTheLatest) {
  BrokerTable table;
  table.on_static("tcp://static:5670");
  for (uint16_t port = 1; port <= 10'000; ++port) {
    table.on_answer("10.0.0.1:1", answer_of("b", 1, port), at(port / 10));
  }
  const auto found = table.list(at(1000));
  EXPECT_EQ(found.size(), BrokerTable::kEntriesMax);
  const auto has = [&](const std::string& endpoint) {
    return std::any_of(found.begin(), found.end(),
                       [&](const FoundBroker& broker) { return broker.endpoint == endpoint; });
  };
  EXPECT_TRUE(has("tcp://static:5670"));
  EXPECT_TRUE(has("tcp://10.0.0.1:10000"));
  EXPECT_FALSE(has("tcp://10.0.0.1:1"));
}

}  // namespace
}  // namespace zgrid::protocol
