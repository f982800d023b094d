// What --help looks like, and what is said of a command line that cannot be understood.
#include <algorithm>

#include "client/cli/characters.h"
#include "client/cli/parser.h"
#include "protocol/base/nearest.h"

namespace zgrid::cli {
namespace {

// CLI11's own names what an option excludes in an order that changes from run to run, shows how a
// flag with a value was declared, and counts bytes as columns.
class HelpFormat final : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    std::string line = "  " + name_of(*option, is_positional);
    if (option->get_expected_max() > 1) line += " ...";
    const size_t width = display_width(line);
    const size_t column = get_column_width();
    line += width < column ? std::string(column - width, ' ') : "\n" + std::string(column, ' ');
    return line + option->get_description() + "\n";
  }
  std::string make_footer(const CLI::App* app) const override {
    const std::string footer = CLI::Formatter::make_footer(app);
    if (app->get_parent() == nullptr) return footer;
    return footer + (footer.empty() ? "" : "\n") + "Options of every command: 'zgrid --help'.\n";
  }

 private:
  static std::string name_of(const CLI::Option& option, bool is_positional) {
    if (is_positional) return option.get_name();
    std::string name = option.get_name(false, true);
    const bool has_default = !option.get_fnames().empty();
    if (const size_t brace = name.find('{'); brace != std::string::npos) name.resize(brace);
    if (has_default) return name + "[=" + option.get_type_name() + "]";
    const bool is_flag = option.get_expected_max() == 0 || option.get_type_size_max() == 0;
    if (is_flag) return name;
    return name + " " + (option.get_type_name().empty() ? "TEXT" : option.get_type_name());
  }
};

// The deepest verb that was given, with all above it.
std::vector<const CLI::App*> path_of(const CLI::App& app) {
  std::vector<const CLI::App*> path{&app};
  while (!path.back()->get_subcommands().empty()) {
    path.push_back(path.back()->get_subcommands().front());
  }
  return path;
}

// As the user would type it.
std::string text_of(const std::vector<const CLI::App*>& path) {
  std::string text;
  for (const CLI::App* app : path) text += (text.empty() ? "" : " ") + app->get_name();
  return text;
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(verb->get_name());
  }
  return names;
}

// Those of a verb may stand behind the verbs below it.
std::vector<std::string> options_of(const std::vector<const CLI::App*>& path) {
  std::vector<std::string> names;
  for (const CLI::App* app : path) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

// What is left over, with the word that was probably meant.
void describe_extras(const std::vector<const CLI::App*>& path, Error& error) {
  const std::vector<std::string> extras = path.front()->remaining(true);
  if (extras.empty()) return;
  const auto is_option = [](const std::string& word) { return word.size() > 1 && word[0] == '-'; };
  const auto option = std::find_if(extras.begin(), extras.end(), is_option);
  std::optional<std::string> meant;
  if (option != extras.end()) {
    const std::string name = option->substr(0, option->find('='));
    error.message = "'" + text_of(path) + "' has no option " + name;
    meant = nearest(name, options_of(path));
  } else if (const auto verbs = verbs_of(*path.back()); !verbs.empty()) {
    error.message = "there is no '" + text_of(path) + " " + extras.front() + "'";
    meant = nearest(extras.front(), verbs);
  } else {
    error.message = "'" + text_of(path) + "' does not expect '" + extras.front() + "'";
  }
  if (meant) error.hint = "did you mean " + *meant + "? " + error.hint;
}

void describe_missing_verb(const std::vector<const CLI::App*>& path, Error& error) {
  error.message = "'" + text_of(path) + "' needs one of:";
  const auto verbs = verbs_of(*path.back());
  for (const std::string& verb : verbs) {
    error.message += (verb == verbs.front() ? " " : ", ") + verb;
  }
}

// "--broker: 1 required ADDR missing"
void describe_missing_value(Error& error) {
  const std::string_view count = ": 1 required ";
  const std::string_view end = " missing";
  const size_t at = error.message.find(count);
  if (at == std::string::npos || !error.message.ends_with(end)) return;
  const size_t value = at + count.size();
  const size_t length = error.message.size() - end.size() - value;
  error.message =
      error.message.substr(0, at) + " needs a value: " + error.message.substr(value, length);
}

}  // namespace

std::shared_ptr<CLI::FormatterBase> help_format() { return std::make_shared<HelpFormat>(); }

Error usage_error(const CLI::App& app, const CLI::ParseError& problem) {
  const auto path = path_of(app);
  Error error{Errc::usage, problem.what(), "see '" + text_of(path) + " --help'", Effect::none, 0};
  // Our own checks put their hint on a second line.
  if (const size_t end = error.message.find('\n'); end != std::string::npos) {
    if (end + 1 < error.message.size()) error.hint = error.message.substr(end + 1);
    error.message.resize(end);
  }
  while (!error.message.empty() && (error.message.back() == '.' || error.message.back() == ' ')) {
    error.message.pop_back();
  }
  const bool lacks_verb = path.back()->get_subcommands().empty() && !verbs_of(*path.back()).empty();
  const bool needs_verb =
      dynamic_cast<const CLI::RequiredError*>(&problem) != nullptr && lacks_verb;
  const bool has_extras = dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr;
  if (needs_verb) describe_missing_verb(path, error);
  if (needs_verb || has_extras) describe_extras(path, error);
  describe_missing_value(error);
  return error;
}

}  // namespace zgrid::cli
