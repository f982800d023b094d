// What a job's input becomes: templates, documents, prompts.
#include "client/cli/input_maker.h"

#include <gtest/gtest.h>

namespace zgrid::cli {
namespace {

SubmitCommand each_line(JobKind kind = JobKind::workflow) {
  SubmitCommand command;
  command.kind = kind;
  command.subject = "w";
  command.run = "r1";
  command.bulk.each_line = "words.txt";
  return command;
}

Item line(uint64_t index, const char* text) {
  Item item;
  item.index = index;
  item.data = Json::object().set("text", text);
  return item;
}

Item document(uint64_t index, const std::string& raw) {
  Item item;
  item.index = index;
  item.data = *Json::parse(raw);
  item.raw = raw;
  return item;
}

// The input, or why there is none.
std::string made(const SubmitCommand& command, const Item& item) {
  const auto maker = InputMaker::open(command);
  if (!maker) return maker.error().message;
  const auto input = maker->make(item);
  if (!input) return input.error().message;
  return input->data.str();
}

TEST(InputMakerTest, WithoutOptionsALineIsTheText) {
  EXPECT_EQ(made(each_line(), line(3, "a b")), R"({"text":"a b"})");
}

TEST(InputMakerTest, ADocumentIsTheInputByteForByte) {
  SubmitCommand command = each_line();
  command.bulk.each_line.swap(command.bulk.each_json);
  EXPECT_EQ(made(command, document(1, R"({"b":  1.50, "a": 2})")), R"({"b":  1.50, "a": 2})");
  EXPECT_NE(made(command, document(1, "[1]")).find("not a JSON object"), std::string::npos);
}

TEST(InputMakerTest, AnArraysInputIsEmptyOrWhatTheOptionsSay) {
  SubmitCommand command = each_line();
  command.bulk = {};
  command.bulk.array = ArrayRange{1, 9, 1};
  Item item;
  item.index = 7;
  item.data = Json::object();
  EXPECT_EQ(made(command, item), "{}");
  command.input = R"({"seed": "{{job.index}}", "n": 3, "of": ["{{job.run}}/{{ job.index }}"]})";
  EXPECT_EQ(made(command, item), R"({"seed":"7","n":3,"of":["r1/7"]})");
  command.input = R"({"n":   3})";
  EXPECT_EQ(made(command, item), R"({"n":   3})");
}

TEST(InputMakerTest, TextIsATemplateOverTheLine) {
  SubmitCommand command = each_line();
  command.text = "{{job.index}}: <{{data.text}}> \\{{x}}";
  EXPECT_EQ(made(command, line(3, "a")), R"({"text":"3: <a> {{x}}"})");
}

TEST(InputMakerTest, ATextInABulkCannotBreakOutOfItsPlace) {
  SubmitCommand command = each_line();
  command.input = R"({"name": "{{data.text}}"})";
  EXPECT_EQ(made(command, line(1, R"(", "admin": true, "x": "{{job.run}})")),
            R"({"name":"\", \"admin\": true, \"x\": \"{{job.run}}"})");
}

TEST(InputMakerTest, OutsideABulkTextAndInputAreLiteral) {
  SubmitCommand command;
  command.subject = "w";
  Item only;
  only.data = Json::object();
  EXPECT_EQ(made(command, only), "{}");
  command.text = "{{data.text}}";
  EXPECT_EQ(made(command, only), R"({"text":"{{data.text}}"})");
  command.text.reset();
  command.input = R"({"t": "{{x}}"})";
  EXPECT_EQ(made(command, only), R"({"t": "{{x}}"})");
}

TEST(InputMakerTest, APromptIsATemplateOnlyWithTextInputOrBulk) {
  SubmitCommand command;
  command.kind = JobKind::prompt;
  command.subject = "Say {{data.text}}";
  Item only;
  only.data = Json::object();
  EXPECT_EQ(made(command, only), R"({"text":"Say {{data.text}}"})");
  command.text = "hello";
  EXPECT_EQ(made(command, only), R"({"text":"Say hello"})");
  command.text.reset();
  command.input = R"({"who": {"name": "Ann"}, "n": [1, 2]})";
  command.subject = "{{data.who.name}} {{data.n}} {{data.n.1}}";
  EXPECT_EQ(made(command, only), R"({"text":"Ann [1,2] 2"})");

  command = each_line(JobKind::prompt);
  command.subject = "Translate line {{job.index}}: {{data.text}}";
  EXPECT_EQ(made(command, line(2, "bonjour")), R"({"text":"Translate line 2: bonjour"})");
  // --text stands between the line and the prompt.
  command.text = "<{{data.text}}>";
  EXPECT_EQ(made(command, line(2, "bonjour")), R"({"text":"Translate line 2: <bonjour>"})");
}

TEST(InputMakerTest, MistakesInTemplatesAreFoundBeforeAnyLine) {
  SubmitCommand command = each_line();
  struct Row {
    const char* text;
    const char* word;
  };
  for (const Row& row : {Row{"{{data.text", "no }}"}, Row{"{{line}}", "{{line}} is unknown"},
                         Row{"{{job.id}}", "unknown"}, Row{"{{}}", "not a path"}}) {
    command.text = row.text;
    const auto maker = InputMaker::open(command);
    ASSERT_FALSE(maker) << row.text;
    EXPECT_EQ(maker.error().code, Errc::bad_input);
    EXPECT_NE(maker.error().message.find("--text"), std::string::npos);
    EXPECT_NE(maker.error().message.find(row.word), std::string::npos) << maker.error().message;
  }
  command.text.reset();
  command.input = R"({"a": ["{{line}}"]})";
  EXPECT_EQ(InputMaker::open(command).error().code, Errc::bad_input);
  command.input = "no JSON";
  EXPECT_EQ(InputMaker::open(command).error().code, Errc::bad_input);
  command = each_line(JobKind::prompt);
  command.subject = "{{item}}";
  EXPECT_EQ(InputMaker::open(command).error().code, Errc::bad_input);
}

TEST(InputMakerTest, AMissingMemberIsTheItemsMistake) {
  SubmitCommand command = each_line();
  command.bulk.each_line.swap(command.bulk.each_json);
  command.text = "{{data.name}}";
  EXPECT_EQ(made(command, document(1, R"({"name": "x"})")), R"({"text":"x"})");
  EXPECT_EQ(made(command, document(2, R"({"nam": "x"})")), "{{data.name}} is missing");
}

TEST(InputMakerTest, ItKnowsWhetherTheItemCounts) {
  SubmitCommand command = each_line();
  EXPECT_TRUE(InputMaker::open(command)->uses_item());
  command.text = "the same";
  EXPECT_FALSE(InputMaker::open(command)->uses_item());
  command.text = "{{job.index}}";
  EXPECT_TRUE(InputMaker::open(command)->uses_item());
  command = each_line(JobKind::prompt);
  command.subject = "the same";
  EXPECT_FALSE(InputMaker::open(command)->uses_item());
}

TEST(InputMakerTest, BytesThatAreNoUtf8PassThroughAWorkflowAndNotIntoAPrompt) {
  SubmitCommand command = each_line();
  Item item;
  item.index = 1;
  item.data = Json::object().set("text", Json::object().set("$base64", "/w=="));
  EXPECT_EQ(made(command, item), R"({"text":{"$base64":"/w=="}})");
  command.text = "x{{data.text}}";
  EXPECT_EQ(made(command, item), R"({"text":{"$base64":"eP8="}})");
  command = each_line(JobKind::prompt);
  command.subject = "{{data.text}}";
  EXPECT_EQ(made(command, item), "the prompt is not UTF-8 text");
}

}  // namespace
}  // namespace zgrid::cli
