#include "client/cli/parse.h"

#include <algorithm>
#include <array>
#include <optional>

#include "client/cli/parser.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

Result<Colour> parse_colour(const std::string& text) {
  if (text.empty() || text == "auto") return Colour::automatic;
  if (text == "always") return Colour::always;
  if (text == "never") return Colour::never;
  return fail(Errc::usage, "--color: '" + text + "' is not auto, always or never");
}

// Verbs for shells and for the build, which --help does not show: what follows is not for CLI11.
std::optional<Command> hidden(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return std::nullopt;
  if (arguments[0] == "__complete") {
    const size_t first = arguments.size() > 1 && arguments[1] == "--" ? 2 : 1;
    return CompleteCommand{
        {arguments.begin() + static_cast<std::ptrdiff_t>(first), arguments.end()}};
  }
  if (arguments[0] == "__man" && arguments.size() == 3) {
    return ManCommand{arguments[1], arguments[2]};
  }
  return std::nullopt;
}

}  // namespace

void reject(const std::string& option, const std::string& value, const std::string& expected) {
  throw CLI::ValidationError(option, "'" + value + "' is not " + expected);
}

uint64_t number(const std::string& option, const std::string& text, uint64_t max) {
  const bool digits =
      !text.empty() && text.size() < 19 &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoull(text) > max) {
    reject(option, text, "a whole number up to " + std::to_string(max));
  }
  return std::stoull(text);
}

void add_duration(CLI::App* app, const std::string& name, Millis& into, const std::string& help) {
  app->add_option_function<std::string>(
         name,
         [&into, name](const std::string& text) { into = value_of(name, parse_duration(text)); },
         help)
      ->type_name("D");
}

CLI::Option* add_list(CLI::App* app, const std::string& name, std::vector<std::string>& into,
                      const std::string& help) {
  return app->add_option(name, into, help)->allow_extra_args(false);
}

CLI::Option* add_filled(CLI::App* app, const std::string& name, std::string& into,
                        const std::string& help) {
  const auto take = [&into, name](const std::string& text) {
    if (text.empty()) reject(name, text, "anything; an unset variable, perhaps?");
    into = text;
  };
  return app->add_option_function<std::string>(name, take, help);
}

