#include "protocol/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace zgrid {
namespace {

using testing::HasSubstr;

Json parsed(std::string_view text) {
  Result<Json> result = Json::parse(text);
  EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().message);
  return result.value_or(Json());
}

std::string refused(std::string_view text) {
  const Result<Json> result = Json::parse(text);
  if (result) {
    ADD_FAILURE() << "accepted: " << text.substr(0, 80);
    return "";
  }
  EXPECT_EQ(result.error().code, Errc::bad_input);
  return result.error().message;
}

TEST(Json, WritesWhatItReadsInTheOrderOfTheMembers) {
  const std::string text =
      R"({"z":1,"a":[true,false,null],"text":"grün","nested":{"x":{}},"e":[]})";
  EXPECT_EQ(parsed(text).dump(), text);
  EXPECT_EQ(parsed(" [ 1 , 2 ] \n").dump(), "[1,2]");
  EXPECT_EQ(parsed("\"alone\"").dump(), "\"alone\"");
}

TEST(Json, PrettyPutsEachItemOnALineOfItsOwn) {
  EXPECT_EQ(parsed(R"({"a":[1,{"b":2}],"c":{},"d":[]})").pretty(),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {},\n"
            "  \"d\": []\n}");
}

TEST(Json, RefusesWhatIsNotOneDocument) {
  for (const char* text :
       {"",         " ",       "{",       "[1,]",    "{\"a\":1,}", "[1] 2", "nul", "'a'",
        "{a:1}",    "[1 2]",   "\"\n\"",  "+1",      "01",         "1.",    ".5",  "NaN",
        "Infinity", "// c\n1", "\"\\x\"", "{\"a\"}", "]",          "[}"}) {
    refused(text);
  }
}

TEST(Json, NamesLineAndColumnOfAnError) {
  EXPECT_THAT(refused("{\n  \"a\": ?\n}"), HasSubstr("line 2, column 8"));
  EXPECT_THAT(refused("x"), HasSubstr("line 1, column 1"));
  EXPECT_THAT(refused("{\n \"a\": 1,\n \"a\": 2\n}"), HasSubstr("line 4, column 1"));
}

