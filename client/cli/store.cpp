// store: a broker's store as files. The live database is its broker's alone: it is never opened
// here, and a broker that holds it is asked instead.
#include <filesystem>

#include "broker/store/store_files.h"
#include "broker/store/store_tools.h"
#include "client/cli/processes.h"
#include "client/cli/session.h"
#include "protocol/base/units.h"

namespace zgrid::cli {
namespace {

namespace fs = std::filesystem;

std::string absolute(const App& app, const std::string& path) {
  return (fs::path(app.env.working_directory) / path).lexically_normal().string();
}

// The path of the store. Errc::not_found for one that is no file.
Result<std::string> store_path(const App& app, const std::string& flag) {
  std::string path = flag;
  if (path.empty()) {
    auto settings = load_settings(app);
    if (!settings) return fail(settings.error());
    path = store_of(app, *settings);
  }
  if (path == "memory") {
    return fail(Errc::not_found, "the store is 'memory': there is no file",
                "name a database with --store PATH");
  }
  return absolute(app, path);
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Error no_file(const std::string& path, const std::string& hint) {
  return {Errc::not_found, "no file '" + path + "'", hint, Effect::none, 0};
}

// A damaged file is bad input to a command; exit code 74 is for disks that fail.
int fail_with_damage(App& app, const Error& error) {
  const int exit = fail_with(app, error);
  return error.code == Errc::corrupt ? exit_code(Errc::bad_input) : exit;
}

// Somebody holds it: says who, in the error's words, and what can be done.
Error held(Error error, const std::string& hint) {
  if (error.message.find(" is held by ") != std::string::npos) error.hint = hint;
  return error;
}

std::string summary_of(const broker::StoreReport& report) {
  return std::to_string(report.unfinished) + " unfinished, " + std::to_string(report.ended) +
         " ended, " + std::to_string(report.purged) + " purged; " + format_size(report.bytes);
}

Json::Object members_of(const broker::StoreReport& report) {
  return {{"id", Json(report.id.str())},
          {"epoch", Json(report.epoch)},
          {"unfinished", Json(report.unfinished)},
          {"ended", Json(report.ended)},
          {"purged", Json(report.purged)},
          {"bytes", Json(report.bytes)},
          {"clean", Json(report.clean)}};
}

Json::Object with(Json::Object first, Json::Object more) {
  first.insert(first.end(), std::make_move_iterator(more.begin()),
               std::make_move_iterator(more.end()));
  return first;
}

// The broker writes the copy, on its own host; `is_here`: which must be this one.
int backup_by_broker(App& app, const std::string& file, bool is_here) {
  auto session = Session::open(app);
  if (!session) return fail_with(app, session.error());
  const std::string endpoint = (*session)->connection().endpoint();
  const std::string name = (*session)->connection().welcome().broker_name;
  protocol::Control control;
  control.op = protocol::Control::Op::backup;
  control.worker = file;
  if (auto answer = (*session)->tell(std::move(control)); !answer) {
    return fail_with_damage(app, answer.error());
  }
  if (is_here && !exists(file)) {
    return fail_with(
        app, {Errc::no_broker,
              "the broker that answered, " + name + " at " + endpoint +
                  ", is another one: it wrote " + file + " on its own host",
              "name the one that holds this store with --broker ADDR", Effect::happened, 0});
  }
  app.out.facts("broker " + name + " at " + endpoint + " wrote " + file + " on its host",
                {{"backup", Json(file)},
                 {"online", Json(true)},
                 {"broker", Json::object().set("name", name).set("endpoint", endpoint)}});
  return 0;
}

}  // namespace

int run(App& app, const StoreCheckCommand& command) {
  auto path = store_path(app, command.store);
  if (!path) return fail_with(app, path.error());
  if (!exists(*path)) {
    return fail_with(app, no_file(*path, "name another one with --store PATH"));
  }
  auto report = broker::check_store(*path);
  if (!report) {
    return fail_with_damage(app, held(report.error(),
                                      "stop that broker first; or let it make a copy with 'zgrid "
                                      "store backup FILE' and check that with --store FILE"));
  }
  const bool sound = report->damages.empty();
  std::string text = "store " + *path + "\nid " + report->id.str() + ", epoch " +
                     std::to_string(report->epoch) + ", " +
                     (report->clean ? "closed cleanly" : "not closed cleanly") +
                     "\njobs: " + summary_of(*report) + "\n" + (sound ? "sound" : "damaged:");
  Json damages = Json::array();
  for (const std::string& damage : report->damages) {
    text += "\n  " + damage;
    damages.push(damage);
  }
  if (report->more_damages) text += "\n  and more";
  Json notices = Json::array();
  for (const std::string& notice : report->notices) {
    text += "\nnote: " + notice;
    notices.push(notice);
  }
  app.out.facts(text, with({{"store", Json(*path)}, {"sound", Json(sound)}},
                           with(members_of(*report), {{"damages", std::move(damages)},
                                                      {"more_damages", Json(report->more_damages)},
                                                      {"notices", std::move(notices)}})));
  if (sound) return 0;
  app.out.error({Errc::corrupt, *path + " is damaged",
                 "zgrid store restore BACKUP --force puts a backup in its place", Effect::none, 0});
  return exit_code(Errc::bad_input);
}

int run(App& app, const StoreBackupCommand& command) {
  const std::string file = absolute(app, command.file);
  if (command.store.empty() && !app.globals.brokers.empty())
    return backup_by_broker(app, file, false);
  auto path = store_path(app, command.store);
  if (!path) return fail_with(app, path.error());
  if (!exists(*path)) {
    return fail_with(app, no_file(*path,
                                  "--store PATH names another one, --broker ADDR asks a "
                                  "broker for a copy on its host"));
  }
  bool is_held = false;
  {
    auto lock = broker::StoreLock::take(*path);
    is_held = !lock && lock.error().code == Errc::cannot_create;
    if (!lock && !is_held) return fail_with(app, lock.error());
  }
  if (is_held) {
    app.out.note("a broker holds " + *path + " and is asked for the copy");
    return backup_by_broker(app, file, true);
  }
  auto report = broker::backup_store(*path, file);
  if (!report) return fail_with_damage(app, report.error());
  app.out.facts("copied " + *path + " to " + file + ": " + summary_of(*report),
                with({{"backup", Json(file)}, {"online", Json(false)}, {"store", Json(*path)}},
                     members_of(*report)));
  return 0;
}

int run(App& app, const StoreRestoreCommand& command) {
  auto path = store_path(app, command.store);
  if (!path) return fail_with(app, path.error());
  const std::string file = absolute(app, command.file);
  if (!exists(file)) return fail_with(app, no_file(file, ""));
  if (exists(*path) && !command.force) {
    return fail_with(app,
                     {Errc::cannot_create, "there is a store at " + *path,
                      "--force moves it aside and keeps it under another name", Effect::none, 0});
  }
  auto restored = broker::restore_store(file, *path);
  if (!restored) {
    return fail_with_damage(app,
                            held(restored.error(), "stop that broker first: nothing was changed"));
  }
  const std::string& aside = restored->moved_to;
  std::string text = "restored " + *path + " from " + file + ": " + summary_of(restored->report);
  if (!aside.empty()) text += "\nwhat was there is now " + aside;
  app.out.facts(text, with({{"store", Json(*path)},
                            {"backup", Json(file)},
                            {"moved_to", aside.empty() ? Json() : Json(aside)}},
                           members_of(restored->report)));
  return 0;
}

}  // namespace zgrid::cli
