#include "client/cli/cli.h"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>

#include "client/cli/app.h"
#include "client/cli/parse.h"
#include "client/cli/terminal.h"

namespace zgrid::cli {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

std::string user_name() {
  const passwd* entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(::geteuid());
}

// Destructors of globals, with libzmq's threads still running, are what this leaves out.
[[noreturn]] void end_process(int exit) {
  std::cout.flush();
  std::fflush(nullptr);
  ::_exit(exit);
}

// A name of the grid: 1 to 63 of A-Z a-z 0-9 . _ -, whatever the host is called.
std::string as_name(std::string text) {
  for (char& c : text) {
    const bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '_' || c == '-';
    if (!ok) c = '-';
  }
  return text.substr(0, 63);
}

}  // namespace

int run_cli(std::vector<std::string> arguments) {
  const conf::Environment env = conf::Environment::current();
  Globals globals;
  globals.json = wants_json(arguments);
  auto parsed = parse(std::move(arguments));
  if (parsed) globals = parsed->globals;
  const auto out = make_renderer(style_of(globals, env));
  const std::string host = host_name();
  bool has_left = false;
  App app{env, globals, *out, ZGRID_VERSION, as_name(host), user_name() + "@" + host, &has_left};
  if (!parsed) return fail_with(app, parsed.error());
  int exit = std::visit([&app](const auto& command) { return run(app, command); }, parsed->command);
  if (auto written = out->finish(); !written && exit == 0) exit = fail_with(app, written.error());
  if (has_left) end_process(exit);
  return exit;
}

}  // namespace zgrid::cli
