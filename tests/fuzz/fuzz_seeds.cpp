// Writes the corpus that the fuzzers start from: fuzz_seeds SOURCE_FOLDER CORPUS_FOLDER.
#include <filesystem>
#include <iostream>

#include "tests/fuzz/frames_of.h"
#include "tests/golden/hex_file.h"

namespace {

namespace fs = std::filesystem;
using namespace zgrid;

int written = 0;

void write(const fs::path& folder, std::string_view bytes) {
  fs::create_directories(folder);
  std::ofstream(folder / ("seed-" + std::to_string(written++)), std::ios::binary) << bytes;
}

void messages(const fs::path& source, const fs::path& corpus) {
  for (const auto& file : fs::directory_iterator(source / "tests/golden/zgrid-1")) {
    std::ifstream stream(file.path());
    for (const auto& [title, frames] : golden::parse(stream)) {
      if (title.starts_with("beacon")) {
        write(corpus / "beacon", frames.at(0).view());
        continue;
      }
      const bool is_struct = file.path().stem() == "derived";
      const bool is_large = title == "large payloads";
      if (is_large) continue;
      write(corpus / "decode", is_struct ? frames.at(0).str() : fuzz::join(frames));
    }
  }
}

void files(const fs::path& folder, const fs::path& into) {
  if (!fs::exists(folder)) return;
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().extension() != ".toml") continue;
    std::ifstream stream(file.path(), std::ios::binary);
    write(into, std::string(std::istreambuf_iterator<char>(stream), {}));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: fuzz_seeds SOURCE_FOLDER CORPUS_FOLDER\n";
    return 2;
  }
  const fs::path source = arguments[1], corpus = arguments[2];
  messages(source, corpus);
  files(source / "conf", corpus / "toml");
  files(source / "examples", corpus / "toml");
  write(corpus / "toml", "a = 1\n[b]\nc = [\"d\", 2.5, true]\n[[e]]\nf = { g = \"h\" }\n");
  for (const char* json : {"{}", "[1,-2.5e3,true,false,null]", "\"\\u00e9\\ud83d\\ude00\"",
                           "{\"a\":{\"b\":[{}]},\"c\":\"\"}", "18446744073709551615"}) {
    write(corpus / "json", json);
  }
  return 0;
}
