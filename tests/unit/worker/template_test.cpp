#include "worker/workflow/template.h"

#include <gtest/gtest.h>

namespace zgrid::worker {
namespace {

std::string render(const std::string& text) {
  const Json data = *Json::parse(R"({"text":"raw \"text\"","a":{"0":"member","b":[10,{"c":null}]},
      "bytes":{"$base64":"/wA="},"half":{"$base64":"/wA=","more":1},"yes":true,"pi":1.5})");
  const Json type("Made");
  const auto parsed = Template::parse(text);
  if (!parsed) return "syntax: " + parsed.error().message;
  const auto rendered = parsed->render({{"data", &data}, {"type", &type}});
  return rendered ? *rendered : "missing: " + rendered.error().message;
}

TEST(Template, substitutes_by_path) {
  struct Row {
    std::string text, expected;
  };
  const std::vector<Row> rows{
      {"", ""},
      {"plain\n", "plain\n"},
      {"{{data.text}}", "raw \"text\""},
      {"<{{ data.text }}>", "<raw \"text\">"},
      {"{{type}}{{type}}", "MadeMade"},
      {"{{data.a.b.0}}", "10"},
      {"{{data.a.0}}", "member"},
      {"{{data.a.b.1.c}}", "null"},
      {"{{data.a.b}}", "[10,{\"c\":null}]"},
      {"{{data.yes}} {{data.pi}}", "true 1.5"},
      {"{{data.bytes}}", std::string("\xff\0", 2)},
      {"{{data.half}}", "{\"$base64\":\"/wA=\",\"more\":1}"},
      {"\\{{data.text}}", "{{data.text}}"},
      {"a } } { b", "a } } { b"},
      {"{{data.a.b.0}}}", "10}"},
      {"{{data.nothing}}", "missing: {{data.nothing}} is missing"},
      {"{{data.a.b.2}}", "missing: {{data.a.b.2}} is missing"},
      {"{{data.a.b.-1}}", "missing: {{data.a.b.-1}} is missing"},
      {"{{data.text.length}}", "missing: {{data.text.length}} is missing"},
      {"{{env.HOME}}", "missing: {{env.HOME}} is missing"},
      {"{{", "syntax: a {{ has no }}"},
      {"{{data", "syntax: a {{ has no }}"},
      {"{{}}", "syntax: {{}} is not a path"},
      {"{{ }}", "syntax: {{}} is not a path"},
      {"{{data..b}}", "syntax: {{data..b}} is not a path"},
      {"{{data.a b}}", "syntax: {{data.a b}} is not a path"},
      {"{{{data}}", "syntax: {{{data}} is not a path"},
  };
  for (const Row& row : rows) EXPECT_EQ(render(row.text), row.expected) << row.text;
}

TEST(Template, what_goes_in_is_not_read_again) {
  const Json data("{{type}}");
  EXPECT_EQ(*Template::parse("{{data}}")->render({{"data", &data}}), "{{type}}");
}

TEST(Template, tells_its_paths) {
  EXPECT_EQ(Template::parse("a {{ x.y }} b {{z}} \\{{no}}")->paths(),
            (std::vector<std::string>{"x.y", "z"}));
}

TEST(Template, bytes_that_are_no_text_survive_a_round_trip) {
  const std::string bytes("\x80\0\xff", 3);
  const Json value = text_or_base64(bytes);
  EXPECT_EQ(value.dump(), "{\"$base64\":\"gAD/\"}");
  EXPECT_EQ(base64_value(value), bytes);
  EXPECT_EQ(text_or_base64("text"), Json("text"));
}

}  // namespace
}  // namespace zgrid::worker
