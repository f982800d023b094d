// help, version, secret: what needs no broker.
#include "client/cli/app.h"

namespace zgrid::cli {

int run(App& app, const HelpCommand& command) {
  std::string text = command.text;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  app.out.facts(text, {{"help", Json(text)}});
  return 0;
}

int run(App& app, const VersionCommand&) {
  app.out.facts("zgrid " + app.version,
                {{"version", Json(app.version)}, {"protocol", Json(int{protocol::kVersion})}});
  return 0;
}

int run(App& app, const SecretNewCommand& command) {
  const std::string secret = protocol::new_secret();
  if (command.out.empty()) {
    app.out.facts(secret, {{"secret", Json(secret)}});
    return 0;
  }
  if (auto ok = write_secret(command.out, secret); !ok) return fail_with(app, ok.error());
  app.out.note("wrote a new secret to " + command.out + "; copy it to every machine of the grid");
  if (app.globals.json) app.out.facts("", {{"file", Json(command.out)}});
  return 0;
}

int run(App& app, const SecretCheckCommand&) {
  auto settings = load_settings(app);
  if (!settings) return fail_with(app, settings.error());
  auto secret = load_secret(app, *settings);
  if (!secret) return fail_with(app, secret.error());
  auto info = protocol::inspect_secret(secret->text);
  if (!info) {
    Error error = info.error();
    error.message = secret->origin + ": " + error.message;
    return fail_with(app, error);
  }
  auto roots = load_roots(app, *settings);
  if (!roots) return fail_with(app, roots.error());
  const std::string grid = protocol::grid_id(roots->front());
  const std::string kind = info->generated
                               ? std::string("a generated secret of 256 bits")
                               : "a passphrase of " + std::to_string(info->length) + " characters";
  std::string text = secret->origin + ": " + kind + "; grid " + grid;
  if (roots->size() > 1) {
    text += "; the previous secret's grid is " + protocol::grid_id(roots->at(1));
  }
  app.out.facts(text, {{"origin", Json(secret->origin)},
                       {"generated", Json(info->generated)},
                       {"length", Json(uint64_t{info->length})},
                       {"grid_id", Json(grid)}});
  return 0;
}

int run(App& app, const SecretKeysCommand& command) {
  auto settings = load_settings(app);
  if (!settings) return fail_with(app, settings.error());
  auto roots = load_roots(app, *settings);
  if (!roots) return fail_with(app, roots.error());
  const protocol::Root& root = roots->front();
  const auto own = protocol::curve_keys(root, command.role);
  const auto broker = protocol::curve_keys(root, protocol::Role::broker);
  const std::string role(protocol::role_name(command.role));
  const std::string grid = protocol::grid_id(root);
  app.out.facts("role          " + role + "\nserver_public " + broker.public_key +
                    "\npublic        " + own.public_key + "\nsecret        " + own.secret_key +
                    "\ngrid_id       " + grid,
                {{"role", Json(role)},
                 {"server_public", Json(broker.public_key)},
                 {"public", Json(own.public_key)},
                 {"secret", Json(own.secret_key)},
                 {"grid_id", Json(grid)}});
  return 0;
}

}  // namespace zgrid::cli
