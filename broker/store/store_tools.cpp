#include "broker/store/store_tools.h"

#include <sodium.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "broker/store/log_mark.h"
#include "broker/store/sqlite_schema.h"
#include "broker/store/store_check.h"
#include "broker/store/store_copy.h"
#include "broker/store/store_files.h"

namespace zgrid::broker {
namespace {

Result<std::string> absolute_path(const std::string& path) {
  if (path.empty()) return fail(Errc::usage, "the store has no path");
  if (path == "memory" || path.find("://") != std::string::npos) {
    return fail(Errc::unsupported, "store " + path + " is no file", "give the path of a store");
  }
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).string();
  if (error) return fail(Errc::io, path + ": " + error.message());
  return absolute;
}

// No broker holds a file that is none of ours, and nothing is to be left beside it.
bool is_foreign(const std::string& path) {
  constexpr std::string_view kMagic = "SQLite format 3";
  char start[kMagic.size()] = {};
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return false;  // whoever opens it says why
  const size_t got = std::fread(start, 1, sizeof start, file.get());
  return got == sizeof start && std::string_view(start, got) != kMagic;
}

// A store that exists, with its lock.
struct Held {
  std::string path;
  std::optional<StoreLock> lock;  // but of a foreign file
};
Result<Held> hold(const std::string& where) {
  Result<std::string> path = absolute_path(where);
  if (!path) return fail(std::move(path.error()));
  if (!file_size(*path)) {
    return fail(Errc::not_found, "there is no store " + *path, "look at its path");
  }
  if (is_foreign(*path)) return Held{std::move(*path), {}};
  Result<StoreLock> lock = StoreLock::take(*path);
  if (!lock) return fail(std::move(lock.error()));
  return Held{std::move(*path), std::move(*lock)};
}

// Of a store that is whole. Errc::corrupt names the first damage.
Result<StoreReport> check_whole(const std::string& path) {
  Result<StoreReport> report = check_files(path);
  if (!report || report->damages.empty()) return report;
  const size_t more = report->damages.size() - 1;
  return fail(Errc::corrupt,
              "store " + path + " is damaged: " + report->damages.front() +
                  (more == 0 ? "" : " (and " + std::to_string(more) + " more)"),
              "zgrid store check --store " + path + " lists what is damaged");
}

Result<void> copy_files(const std::string& from, const std::string& to, const MetaPart& meta) {
  Result<std::unique_ptr<Database>> db = open_unchanged(from);
  if (!db) return fail(std::move(db.error()));
  const bool has_log_file = file_size(from + "-wal").has_value();
  Result<void> copied = copy_database(**db, to, meta);
  db->reset();
  if (!has_log_file && file_size(from + "-wal") == 0) std::remove((from + "-wal").c_str());
  return copied;
}

// A name that nothing has.
std::string name_aside(const std::string& path) {
  for (uint32_t n = 1;; ++n) {
    std::string name = path + ".before-restore-" + std::to_string(n);
    if (!file_size(name) && !file_size(name + "-wal")) return name;
  }
}

// Moves what is there of a store aside, its log with it. Empty: there was nothing.
Result<std::string> move_aside(const std::string& path) {
  const std::string wal = path + "-wal";
  if (file_size(wal) == 0) std::remove(wal.c_str());
  if (!file_size(path) && !file_size(wal)) return std::string();
  std::string aside = name_aside(path);
  for (const char* suffix : {"", "-wal", kLogMarkSuffix}) {
    if (!file_size(path + suffix)) continue;
    if (Result<void> moved = move_file(path + suffix, aside + suffix); !moved) {
      return fail(std::move(moved.error()));
    }
  }
  return aside;
}

}  // namespace

Result<StoreReport> check_store(const std::string& path) {
  const Result<Held> held = hold(path);
  if (!held) return fail(held.error());
  return check_files(held->path);
}

Result<StoreReport> backup_store(const std::string& path, const std::string& to) {
  const Result<Held> held = hold(path);
  if (!held) return fail(held.error());
  const Result<std::string> target = absolute_path(to);
  if (!target) return fail(target.error());
  if (file_size(*target)) {
    return fail(Errc::cannot_create, *target + " exists", "choose another name, or move it away");
  }
  Result<StoreReport> report = check_whole(held->path);
  if (!report) return report;
  const MetaPart meta{report->id, report->epoch, true, 0, report->log};
  if (Result<void> copied = copy_files(held->path, *target, meta); !copied) {
    return fail(std::move(copied.error()));
  }
  return report;
}

Result<Restored> restore_store(const std::string& backup, const std::string& path) {
  if (sodium_init() < 0) return fail(Errc::internal, "libsodium cannot be initialised");
  const Result<std::string> target = absolute_path(path);
  if (!target) return fail(target.error());
  std::error_code error;
  if (std::filesystem::equivalent(backup, *target, error)) {
    return fail(Errc::usage, "store " + path + " and its backup are the same file");
  }
  const Result<Held> held = hold(backup);
  if (!held) return fail(held.error());
  Result<void> ready = make_folder_of(*target);
  if (ready) ready = refuse_network_folder(*target);
  if (!ready) return fail(std::move(ready.error()));
  const Result<StoreLock> lock = StoreLock::take(*target);
  if (!lock) return fail(lock.error());

  Restored restored;
  Result<StoreReport> report = check_whole(held->path);
  if (!report) return fail(std::move(report.error()));
  restored.report = std::move(*report);
  MetaPart meta{{}, restored.report.epoch, true, 0, restored.report.log};
  randombytes_buf(meta.id.bytes.data(), meta.id.bytes.size());
  restored.report.id = meta.id;

  // Until the restored store is in its place, its presence under this name keeps brokers from
  // starting on what is left of the old one.
  const std::string fresh = *target + ".restored";
  const std::string restoring = *target + kRestoringSuffix;
  std::remove(fresh.c_str());
  if (Result<void> copied = copy_files(held->path, fresh, meta); !copied) {
    return fail(std::move(copied.error()));
  }
  if (std::rename(fresh.c_str(), restoring.c_str()) != 0) {
    return fail(Errc::io, "cannot rename " + fresh + ": " + std::strerror(errno));
  }
  if (Result<void> synced = sync_folder_of(restoring); !synced) return fail(synced.error());
  Result<std::string> moved = move_aside(*target);
  if (!moved) return fail(std::move(moved.error()));
  restored.moved_to = std::move(*moved);
  if (Result<void> placed = move_file(restoring, *target); !placed) return fail(placed.error());
  return restored;
}

}  // namespace zgrid::broker
