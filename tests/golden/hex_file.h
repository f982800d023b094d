// Golden files: text that pins bytes, one file for each kind of message.
//
//   # a comment
//   [name of a case]
//   0: 93 01 01 80         frame 0, in hex
//      81 01 02            its next bytes
//   1: 61*40000            frame 1: the byte 61, forty thousand times
#pragma once

#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "protocol/codec.h"

namespace zgrid::golden {

using Cases = std::map<std::string, protocol::Frames>;

inline std::string to_hex_lines(std::string_view bytes) {
  constexpr size_t kColumns = 96;
  std::string text;
  size_t column = 0;
  for (size_t at = 0; at < bytes.size();) {
    size_t run = 1;
    while (at + run < bytes.size() && bytes[at + run] == bytes[at]) ++run;
    if (run < 16) run = 1;
    char word[32];
    std::snprintf(word, sizeof word, "%02x", static_cast<unsigned char>(bytes[at]));
    std::string token(word);
    if (run > 1) token += "*" + std::to_string(run);
    if (column + token.size() > kColumns) {
      text += "\n  ";
      column = 0;
    }
    text += " " + token;
    column += token.size() + 1;
    at += run;
  }
  return text + "\n";
}

inline std::string format(const std::string& comment, const Cases& cases) {
  std::string text = comment;
  for (const auto& [name, frames] : cases) {
    text += "\n[" + name + "]\n";
    for (size_t i = 0; i < frames.size(); ++i) {
      text += std::to_string(i) + ":" + to_hex_lines(frames[i].view());
    }
  }
  return text;
}

inline Cases parse(std::istream& file) {
  Cases cases;
  std::string name;
  std::vector<std::string> frames;
  const auto close = [&] {
    for (std::string& frame : frames) cases[name].push_back(Bytes::own(std::move(frame)));
    frames.clear();
  };
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      close();
      name = line.substr(1, line.size() - 2);
      continue;
    }
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word.ends_with(':')) {
        frames.emplace_back();
        continue;
      }
      const size_t star = word.find('*');
      const size_t times = star == std::string::npos ? 1 : std::stoul(word.substr(star + 1));
      frames.at(frames.size() - 1)
          .append(times, static_cast<char>(std::stoul(word.substr(0, star), nullptr, 16)));
    }
  }
  close();
  return cases;
}

}  // namespace zgrid::golden
