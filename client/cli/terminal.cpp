#include "client/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>

namespace zgrid::cli {
namespace {

std::string variable(const conf::Environment& env, const char* name) {
  const auto found = env.variables.find(name);
  return found == env.variables.end() ? std::string() : found->second;
}

size_t columns_of_environment(const conf::Environment& env) {
  const std::string text = variable(env, "COLUMNS");
  size_t columns = 0;
  std::from_chars(text.data(), text.data() + text.size(), columns);
  return columns == 0 ? kColumnsDefault : columns;
}

}  // namespace

size_t columns_of(int fd, size_t otherwise) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return otherwise;
  return size.ws_col;
}

bool wants_colour(Colour wish, const conf::Environment& env, bool is_terminal) {
  if (!variable(env, "NO_COLOR").empty()) return false;
  switch (wish) {
    case Colour::always: return true;
    case Colour::never: return false;
    case Colour::automatic: return is_terminal && variable(env, "TERM") != "dumb";
  }
  return false;
}

Style style_of(const Globals& globals, const conf::Environment& env) {
  Style style;
  style.json = globals.json;
  style.quiet = globals.quiet;
  style.is_terminal = ::isatty(STDOUT_FILENO) == 1;
  style.notes_on_terminal = ::isatty(STDERR_FILENO) == 1;
  style.colour = wants_colour(globals.colour, env, style.is_terminal);
  style.notes_colour = wants_colour(globals.colour, env, style.notes_on_terminal);
  if (style.is_terminal) style.columns = columns_of(STDOUT_FILENO, columns_of_environment(env));
  return style;
}

}  // namespace zgrid::cli
