#include "conf/toml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace zgrid::conf {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

Node parsed(std::string_view text) {
  Result<Node> node = parse_toml(text, "f.toml");
  EXPECT_TRUE(node) << (node ? "" : node.error().message);
  return node.value_or(Node{Table{}, 0});
}

std::string refused(std::string_view text) {
  const Result<Node> node = parse_toml(text, "f.toml");
  if (node) {
    ADD_FAILURE() << "accepted: " << text.substr(0, 80);
    return "";
  }
  EXPECT_EQ(node.error().code, Errc::config);
  return node.error().message;
}

TEST(Toml, KnowsTheLineOfEachValue) {
  const Node root = parsed("a = 1\n\n[b]\nc = \"x\"\nd = [\n  true,\n  2.5]\n");
  const Table& table = *root.table();
  EXPECT_EQ(table.at("a").line, 1);
  EXPECT_EQ(std::get<int64_t>(table.at("a").value), 1);
  const Table& b = *table.at("b").table();
  EXPECT_EQ(table.at("b").line, 3);
  EXPECT_EQ(b.at("c").line, 4);
  EXPECT_EQ(std::get<std::string>(b.at("c").value), "x");
  const Array& d = *b.at("d").array();
  EXPECT_EQ(d.at(0).line, 6);
  EXPECT_EQ(d.at(1).line, 7);
  EXPECT_EQ(std::get<double>(d.at(1).value), 2.5);
}

TEST(Toml, NamesFileAndLineOfWhatIsNoToml) {
  EXPECT_THAT(refused("[x]\na = ?\n"), StartsWith("f.toml:2: not valid TOML"));
  EXPECT_THAT(refused("a = 1\na = 2\n"), StartsWith("f.toml:2: "));
  EXPECT_THAT(refused("a = \"open\n"), StartsWith("f.toml:1: "));
  EXPECT_THAT(refused("a = 1\nb = 99999999999999999999\n"), HasSubstr("f.toml:2: "));
  EXPECT_THAT(refused("a = 1979-05-27\n"), HasSubstr("dates and times"));
}

TEST(Toml, NamesTheLineOfBytesThatAreNotUtf8) {
  for (const char* text : {"a = 1\nb = 'gr\xfcn'\n", "a = 1\nb = \"\xff\"\n", "\n# \xe2\x82\n"}) {
    EXPECT_THAT(refused(text), StartsWith("f.toml:2: not UTF-8"));
  }
}

