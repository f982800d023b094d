#include "conf/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "conf/settings.h"

namespace zgrid::conf {
namespace {

TEST(Schema, TheReferenceIsTheShippedFile) {
  std::ifstream file(ZGRID_CONF_DIR "/zgrid.toml");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(reference(), text);
}

TEST(Schema, EveryKeyHasAMeaningAVariableATypeAndItsDefault) {
  const auto keys = describe_keys();
  const auto shown = show(Settings{});
  ASSERT_EQ(keys.size(), shown.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].table + "." + keys[i].name, shown[i].key);
    EXPECT_EQ(keys[i].default_value, shown[i].value);
    EXPECT_FALSE(keys[i].meaning.empty()) << shown[i].key;
    EXPECT_FALSE(keys[i].type.empty()) << shown[i].key;
    EXPECT_EQ(keys[i].variable.substr(0, 6), "ZGRID_");
  }
}

TEST(Schema, TypesAreTold) {
  const auto keys = describe_keys();
  const auto type = [&](const std::string& table, const std::string& name) {
    const auto found = std::find_if(keys.begin(), keys.end(), [&](const KeyDescription& key) {
      return key.table == table && key.name == name;
    });
    return found == keys.end() ? "" : found->type;
  };
  EXPECT_EQ(type("broker", "lease"), "duration");
  EXPECT_EQ(type("broker", "memory_bytes"), "size");
  EXPECT_EQ(type("broker", "beacon"), "true or false");
  EXPECT_EQ(type("worker", "slots"), "whole number");
  EXPECT_EQ(type("worker", "workflows"), "list of paths");
  EXPECT_EQ(type("worker", "tags"), "table of texts");
  EXPECT_EQ(type("grid", "secret_file"), "path");
}

}  // namespace
}  // namespace zgrid::conf
