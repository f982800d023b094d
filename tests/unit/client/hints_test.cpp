// What hints, examples and documents tell people to type can be typed: each command that the
// sources and the documents name goes through the parser, word for word.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/cli/grammar.h"
#include "client/cli/parse.h"

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

const fs::path kRoot = ZGRID_ROOT;

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<fs::path> files_below(const std::vector<std::string>& folders,
                                  const std::string& extension) {
  std::vector<fs::path> files;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.path().extension() == extension) files.push_back(entry.path());
    }
  }
  return files;
}

// The string literals of a source, adjacent ones joined. What is put in between or behind at run
// time is an "x". A quote in a character literal or a comment is not worth a parser here: it is
// blanked out before.
std::vector<std::string> literals_of(std::string source) {
  source = std::regex_replace(source, std::regex(R"('\\?"')"), "' '");
  source = std::regex_replace(source, std::regex(R"((^|\n)\s*//[^\n]*)"), "\n");
  std::vector<std::string> found;
  bool goes_on = false;
  for (size_t at = source.find('"'); at != std::string::npos; at = source.find('"', at)) {
    std::string text;
    for (++at; at < source.size() && source[at] != '"'; ++at) {
      if (source[at] == '\\') ++at;
      text += source[at] == 'n' && source[at - 1] == '\\' ? '\n' : source[at];
    }
    ++at;
    if (goes_on) {
      found.back() += text;
    } else {
      found.push_back(text);
    }
    const size_t next = source.find('"', at);
    const std::string between = next == std::string::npos ? "" : source.substr(at, next - at);
    const size_t first = between.find_first_not_of(" \n");
    const bool is_sum = first != std::string::npos && between[first] == '+';
    goes_on = next != std::string::npos && (first == std::string::npos || is_sum) &&
              between.find_first_of(";{}") == std::string::npos;
    if (is_sum) found.back() += 'x';
  }
  return found;
}

// As a shell takes a line apart, up to where another command begins. Empty: it is no command but
// says how commands look.
Words words_of(const std::string& line) {
  Words words;
  std::string word;
  bool is_word = false;
  char quote = 0;
  for (const char c : line) {
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      is_word = true;
    } else if (c == quote) {
      quote = 0;
    } else if (quote == 0 && std::string_view("|;&<>)#\n").find(c) != std::string_view::npos) {
      break;
    } else if (quote == 0 && c == ' ') {
      if (is_word) words.push_back(std::exchange(word, {}));
      is_word = false;
    } else {
      if (quote == 0 && (c == '[' || c == '{')) return {};
      word += c;
      is_word = true;
    }
  }
  if (is_word) words.push_back(word);
  return words;
}

// The parser's complaint; empty: it understands. Texts may name a verb without what it needs.
std::string complaint(Words words) {
  words.erase(words.begin());  // zgrid
  if (!words.empty() && words.back() == "…") words.pop_back();
  const auto result = parse(words);
  if (result) return {};
  const std::string& why = result.error().message;
  const bool is_part = why.find(" is required") != std::string::npos ||
                       why.find(" needs one of:") != std::string::npos;
  return is_part ? std::string() : why;
}

bool is_placeholder(const std::string& command) {
  return command.rfind("zgrid VERB", 0) == 0 || command.rfind("zgrid __", 0) == 0;
}

bool is_verb(const std::string& word) {
  static const std::vector<VerbInfo> kVerbs = grammar().verbs;
  return std::any_of(kVerbs.begin(), kVerbs.end(),
                     [&](const VerbInfo& verb) { return verb.name == word; });
}

// Commands that stand in the middle of a sentence without quotes end where a prefix of it can be
// parsed that has all its options.
void expect_known(const std::string& sentence, const std::string& where) {
  Words words = words_of(sentence.substr(0, sentence.find_first_of(",:")));
  if (words.size() < 2 || !is_verb(words[1])) return;
  const std::string why = complaint(words);
  while (words.size() > 1 && !complaint(words).empty()) {
    EXPECT_NE(words.back().rfind("--", 0), 0u) << where << ": " << sentence << "\n" << why;
    words.pop_back();
  }
  EXPECT_GT(words.size(), 1u) << where << ": " << sentence << "\n" << why;
}

TEST(HintsTest, WhatASourceTellsPeopleToTypeCanBeTyped) {
  const std::regex quoted(R"(['`](zgrid [^'`]*)['`])");
  const std::regex bare(R"((?:^|[ (:])(zgrid [a-z]+ [^\n;()'`]*))");
  const std::regex example(R"((?:^|\n)  (zgrid [^\n]*))");
  size_t seen = 0;
  for (const fs::path& path :
       files_below({"client", "broker", "worker", "conf", "protocol"}, ".cpp")) {
    for (const std::string& literal : literals_of(text_of(path))) {
      const std::sregex_iterator end;
      for (std::sregex_iterator i(literal.begin(), literal.end(), quoted); i != end; ++i) {
        const std::string command = (*i)[1];
        const Words words = words_of(command);
        if (words.empty() || is_placeholder(command)) continue;
        EXPECT_EQ(complaint(words), "") << path << ": " << command;
        ++seen;
      }
      const bool is_example = std::regex_search(literal, example);
      if (is_example || std::regex_search(literal, quoted)) continue;
      for (std::sregex_iterator i(literal.begin(), literal.end(), bare); i != end; ++i) {
        expect_known((*i)[1], path.string());
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 50u);  // so it has not become blind
}

TEST(HintsTest, EveryExampleOfTheHelpCanBeTyped) {
  const std::regex example(R"(\n  (zgrid [^\n]*))");
  size_t seen = 0;
  for (const fs::path& path : files_below({"client/cli"}, ".cpp")) {
    for (const std::string& literal : literals_of(text_of(path))) {
      const std::string text = "\n" + literal;
      for (std::sregex_iterator i(text.begin(), text.end(), example), end; i != end; ++i) {
        std::string command = (*i)[1];
        command = command.substr(0, command.find("  "));  // what follows explains
        const Words words = words_of(command);
        if (words.empty()) continue;
        EXPECT_EQ(complaint(words), "") << path << ": " << command;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 50u);
}

TEST(HintsTest, EveryCommandOfTheDocumentsCanBeTyped) {
  const std::regex in_line(R"(`(zgrid [^`\n]*)`)");
  const std::regex in_block(R"((?:^|\n)(?:[a-z]+=\$\(|[^`\n]*\| |\$ )?(zgrid [^\n]*))");
  size_t seen = 0;
  std::vector<fs::path> files = files_below({"docs", "examples"}, ".md");
  files.push_back(kRoot / "README.md");
  for (const fs::path& path : files) {
    const std::string text = text_of(path);
    for (const std::regex& form : {in_line, in_block}) {
      for (std::sregex_iterator i(text.begin(), text.end(), form), end; i != end; ++i) {
        const std::string command = (*i)[1];
        const Words words = words_of(command);
        if (words.size() < 2 || is_placeholder(command)) continue;
        EXPECT_EQ(complaint(words), "") << path << ": " << command;
        ++seen;
      }
    }
  }
  EXPECT_GT(seen, 50u);
}

}  // namespace
}  // namespace zgrid::cli
