// A line of the log is one line, and nothing that a terminal acts on.
#include "protocol/log/log.h"

#include <gtest/gtest.h>

namespace zgrid {
namespace {

std::string logged(const std::string& format, std::string_view message, const Log::Fields& fields) {
  testing::internal::CaptureStderr();
  Log::open("info", format).value()->warn(message, fields);
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, WhateverAPeerSaysTheLineIsOne) {
  const std::string evil = "a\n\x1b[2J\x7f\xc2\x9b\xffz";
  const std::string text = logged("text", evil, {{"who", evil}, {"plain", "p\x1b"}});
  EXPECT_NE(text.find("warn"), std::string::npos);
  const std::string shown = "a\\u000a\\u001b[2J\\u007f\\u009b\xef\xbf\xbdz";
  EXPECT_NE(text.find(" " + shown + " who=\"" + shown + "\" plain=p\\u001b\n"), std::string::npos)
      << text;
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

TEST(LogTest, ADocumentHasQuotesEscaped) {
  const std::string text = logged("json", "say \"hi\"", {{"path", "C:\\x"}});
  EXPECT_NE(text.find(R"("message":"say \"hi\"","path":"C:\\x"})"), std::string::npos) << text;
}

TEST(LogTest, OtherScriptsStayAsTheyAre) {
  EXPECT_NE(logged("text", "grün 日本 \xc2\xa0", {}).find("grün 日本 \xc2\xa0\n"),
            std::string::npos);
}

}  // namespace
}  // namespace zgrid
