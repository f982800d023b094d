// config: what holds and where it came from, what is wrong, and what there is.
#include <filesystem>

#include "client/cli/app.h"
#include "conf/schema.h"

namespace zgrid::cli {
namespace {

// What an editor needs to check a value of that type; `pattern` where its text has a form.
Json type_json(const std::string& type) {
  const auto texts = [] { return Json::object().set("type", "string"); };
  if (type == "true or false") return Json::object().set("type", "boolean");
  if (type == "whole number") return Json::object().set("type", "integer").set("minimum", 0);
  if (type == "duration") {
    return texts().set("pattern", "^(0|[0-9]+(\\.[0-9]+)?(ms|s|m|h|d))$");
  }
  if (type == "size") {
    return Json::object()
        .set("type", Json::array().push("string").push("integer"))
        .set("pattern", "^[0-9]+(\\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)?$");
  }
  if (type == "list of texts" || type == "list of paths") {
    return Json::object()
        .set("type", Json::array().push("array").push("string"))
        .set("items", texts());
  }
  if (type == "table of texts") {
    return Json::object().set("type", "object").set("additionalProperties", texts());
  }
  return texts();
}

Json provider_json() {
  Json properties = Json::object();
  for (const char* name : {"name", "kind", "base_url", "api_key_env", "api_key_file"}) {
    properties.set(name, Json::object().set("type", "string"));
  }
  for (const char* name : {"models", "argv"}) properties.set(name, type_json("list of texts"));
  properties.set("concurrency", type_json("whole number"));
  properties.set("time_limit", type_json("duration"));
  Json price = Json::object().set("type", "object");
  price.set("properties", Json::object()
                              .set("input", Json::object().set("type", "number"))
                              .set("output", Json::object().set("type", "number")));
  properties.set("price", std::move(price));
  return Json::object()
      .set("type", "array")
      .set("description", "Who answers prompts on this worker.")
      .set("items", Json::object()
                        .set("type", "object")
                        .set("required", Json::array().push("name").push("kind"))
                        .set("additionalProperties", false)
                        .set("properties", std::move(properties)));
}

// The members of a JSON Schema; the one of ours beside them is an annotation to it.
Json::Object schema_members() {
  Json tables = Json::object();
  Json properties = Json::object();
  std::string table;
  const auto close = [&] {
    if (table.empty()) return;
    if (table == "worker") properties.set("provider", provider_json());
    tables.set(table, Json::object()
                          .set("type", "object")
                          .set("additionalProperties", false)
                          .set("properties", std::exchange(properties, Json::object())));
  };
  for (const conf::KeyDescription& key : conf::describe_keys()) {
    if (key.table != table) close();
    table = key.table;
    properties.set(key.name, type_json(key.type)
                                 .set("description", key.meaning)
                                 .set("x-zgrid-type", key.type)
                                 .set("x-zgrid-default", key.default_value)
                                 .set("x-zgrid-variable", key.variable));
  }
  close();
  return {{"$schema", Json("https://json-schema.org/draft/2020-12/schema")},
          {"title", Json("zgrid.toml")},
          {"type", Json("object")},
          {"additionalProperties", Json(false)},
          {"properties", std::move(tables)}};
}

// Where the secret is found; never what it is.
std::string secret_origin(const App& app, const conf::Settings& settings) {
  const auto source = conf::find_secret(app.env, settings, app.globals.secret_file);
  return source.file.empty() ? "the variable " + source.origin : source.file;
}

}  // namespace

int run(App& app, const ConfigShowCommand& command) {
  auto settings = load_settings(app);
  if (!settings) return fail_with(app, settings.error());
  std::string text;
  Json list = Json::array();
  for (const conf::Shown& shown : conf::show(*settings)) {
    text += shown.key + " = " + shown.value + (command.origin ? "  # " + shown.origin : "") + "\n";
    list.push(
        Json::object().set("key", shown.key).set("value", shown.value).set("origin", shown.origin));
  }
  const std::string secret = secret_origin(app, *settings);
  text += "# the secret is read from " + secret + " and never shown";
  app.out.facts(text,
                {{"settings", std::move(list)}, {"secret", Json::object().set("origin", secret)}});
  return 0;
}

int run(App& app, const ConfigCheckCommand& command) {
  const std::string& file = command.file.empty() ? app.globals.config : command.file;
  if (!file.empty() && !std::filesystem::exists(file)) {
    return fail_with(app, {Errc::not_found, "no file '" + file + "'", "", Effect::none, 0});
  }
  conf::Settings settings;
  const std::vector<Error> problems = conf::check(app.env, file, settings);
  const std::string what = file.empty() ? "the configuration" : file;
  Json list = Json::array();
  for (const Error& problem : problems) {
    app.out.error(problem);
    list.push(Json::object()
                  .set("message", problem.message)
                  .set("hint", problem.hint.empty() ? Json() : Json(problem.hint)));
  }
  if (problems.empty() || app.globals.json) {
    app.out.facts(what + " is valid",
                  {{"valid", Json(problems.empty())}, {"errors", std::move(list)}});
  }
  return problems.empty() ? 0 : exit_code(Errc::config);
}

int run(App& app, const ConfigSchemaCommand&) {
  std::string text(conf::reference());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  app.out.facts(text, schema_members());
  return 0;
}

}  // namespace zgrid::cli
