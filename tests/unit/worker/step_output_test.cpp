#include "worker/workflow/step_output.h"

#include <gtest/gtest.h>

namespace zgrid::worker {
namespace {

StepDefinition step(StepOutput output, std::vector<std::string> emits) {
  StepDefinition made;
  made.id = "s";
  made.output = output;
  made.emits = std::move(emits);
  return made;
}

// What the pieces make: "Type data" each, with | before what came only at the end.
std::string parse(const StepDefinition& definition, const std::vector<std::string>& pieces) {
  StepOutputParser parser(definition);
  std::string seen;
  const auto add = [&](const Result<std::vector<Event>>& events) {
    if (!events) {
      seen += "! " + events.error().message;
      return false;
    }
    for (const Event& event : *events) seen += event.type + " " + event.data.dump() + " ";
    return true;
  };
  for (const std::string& piece : pieces) {
    if (!add(parser.on_piece(piece))) return seen;
  }
  seen += "| ";
  add(parser.on_end());
  return seen;
}

TEST(StepOutput, text_and_json) {
  const StepDefinition text = step(StepOutput::text, {"T"});
  EXPECT_EQ(parse(text, {"a", "b\n"}), "| T {\"text\":\"ab\\n\"} ");
  EXPECT_EQ(parse(text, {}), "| T {\"text\":\"\"} ");
  EXPECT_EQ(parse(text, {"\xff"}), "| T {\"text\":{\"$base64\":\"/w==\"}} ");
  const StepDefinition json = step(StepOutput::json, {"J"});
  EXPECT_EQ(parse(json, {"{\"a\":", "1}\n"}), "| J {\"a\":1} ");
  EXPECT_EQ(parse(json, {"[1]"}), "| J [1] ");
  EXPECT_EQ(parse(json, {"no"}).substr(0, 28), "| ! its output is not JSON: ");
}

TEST(StepOutput, events_come_line_by_line) {
  const StepDefinition two = step(StepOutput::events, {"A", "B"});
  EXPECT_EQ(parse(two, {"{\"type\":\"A\",\"data\":1}\n{\"type\":", "\"B\"}\n\n \n"}),
            "A 1 B {} | ");
  EXPECT_EQ(parse(two, {"{\"type\":\"A\"}"}), "| A {} ");
  EXPECT_EQ(parse(two, {}), "| ");
  EXPECT_EQ(parse(two, {"{\"type\":\"A\"}\n{\"data\":1}\n"}),
            "! line 2 of its output has no \"type\" that names an event");
  EXPECT_EQ(parse(two, {"[1]\n"}), "! line 1 of its output is not an object of type and data");
  EXPECT_EQ(parse(two, {"oops\n"}).substr(0, 32), "! line 1 of its output is not JS");
  const StepDefinition one = step(StepOutput::events, {"A"});
  EXPECT_EQ(parse(one, {"{\"data\":[1]}\n"}), "A [1] | ");
  EXPECT_EQ(parse(one, {"{\"type\":3}\n"}),
            "! line 1 of its output has no \"type\" that names an event");
}

TEST(StepOutput, an_event_becomes_one_line) {
  EXPECT_EQ(event_line({"A", Json("x\ny")}, {}), "{\"type\":\"A\",\"data\":\"x\\ny\"}\n");
  EXPECT_EQ(event_line({"A", Json(Json::Array{1, 2})}, {"A", "B"}),
            "{\"type\":\"A\",\"data\":[1,2],\"types\":[\"A\",\"B\"]}\n");
}

TEST(Utf8Cutter, splits_no_character) {
  const std::string text = "a\u00e9\u20ac\U0001f600z";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Utf8Cutter cutter;
    const std::string first = cutter.add(text.substr(0, cut));
    const std::string second = cutter.add(text.substr(cut));
    EXPECT_TRUE(is_utf8(first)) << cut;
    EXPECT_EQ(first + second + cutter.rest(), text) << cut;
  }
  Utf8Cutter cutter;
  EXPECT_EQ(cutter.add("\x80\x80\x80\x80"), "\x80\x80\x80\x80");
  EXPECT_EQ(cutter.add("\xf0"), "");
  EXPECT_EQ(cutter.rest(), "\xf0");
}

}  // namespace
}  // namespace zgrid::worker