TEST(Json, RefusesDeepNestingWithoutRecursion) {
  EXPECT_THAT(refused(std::string(100'000, '[')), HasSubstr("nested deeper"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(refused(objects), HasSubstr("nested deeper"));
  const std::string deepest = std::string(Json::kDepthMax, '[') + std::string(Json::kDepthMax, ']');
  EXPECT_EQ(parsed(deepest).dump(), deepest);
  refused("[" + deepest + "]");
}

TEST(Json, RefusesANameTwiceInOneObject) {
  EXPECT_THAT(refused(R"({"a":1,"b":2,"a":3})"), HasSubstr("'a' stands twice"));
  EXPECT_THAT(refused(R"({"a":1,"\u0061":3})"), HasSubstr("'a' stands twice"));
  parsed(R"({"a":{"a":1},"b":[{"a":1},{"a":2}]})");
}

TEST(Json, RefusesBytesThatAreNotUtf8) {
  for (const char* text : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
                           "\"\xe2\x82\"", "\"\x80\"", "\xff", "{\"\xc3\":1}"}) {
    refused(text);
  }
  EXPECT_EQ(*parsed("\"\xf0\x9f\x98\x80\"").as_string(), "\xf0\x9f\x98\x80");
}

TEST(Json, RefusesNulBytesButReadsTheirEscape) {
  refused(std::string_view("1\0", 2));
  refused(std::string_view("\"\0\"", 3));
  const std::string nul(1, '\0');
  EXPECT_EQ(*parsed(R"("\u0000")").as_string(), nul);
  EXPECT_EQ(Json(nul).dump(), R"("\u0000")");
}

TEST(Json, ReadsSurrogatePairsAndRefusesLoneOnes) {
  EXPECT_EQ(*parsed(R"("\ud83d\ude00")").as_string(), "\xf0\x9f\x98\x80");
  for (const char* text : {R"("\ud83d")", R"("\ude00")", R"("\ud83dx")", R"("\ud83d\ud83d")"}) {
    refused(text);
  }
}

TEST(Json, ReplacesEachBadByteWhenItWrites) {
  EXPECT_EQ(Json("a\xff\xc3"
                 "b\xe2\x82\xac")
                .dump(),
            "\"a\xef\xbf\xbd\xef\xbf\xbd"
            "b\xe2\x82\xac\"");
  EXPECT_EQ(Json("\xed\xa0\x80").dump(), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  parsed(Json("\xf8\x88\x80\x80\x80 \xf0\x9f").dump());
}

TEST(Json, EscapesWhatJsonDemandsAndNothingElse) {
  EXPECT_EQ(Json("\"\\/\n\r\t\b\x1f\x7f").dump(), "\"\\\"\\\\/\\n\\r\\t\\u0008\\u001f\x7f\"");
}

TEST(Json, KeepsWholeNumbersExactly) {
  for (const char* text : {"0", "-1", "9223372036854775807", "-9223372036854775808",
                           "9223372036854775808", "18446744073709551615"}) {
    EXPECT_EQ(parsed(text).dump(), text);
  }
  EXPECT_EQ(parsed("9223372036854775807").as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parsed("18446744073709551615").as_int(), std::nullopt);
  EXPECT_EQ(parsed("18446744073709551616").dump(), "18446744073709551616.0");
  EXPECT_EQ(Json(uint64_t{7}), Json(7));
  EXPECT_EQ(Json(7u), Json(int64_t{7}));
}

TEST(Json, WritesTheShortestDoubleThatReadsBack) {
  for (const char* text :
       {"0.1", "1.5", "-2.25", "1e+300", "5e-324", "0.30000000000000004", "1.0", "-0.0"}) {
    EXPECT_EQ(parsed(text).dump(), text);
  }
  EXPECT_TRUE(std::signbit(*parsed("-0.0").as_double()));
  EXPECT_EQ(parsed("-0").as_int(), 0);
  EXPECT_EQ(parsed("1e2").as_int(), 100);
  EXPECT_EQ(parsed("1.5").as_int(), std::nullopt);
  EXPECT_EQ(parsed("1e19").as_int(), std::nullopt);
  EXPECT_EQ(parsed("2").as_double(), 2.0);
}

TEST(Json, RefusesNumbersThatNoDoubleHoldsAndWritesThemAsNull) {
  refused("1e999");
  refused("-1e999");
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
}

TEST(Json, GivesNothingForAValueOfAnotherType) {
  const Json text("x");
  EXPECT_EQ(text.as_int(), std::nullopt);
  EXPECT_EQ(text.as_double(), std::nullopt);
  EXPECT_EQ(text.as_bool(), std::nullopt);
  EXPECT_EQ(text.as_array(), nullptr);
  EXPECT_EQ(text.as_object(), nullptr);
  EXPECT_EQ(text.find("x"), nullptr);
  EXPECT_EQ(Json(1).as_string(), nullptr);
  EXPECT_EQ(Json(true).as_bool(), true);
  EXPECT_TRUE(Json().is_null());
}

TEST(Json, SetReplacesAndPushAppends) {
  Json value;
  value.set("a", 1).set("b", "two").set("a", 3.5);
  value.set("list", Json().push(1).push(nullptr));
  EXPECT_EQ(value.dump(), R"({"a":3.5,"b":"two","list":[1,null]})");
  ASSERT_NE(value.find("b"), nullptr);
  EXPECT_EQ(*value.find("b")->as_string(), "two");
  EXPECT_EQ(value.find("c"), nullptr);
}

TEST(Json, ReadsAWideObjectInReasonableTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  text += "\"k0\":1}";
  EXPECT_THAT(refused(text), HasSubstr("'k0'"));
}

TEST(Utf8, KnowsTheTableOfRfc3629) {
  for (const char* text : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(text)) << testing::PrintToString(text);
  }
  for (const char* text : {"\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                           "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc2", "\xe2\x82", "a\xff"}) {
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
  }
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> rows[] = {{"", ""},
                                                      {"f", "Zg=="},
                                                      {"fo", "Zm8="},
                                                      {"foo", "Zm9v"},
                                                      {"foob", "Zm9vYg=="},
                                                      {"fooba", "Zm9vYmE="},
                                                      {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : rows) {
    EXPECT_EQ(base64_encode(plain), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(base64_decode(base64_encode(all)), all);
}

TEST(Base64, RefusesWhatIsNotItsOneForm) {
  for (const char* text :
       {"Zg", "Zg=", "Zg===", "====", "=AAA", "Z===", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "_-8="}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace zgrid
