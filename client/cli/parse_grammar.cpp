// The command line as plain data.
#include "client/cli/grammar.h"

#include <algorithm>

#include "client/cli/parser.h"

namespace zgrid::cli {
namespace {

OptionInfo describe(const CLI::Option& option) {
  OptionInfo info;
  info.is_positional = !option.nonpositional();
  if (info.is_positional) {
    info.value = option.get_name();
  } else {
    for (const std::string& name : option.get_snames()) info.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) info.names.push_back("--" + name);
    const bool is_flag = option.get_expected_max() == 0 || option.get_type_size_max() == 0;
    // Only a flag that stands for a value when it has none was declared with one: --name{VALUE}.
    info.is_value_optional = is_flag && !option.get_fnames().empty();
    if (info.is_value_optional) info.value = option.get_type_name();
    if (!is_flag) info.value = option.get_type_name().empty() ? "TEXT" : option.get_type_name();
  }
  info.help = option.get_description();
  info.is_required = option.get_required();
  info.is_repeatable = option.get_expected_max() > 1;
  return info;
}

VerbInfo describe(const CLI::App& app) {
  VerbInfo info;
  info.name = app.get_name();
  info.help = app.get_description();
  info.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) info.options.push_back(describe(*option));
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* verb : app.get_subcommands(all)) info.verbs.push_back(describe(*verb));
  return info;
}

}  // namespace

VerbInfo Parser::grammar() const { return describe(app_); }

VerbInfo grammar() { return Parser().grammar(); }

const VerbInfo* find_verb(const VerbInfo& parent, const std::string& name) {
  const auto found = std::find_if(parent.verbs.begin(), parent.verbs.end(),
                                  [&](const VerbInfo& verb) { return verb.name == name; });
  return found == parent.verbs.end() ? nullptr : &*found;
}

}  // namespace zgrid::cli
