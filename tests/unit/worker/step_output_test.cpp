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

// An answer of a kept process to the second attempt of a job.
std::string answer(StepOutput output, const std::string& line) {
  Token token;
  token.job = *JobId::parse("019aa000-0000-7000-8000-000000000001");
  token.attempt = 2;
  const StepDefinition definition = step(output, {"E"});
  StepOutputParser parser(definition);
  const Result<std::vector<Event>> events = parser.on_answer(line, token);
  if (events) return std::to_string(events->size());
  return events.error().code == Errc::conflict ? "of another" : events.error().message;
}

TEST(StepOutput, an_answer_that_repeats_a_job_must_repeat_its_own) {
  const std::string own = R"("job":"019aa000-0000-7000-8000-000000000001")";
  const std::string other = R"("job":"019aa000-0000-7000-8000-000000000002")";
  for (const StepOutput output : {StepOutput::json, StepOutput::events}) {
    EXPECT_EQ(answer(output, "{" + own + "}"), "1");
    EXPECT_EQ(answer(output, "{" + own + R"(,"attempt":2})"), "1");
    EXPECT_EQ(answer(output, "{" + own + R"(,"attempt":1})"), "of another");
    EXPECT_EQ(answer(output, "{" + other + R"(,"attempt":2})"), "of another");
    EXPECT_EQ(answer(output, R"({"job":"baker","attempt":"first"})"), "1") << "it is data";
    EXPECT_EQ(answer(output, R"({"attempt":9})"), "1") << "it is data";
  }
  EXPECT_EQ(answer(StepOutput::events, "[{" + own + "},{" + other + "}]"), "of another");
  EXPECT_EQ(answer(StepOutput::text, "{" + other + "}"), "1");
}

}  // namespace
}  // namespace zgrid::worker