TEST(Toml, RefusesWhatWouldExhaustItsParser) {
  EXPECT_THAT(refused("a = " + std::string(100'000, '[')), HasSubstr("nested deeper"));
  std::string inline_tables = "a = ";
  std::string dots = "a";
  std::string values = "a = [";
  for (int i = 0; i < 100'000; ++i) {
    inline_tables += "{a=";
    dots += ".a";
    values += "1,";
  }
  EXPECT_THAT(refused(inline_tables), HasSubstr("nested deeper"));
  EXPECT_THAT(refused(dots + " = 1"), HasSubstr("nested deeper"));
  EXPECT_THAT(refused("[" + dots + "]"), HasSubstr("nested deeper"));
  EXPECT_THAT(refused(values + "]"), HasSubstr("more than 20000 values"));
  EXPECT_THAT(refused(std::string((4u << 20) + 1, '#')), HasSubstr("larger than 4 MiB"));
}

TEST(Toml, CountsNoBracketsInsideTextsAndComments) {
  const std::string many(200, '[');
  parsed("a = \"" + many + "\"\nb = '" + many + "' # " + many + "\nc = \"\"\"\n\\\"\"\" " + many +
         "\n\"\"\"\nd = '''\n" + many + "'''\ne = \"\\\"" + many + "\"\n");
}

TEST(Toml, SaysWhichFileIsMissingAndWhichIsNoFile) {
  EXPECT_EQ(read_toml("/nonexistent/x.toml").error().code, Errc::not_found);
  EXPECT_THAT(read_toml("/nonexistent/x.toml").error().message, HasSubstr("/nonexistent/x.toml"));
  EXPECT_EQ(read_toml("/").error().code, Errc::config);
}

TEST(TableReader, NamesFileLineAndTheNearestKnownKey) {
  const Node root = parsed("bind = \"x\"\n\nsotre = \"y\"\n");
  TableReader reader(root, "f.toml", "[broker]");
  std::string bind, store;
  reader.get("bind", bind);
  reader.get("store", store);
  const Result<void> done = reader.finish();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::config);
  EXPECT_EQ(done.error().message, "f.toml:3: [broker]: unknown key 'sotre'; did you mean 'store'?");
  EXPECT_EQ(bind, "x");
}

TEST(TableReader, LeavesAbsentKeysAlone) {
  const Node root = parsed("");
  TableReader reader(root, "f.toml", "[x]");
  bool flag = true;
  std::string text = "kept";
  Millis time{7};
  uint64_t size = 8;
  int number = 9;
  double real = 0.5;
  reader.get("a", flag);
  reader.get("b", text);
  reader.get_duration("c", time);
  reader.get_size("d", size);
  reader.get_int("e", number, 0, 10);
  reader.get("f", real, 0, 1);
  EXPECT_TRUE(reader.finish());
  EXPECT_TRUE(flag);
  EXPECT_EQ(text, "kept");
  EXPECT_EQ(time, Millis{7});
  EXPECT_EQ(size, 8u);
  EXPECT_EQ(number, 9);
  EXPECT_EQ(real, 0.5);
}

TEST(TableReader, ReadsEachKindOfValue) {
  const Node root = parsed(
      "flag = false\ntext = \"t\"\ntime = \"90s\"\nnone = 0\nsize = \"64KiB\"\nbytes = 12\n"
      "number = 3\nreal = 1\nlone = \"a\"\nlist = [\"a\", \"b\"]\ntags = { gpu = \"yes\" }\n");
  TableReader reader(root, "f.toml", "");
  bool flag = true;
  std::string text;
  Millis time{0}, none{5};
  uint64_t size = 0, bytes = 0;
  uint16_t number = 0;
  double real = 0;
  std::vector<std::string> lone, list;
  std::map<std::string, std::string> tags;
  reader.get("flag", flag);
  reader.get("text", text);
  reader.get_duration("time", time);
  reader.get_duration("none", none);
  reader.get_size("size", size);
  reader.get_size("bytes", bytes);
  reader.get_int("number", number, 0, 10);
  reader.get("real", real, 0, 1);
  reader.get("lone", lone);
  reader.get("list", list);
  reader.get("tags", tags);
  const Result<void> done = reader.finish();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_FALSE(flag);
  EXPECT_EQ(text, "t");
  EXPECT_EQ(time, Millis{90'000});
  EXPECT_EQ(none, Millis{0});
  EXPECT_EQ(size, 65536u);
  EXPECT_EQ(bytes, 12u);
  EXPECT_EQ(number, 3);
  EXPECT_EQ(real, 1.0);
  EXPECT_THAT(lone, ElementsAre("a"));
  EXPECT_THAT(list, ElementsAre("a", "b"));
  EXPECT_THAT(tags, ElementsAre(Pair("gpu", "yes")));
}

struct WrongValue {
  const char* line;
  const char* says;
};

TEST(TableReader, SaysWhatIsWrongWithAValue) {
  const WrongValue rows[] = {
      {"flag = 1", "flag is 1, not true or false"},
      {"text = 1", "text is 1, not a text in quotes"},
      {"time = 90", "time is 90, not a duration"},
      {"time = \"90\"", "time is \"90\", not a duration"},
      {"size = -1", "size is -1, not a size"},
      {"size = \"1 elephant\"", "not a size"},
      {"number = 11", "number is 11, not a whole number from 0 to 10"},
      {"number = \"3\"", "not a whole number"},
      {"number = 1.0", "not a whole number"},
      {"real = 2", "real is 2, not a number from 0 to 1"},
      {"real = nan", "not a number from 0 to 1"},
      {"list = [1]", "list is not a list of texts"},
      {"tags = \"x\"", "not a table such as"},
      {"tags = { a = 1 }", "tags.a is 1, not a text"},
  };
  for (const WrongValue& row : rows) {
    const Node root = parsed(std::string("\n") + row.line);
    TableReader reader(root, "f.toml", "[x]");
    bool flag = true;
    std::string text;
    Millis time{0};
    uint64_t size = 0;
    int number = 0;
    double real = 0;
    std::vector<std::string> list;
    std::map<std::string, std::string> tags;
    reader.get("flag", flag);
    reader.get("text", text);
    reader.get_duration("time", time);
    reader.get_size("size", size);
    reader.get_int("number", number, 0, 10);
    reader.get("real", real, 0, 1);
    reader.get("list", list);
    reader.get("tags", tags);
    const Result<void> done = reader.finish();
    ASSERT_FALSE(done) << row.line;
    EXPECT_THAT(done.error().message, StartsWith("f.toml:2: [x]: ")) << row.line;
    EXPECT_THAT(done.error().message, HasSubstr(row.says));
  }
}

TEST(TableReader, RefusesWhatIsNoTable) {
  const Node root = parsed("broker = 1\n");
  TableReader reader(root.table()->at("broker"), "f.toml", "[broker]");
  EXPECT_THAT(reader.finish().error().message, EndsWith("[broker]: is 1, not a table"));
}

TEST(TableReader, PassesOnTheCallersOwnErrors) {
  const Node root = parsed("a = 1\n[t]\nb = 1\n");
  TableReader reader(root, "f.toml", "");
  EXPECT_TRUE(reader.has("a"));
  EXPECT_FALSE(reader.has("b"));
  ASSERT_NE(reader.child("t"), nullptr);
  EXPECT_EQ(reader.child("t")->line, 2);
  EXPECT_NE(reader.child("a"), nullptr);
  EXPECT_EQ(reader.child("z"), nullptr);
  reader.error("is odd", 2);
  EXPECT_EQ(reader.finish().error().message, "f.toml:2: is odd");
}

}  // namespace
}  // namespace zgrid::conf