void add_run_name(CLI::App* app, std::string& into, const std::string& help) {
  app->add_option_function<std::string>(
         "--run",
         [&into](const std::string& text) {
           if (!is_name(text)) reject("--run", text, "a name: 1 to 63 of A-Z a-z 0-9 . _ -");
           into = text;
         },
         help)
      ->type_name("NAME");
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

Parser::Parser(std::string_view verb) {
  app_.formatter(help_format());  // the verbs inherit it
  app_.set_help_flag("-h,--help", "print this help");
  app_.require_subcommand(0, 1);
  app_.fallthrough();
  app_.footer(
      "Examples:\n"
      "  zgrid up                                      a grid of one machine\n"
      "  zgrid secret new --out ~/.config/zgrid/secret  then copy it to every machine\n"
      "  zgrid broker --lan                            on one machine\n"
      "  zgrid worker --lan --workflows jobs.toml      on each machine\n"
      "  zgrid submit workflow hash --text @file\n"
      "  zgrid submit prompt 'Why is the sky blue?' --on all\n"
      "\n'zgrid VERB --help' tells more, with examples.");
  add_globals();
  struct Family {
    std::string_view verbs;  // with a blank around each
    void (Parser::*add)();
  };
  constexpr std::array<Family, 11> kFamilies{{
      {" secret config version ", &Parser::add_local_verbs},
      {" broker worker up ", &Parser::add_processes},
      {" submit ", &Parser::add_submit},
      {" run ", &Parser::add_run},
      {" wait result cancel retry attach ", &Parser::add_job_verbs},
      {" jobs workers status drain undrain discover ", &Parser::add_views},
      {" dlq ", &Parser::add_dead_letters},
      {" store ", &Parser::add_store},
      {" bench ", &Parser::add_bench},
      {" explain workflows workflow doctor events logs ", &Parser::add_why},
      {" completion ", &Parser::add_shell},
  }};
  const std::string wanted = " " + std::string(verb) + " ";
  const auto has_it = [&](const Family& family) {
    return !verb.empty() && family.verbs.find(wanted) != std::string_view::npos;
  };
  const bool is_known = std::any_of(kFamilies.begin(), kFamilies.end(), has_it);
  for (const Family& family : kFamilies) {
    if (!is_known || has_it(family)) (this->*family.add)();
  }
}

void Parser::add_globals() {
  app_.add_option("--config", globals_.config, "read this configuration file only")
      ->type_name("FILE");
  app_.add_option("--secret-file", globals_.secret_file, "the grid's secret")->type_name("FILE");
  add_list(&app_, "--broker", globals_.brokers, "a broker's address (default: discover it)")
      ->type_name("ADDR");
  app_.add_flag("--json", globals_.json, "one JSON document, or JSON Lines for streams");
  app_.add_flag("--quiet", globals_.quiet, "no notes on stderr");
  app_.add_flag("--color{always}", colour_, "colour: auto (default), always or never")
      ->type_name("WHEN");
  app_.add_option("--log-level", globals_.log_level, "trace, debug, info, warn, error or off")
      ->type_name("LEVEL");
  app_.add_option("--log-format", globals_.log_format, "text or json")->type_name("FORMAT");
  app_.add_option_function<std::string>(
          "--timeout",
          [this](const std::string& text) {
            globals_.timeout = value_of("--timeout", parse_duration(text));
          },
          "how long this command waits (the job goes on)")
      ->type_name("D");
  app_.add_flag("--lan{true}", lan_, "use the network: all interfaces, or --lan=IF,…")
      ->type_name("IF,…");
  app_.add_flag("--version", version_, "print the version");
}

CLI::App* Parser::sub(CLI::App* parent, const std::string& name, const std::string& help,
                      const std::string& examples) {
  CLI::App* app = parent->add_subcommand(name, help);
  app->fallthrough();
  app->footer(examples.empty() ? std::string() : "Examples:\n" + examples);  // not the parent's
  return app;
}
CLI::App* Parser::verb(const std::string& name, const std::string& help,
                       const std::string& examples) {
  return sub(&app_, name, help, examples);
}

void Parser::add_local_verbs() {
  CLI::App* secret = verb("secret", "make and look at the grid's secret", "");
  secret->require_subcommand(1);
  CLI::App* fresh = sub(secret, "new", "make a new secret of 256 random bits",
                        "  zgrid secret new --out ~/.config/zgrid/secret\n"
                        "  zgrid secret new | ssh gpu1 'umask 077; cat > ~/.config/zgrid/secret'");
  fresh->add_option("--out", secret_new_.out, "write it there (mode 0600), never over a file")
      ->type_name("FILE");
  makes(fresh, secret_new_);
  makes(sub(secret, "check", "tell where the secret comes from and how good it is",
            "  zgrid secret check"),
        secret_check_);
  CLI::App* keys = sub(secret, "keys", "print the Z85 keys of a role, for foreign peers",
                       "  zgrid secret keys --role worker --json");
  keys->add_option_function<std::string>(
          "--role",
          [this](const std::string& text) {
            if (text != "worker" && text != "client") reject("--role", text, "worker or client");
            secret_keys_.role = text == "worker" ? protocol::Role::worker : protocol::Role::client;
          },
          "worker or client")
      ->required();
  makes(keys, secret_keys_);

  CLI::App* config = verb("config", "show and check the configuration", "");
  config->require_subcommand(1);
  CLI::App* show =
      sub(config, "show", "every key with its value", "  zgrid config show --origin | grep broker");
  show->add_flag("--origin", config_show_.origin, "and where each came from");
  makes(show, config_show_);
  CLI::App* check = sub(config, "check", "find mistakes in configuration files",
                        "  zgrid config check zgrid.toml");
  check->add_option("FILE", config_check_.file, "instead of the files that would be read");
  makes(check, config_check_);
  makes(sub(config, "schema", "every key with its meaning, unit and default; --json: a JSON Schema",
            "  zgrid config schema > zgrid.toml\n  zgrid config schema --json > zgrid.schema.json"),
        config_schema_);

  makes(verb("version", "print the version", ""), version_command_);
}

void Parser::broker_flags(CLI::App* app, BrokerFlags& flags) {
  add_list(app, "--bind", flags.bind, "listen there (default tcp://127.0.0.1:5670)")
      ->type_name("ENDPOINT");
  app->add_option("--store", flags.store, "a database's path, or memory")->type_name("PATH");
  app->add_flag("--no-beacon", flags.no_beacon, "do not announce it");
}

void Parser::worker_flags(CLI::App* app, WorkerFlags& flags, bool with_name) {
  if (with_name) {
    app->add_option("--name", flags.name, "its name (default: the host's)")->type_name("NAME");
  }
  add_number(app, "--slots", flags.slots, limits::kSlotsMax,
             "how many jobs at the same time (default: the number of cores)");
  app->add_option_function<std::vector<std::string>>(
         "--tag",
         [&flags](const std::vector<std::string>& values) {
           for (const std::string& value : values) {
             const size_t equals = value.find('=');
             if (equals == std::string::npos || equals == 0) reject("--tag", value, "KEY=VALUE");
             flags.tags.emplace_back(value.substr(0, equals), value.substr(equals + 1));
           }
         },
         "a property that jobs can ask for")
      ->allow_extra_args(false)
      ->type_name("K=V");
  add_list(app, "--workflows", flags.workflows, "workflow files, or folders of them")
      ->type_name("FILE|DIR");
}

void Parser::add_processes() {
  CLI::App* broker = verb("broker", "run a broker",
                          "  zgrid broker\n"
                          "  zgrid broker --lan\n"
                          "  zgrid broker --bind tcp://10.0.0.1:5670 --store /srv/zgrid.db");
  broker_flags(broker, broker_.broker);
  broker->add_option("--name", broker_.broker.name, "its name (default: the host's)")
      ->type_name("NAME");
  makes(broker, broker_);

  CLI::App* worker = verb("worker", "run a worker",
                          "  zgrid worker --workflows jobs.toml\n"
                          "  zgrid worker --lan --name gpu1 --slots 2 --tag gpu=yes");
  worker_flags(worker, worker_.worker, true);
  makes(worker, worker_);

  CLI::App* up = verb("up", "broker and worker in one process; others may join",
                      "  zgrid up\n  zgrid up --lan --workflows jobs.toml");
  broker_flags(up, up_.broker);
  worker_flags(up, up_.worker, true);
  makes(up, up_);
}

Result<Parsed> Parser::run(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app_.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    return Parsed{globals_, HelpCommand{app_.help()}};
  } catch (const CLI::ParseError& problem) {
    return fail(usage_error(app_, problem));
  }
  if (!lan_.empty()) {
    globals_.lan = true;
    if (lan_ != "true") globals_.interfaces = split_commas(lan_);
  }
  if (auto colour = parse_colour(colour_)) {
    globals_.colour = *colour;
  } else {
    return fail(colour.error());
  }
  if (version_) return Parsed{globals_, VersionCommand{}};
  if (!chosen_) {
    return fail(Errc::usage, "what to do is missing", "see 'zgrid --help' for the verbs");
  }
  return Parsed{globals_, chosen_()};
}

Result<Parsed> parse(std::vector<std::string> arguments) {
  if (auto command = hidden(arguments)) return Parsed{{}, std::move(*command)};
  // Later arguments may be the value of an option.
  const std::string first = arguments.empty() ? "" : arguments.front();
  try {
    return Parser(first).run(std::move(arguments));
  } catch (const CLI::Error& problem) {
    return fail(Errc::internal, std::string("command line: ") + problem.what());
  }
}

bool wants_json(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return false;
    if (argument == "--json") return true;
  }
  return false;
}

}  // namespace zgrid::cli
