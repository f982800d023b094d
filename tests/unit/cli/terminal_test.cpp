// What people see: widths, tables that fit, and lines that stay whole.
#include <gtest/gtest.h>

#include "client/cli/live_lines.h"
#include "client/cli/terminal.h"
#include "client/cli/text.h"
#include "protocol/json.h"

namespace zgrid::cli {
namespace {

TEST(WidthTest, EveryCharacterTakesTheColumnsOfUnicode) {
  struct Row {
    const char* text;
    size_t columns;
  };
  for (const Row& row : {Row{"", 0}, Row{"abc", 3}, Row{"grün", 4}, Row{"日本語", 6},
                         Row{"한글", 4}, Row{"ｆｕｌｌ", 8}, Row{"e\xcc\x81", 1}, Row{"क्षि", 3},
                         Row{"a\xe2\x80\x8b"
                             "b",
                             2},
                         Row{"🚀", 2}, Row{"•…→", 3}, Row{"\xff", 1}, Row{"ﾊﾟ", 2}}) {
    EXPECT_EQ(display_width(row.text), row.columns) << row.text;
  }
}

TEST(WidthTest, WhatIsCutEndsWithAnEllipsisAndFits) {
  EXPECT_EQ(cut("abcdef", 6), "abcdef");
  EXPECT_EQ(cut("abcdef", 4), "abc…");
  EXPECT_EQ(cut("日本語", 4), "日…");
  EXPECT_EQ(cut("日本語", 5), "日本…");
  EXPECT_EQ(cut("e\xcc\x81xyz", 2), "e\xcc\x81…");
}

TEST(WidthTest, LinesAreBrokenAtBlanksAndNothingIsLost) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(wrapped("", 5), Lines{""});
  EXPECT_EQ(wrapped("one two three", 8), (Lines{"one two", "three"}));
  EXPECT_EQ(wrapped("one two three", 7), (Lines{"one two", "three"}));
  EXPECT_EQ(wrapped("abcdefgh", 3), (Lines{"abc", "def", "gh"}));
  EXPECT_EQ(wrapped("日本語", 3), (Lines{"日", "本", "語"}));
  // A deep indent is no place to break.
  EXPECT_EQ(wrapped("    deepest", 8), (Lines{"    deep", "est"}));
}

std::vector<size_t> widths(const std::string& text) {
  std::vector<size_t> list;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    list.push_back(display_width(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
  return list;
}

TEST(TableTest, NoLineIsWiderThanTheTerminal) {
  const std::vector<std::vector<Cell>> rows{{{"NAME"}, {"A LONG HEAD"}, {"TEXT"}},
                                            {{"日本語日本語日本語日本語"},
                                             {std::string(60, 'x')},
                                             {"some words that need two lines or three"}},
                                            {{"b"}, {""}, {std::string(100, 'y')}}};
  for (const size_t columns : {32u, 60u, 80u, 100u, 200u}) {
    for (const size_t width : widths(table(rows, false, columns))) EXPECT_LE(width, columns);
  }
  // In a pipe nothing is cut and nothing is broken.
  EXPECT_EQ(widths(table(rows, false)).size(), rows.size());
}

TEST(TableTest, TheLastColumnIsWrappedBelowItself) {
  EXPECT_EQ(table({{{"A"}, {"TEXT"}}, {{"x"}, {"one two three four five six seven"}}}, false, 30),
            "A  TEXT\nx  one two three four five six\n   seven\n");
}

TEST(TableTest, AnIdIsNeverCut) {
  const std::string text =
      table({{{"JOB"}, {"NAME"}}, {{"b302099a8057"}, {std::string(80, 'n')}}}, false, 20);
  EXPECT_NE(text.find("b302099a8057  "), std::string::npos);
}

TEST(NeutraliseTest, ACellStaysOneLine) {
  EXPECT_EQ(neutralise_cell("a\nb\tc\x1b[2J"), "a b c^[[2J");
}

TEST(NeutraliseTest, ADocumentMeansTheSameAndHasNoControlCharacter) {
  const Json before(std::string("x\x1b[31m \x7f \xc2\x9b y \xe2\x80\xae z ü"));
  const std::string text = neutralise_json(before.dump());
  EXPECT_EQ(neutralise(text), text);
  EXPECT_EQ(Json::parse(text).value(), before);
}

TEST(ColourTest, NoColorWinsThenTheOptionThenTheTerminal) {
  conf::Environment env;
  EXPECT_TRUE(wants_colour(Colour::automatic, env, true));
  EXPECT_FALSE(wants_colour(Colour::automatic, env, false));
  EXPECT_TRUE(wants_colour(Colour::always, env, false));
  EXPECT_FALSE(wants_colour(Colour::never, env, true));
  env.variables["TERM"] = "dumb";
  EXPECT_FALSE(wants_colour(Colour::automatic, env, true));
  EXPECT_TRUE(wants_colour(Colour::always, env, true));
  env.variables["NO_COLOR"] = "1";
  EXPECT_FALSE(wants_colour(Colour::always, env, true));
  env.variables["NO_COLOR"] = "";
  EXPECT_TRUE(wants_colour(Colour::always, env, true));
}

class LiveLinesTest : public testing::Test {
 protected:
  LiveLines live;
  const JobId a = JobId::parse("01890a5d-ac96-774b-bcce-b302099a8057").value();
  const JobId b = JobId::parse("01890a5d-ac96-774b-bcce-b302099a8058").value();
};

TEST_F(LiveLinesTest, OneJobIsHeardWordByWord) {
  EXPECT_EQ(live.add(a, "The "), "The ");
  EXPECT_EQ(live.add(a, "sky\nis"), "sky\nis");
  EXPECT_EQ(live.end(a), "\n");
  EXPECT_EQ(live.end(a), "");
}

TEST_F(LiveLinesTest, TheOthersWaitForTheEndOfTheLine) {
  EXPECT_EQ(live.add(a, "The "), "The ");
  EXPECT_EQ(live.add(b, "first\nsec"), "");
  EXPECT_EQ(live.add(a, "sky\n"), "sky\nfirst\n");
  EXPECT_EQ(live.add(b, "ond"), "second");
  EXPECT_EQ(live.end(b), "\n");
}

TEST_F(LiveLinesTest, EveryLineBeginsWithTheLabelOfItsJob) {
  EXPECT_EQ(live.add(a, "one\ntw", "[a] "), "[a] one\n[a] tw");
  EXPECT_EQ(live.add(b, "x", "[b] "), "");
  EXPECT_EQ(live.add(b, "y\n", "[b] "), "");
  EXPECT_EQ(live.add(a, "o\n", "[a] "), "o\n[b] xy\n");
  EXPECT_EQ(live.add(a, "th", "[a] "), "[a] th");
  EXPECT_EQ(live.interrupt(), "\n");
  EXPECT_EQ(live.add(a, "ree\n", "[a] "), "[a] ree\n");
}

TEST_F(LiveLinesTest, WhoeverEndsIsHeardToTheEnd) {
  EXPECT_EQ(live.add(a, "The "), "The ");
  EXPECT_EQ(live.add(b, "half"), "");
  EXPECT_EQ(live.end(b), "\nhalf\n");
  EXPECT_EQ(live.add(a, "sky"), "sky");
  EXPECT_EQ(live.interrupt(), "\n");
  EXPECT_EQ(live.interrupt(), "");
}

TEST_F(LiveLinesTest, NobodyIsHeldForEver) {
  EXPECT_EQ(live.add(a, "The "), "The ");
  const std::string much(LiveLines::kHeldBytesMax + 1, 'x');
  EXPECT_EQ(live.add(b, much), "\n" + much + "\n");
  EXPECT_EQ(live.add(b, "more"), "more");
}

}  // namespace
}  // namespace zgrid::cli
