// The settings of a zgrid process as plain values, and where each came from.
//
// flags > ZGRID_* > ./zgrid.toml > $XDG_CONFIG_HOME/zgrid/config.toml > /etc/zgrid/config.toml >
// defaults. conf/*.toml are the reference: each key with meaning, unit and default.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/limits.h"
#include "protocol/base/result.h"
#include "protocol/base/time.h"

namespace zgrid::conf {

struct GridSettings {
  std::string name = "zgrid";           // shown to people
  std::string secret_file;              // empty: $XDG_CONFIG_HOME/zgrid/secret
  std::string previous_secret_file;     // during a rotation
  std::vector<std::string> peers;       // brokers' tcp:// endpoints, tried besides discovery
  std::vector<std::string> interfaces;  // beacons on these; empty: loopback
  bool lan = false;                     // beacons (and the broker's port) on every interface
  uint16_t beacon_port = 5670;
  std::string log_level = "info";   // trace debug info warn error off
  std::string log_format = "text";  // text | json
};

struct BrokerSettings {
  std::vector<std::string> bind;  // empty: tcp://127.0.0.1:5670, with lan tcp://*:5670
  std::string store;              // empty: $XDG_STATE_HOME/zgrid/broker.db
  std::string http;               // empty: off
  std::string name;               // empty: the host name
  bool beacon = true;
  int io_threads = 1;
  Millis lease = limits::kLease;
  Millis heartbeat = limits::kHeartbeat;
  Millis default_time_limit{0};  // of a job that gives none; 0 = none
  uint64_t queue_jobs_max = 10'000'000;
  uint64_t queue_bytes_max = 4ull << 30;  // of inputs that wait
  uint64_t in_flight_max = 1'000'000;     // unfinished jobs of one user@host
  uint64_t memory_bytes = 64ull << 20;    // inputs kept in memory; the others wait in the store
  // How long ended jobs are kept with their results: until the first of these is reached.
  Millis retention{7 * 24 * 3'600'000LL};
  uint64_t retention_bytes = 1ull << 30;
  uint64_t retention_jobs = 1'000'000;
  // How long after that ids, keys, body hashes and final states are.
  Millis retention_ids{7 * 24 * 3'600'000LL};
  Millis wedged_after{60'000};  // an attempt without any sign of life for so long
};

struct ProviderSettings {
  std::string name;
  std::string kind;  // openai | command
  std::string base_url, api_key_env, api_key_file;
  std::vector<std::string> models;  // the first is the default
  std::vector<std::string> argv;    // command: the prompt on stdin, the answer on stdout
  std::optional<double> price_input, price_output;  // USD per million tokens
  uint32_t concurrency = 1;
  Millis time_limit{0};
};

struct WorkerSettings {
  std::string name;    // empty: the host name
  uint32_t slots = 0;  // 0: the number of cores
  std::map<std::string, std::string> tags;
  std::vector<std::string> workflows;       // files, or folders of *.toml
  std::string state_dir;                    // empty: $XDG_STATE_HOME/zgrid/worker-NAME
  uint64_t output_bytes_max = 16ull << 20;  // of one step; more is output_too_large
  Millis kill_grace{5000};                  // between TERM and KILL
  std::vector<ProviderSettings> providers;
};

struct ClientSettings {
  Millis connect_timeout{10'000};
  Millis reconnect{300'000};  // a connection lost later is retried for so long
};

struct Settings {
  GridSettings grid;
  BrokerSettings broker;
  WorkerSettings worker;
  ClientSettings client;
  // "broker.bind" -> "/etc/zgrid/config.toml:12", "ZGRID_BROKER__BIND", "--bind"; absent: default.
  std::map<std::string, std::string> origin;
};

// What load() looks at, passed in so that a test can pass its own.
struct Environment {
  std::map<std::string, std::string> variables;
  std::string working_directory;
  std::string home;
  bool is_root = false;
  static Environment current();

  [[nodiscard]] std::string config_dir() const;  // $XDG_CONFIG_HOME/zgrid
  [[nodiscard]] std::string state_dir() const;   // $XDG_STATE_HOME/zgrid; root: /var/lib/zgrid
  [[nodiscard]] std::string cache_dir() const;   // $XDG_CACHE_HOME/zgrid
};

// Files and variables; flags are applied by the caller afterwards (record them in `origin`).
// `config_file`: of --config, then only it is read, and it must exist. Errc::config.
Result<Settings> load(const Environment& env, const std::string& config_file = {});
// The same with every problem; with any, `settings` is what could be understood.
std::vector<Error> check(const Environment& env, const std::string& config_file,
                         Settings& settings);

// What is wrong with the tags of a worker: "has ..."; empty: nothing.
std::string tags_problem(const std::map<std::string, std::string>& tags);

// Every key with its value and origin, in the order of the reference: for `config show`.
struct Shown {
  std::string key, value, origin;
};
std::vector<Shown> show(const Settings& settings);

// Where the grid secret comes from, in the order of docs/operations.md: flag, ZGRID_SECRET_FILE,
// ZGRID_SECRET, [grid] secret_file, systemd's credential, the default file.
struct SecretSource {
  std::string file;  // or
  std::string text;  // of ZGRID_SECRET
  std::string origin;
};
SecretSource find_secret(const Environment& env, const Settings& settings, const std::string& flag);

}  // namespace zgrid::conf
