#include "conf/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "conf/keys.h"

namespace zgrid::conf {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::StartsWith;

// A folder with a home and a working directory of its own, gone at the end.
class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "zgrid-conf-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    env_.home = root_ + "/home";
    env_.working_directory = root_ + "/work";
    std::filesystem::create_directories(env_.home + "/.config/zgrid");
    std::filesystem::create_directories(env_.working_directory);
  }
  ~SettingsTest() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  void write_user(const std::string& text) {
    write(env_.home + "/.config/zgrid/config.toml", text);
  }
  void write_local(const std::string& text) { write(env_.working_directory + "/zgrid.toml", text); }

  Settings loaded(const std::string& config_file = {}) {
    Result<Settings> settings = load(env_, config_file);
    EXPECT_TRUE(settings) << (settings ? "" : settings.error().message);
    return settings.value_or(Settings{});
  }
  Error refused() {
    const Result<Settings> settings = load(env_);
    if (settings) {
      ADD_FAILURE() << "accepted";
      return {};
    }
    EXPECT_EQ(settings.error().code, Errc::config);
    return settings.error();
  }

  std::string root_;
  Environment env_;
};

TEST_F(SettingsTest, ANearerSourceWins) {
  write_user("[grid]\nname = \"user\"\nlog_level = \"debug\"\n[broker]\nio_threads = 2\n");
  write_local("[grid]\nname = \"local\"\n\n[broker]\nbind = [\"tcp://127.0.0.1:1\"]\n");
  env_.variables["ZGRID_BROKER__BIND"] = "tcp://127.0.0.1:7001,tcp://127.0.0.1:7002";
  const Settings settings = loaded();
  EXPECT_EQ(settings.grid.name, "local");
  EXPECT_EQ(settings.grid.log_level, "debug");
  EXPECT_EQ(settings.broker.io_threads, 2);
  EXPECT_THAT(settings.broker.bind, ElementsAre("tcp://127.0.0.1:7001", "tcp://127.0.0.1:7002"));
  EXPECT_EQ(settings.worker.kill_grace, Millis{5000});
  EXPECT_THAT(settings.origin,
              ElementsAre(Pair("broker.bind", "ZGRID_BROKER__BIND"),
                          Pair("broker.io_threads", env_.home + "/.config/zgrid/config.toml:5"),
                          Pair("grid.log_level", env_.home + "/.config/zgrid/config.toml:3"),
                          Pair("grid.name", env_.working_directory + "/zgrid.toml:2")));
}

TEST_F(SettingsTest, ReadsOnlyTheFileThatIsNamed) {
  write_local("[grid]\nname = \"local\"\n");
  write(root_ + "/other.toml", "[client]\nreconnect = \"1m\"\n");
  const Settings settings = loaded(root_ + "/other.toml");
  EXPECT_EQ(settings.grid.name, "zgrid");
  EXPECT_EQ(settings.client.reconnect, Millis{60'000});
  EXPECT_EQ(loaded("../other.toml").client.reconnect, Millis{60'000});
  EXPECT_EQ(load(env_, root_ + "/missing.toml").error().code, Errc::config);
}

TEST_F(SettingsTest, NamesFileLineAndTheNearestKeyOfAnUnknownOne) {
  write_local("[broker]\nsotre = \"x\"\n");
  EXPECT_EQ(refused().message, env_.working_directory +
                                   "/zgrid.toml:2: [broker]: unknown key 'sotre'; did you mean "
                                   "'store'?");
  write_local("\n[brokr]\n");
  EXPECT_THAT(refused().message, HasSubstr("zgrid.toml:2: unknown key 'brokr'; did you mean "
                                           "'broker'?"));
}

TEST_F(SettingsTest, ReadsEachFormOfVariable) {
  env_.variables = {{"ZGRID_GRID__LAN", "true"},
                    {"ZGRID_BROKER__BEACON", "0"},
                    {"ZGRID_WORKER__SLOTS", "7"},
                    {"ZGRID_WORKER__TAGS", "gpu=yes,room=lab"},
                    {"ZGRID_WORKER__OUTPUT_BYTES_MAX", "1MiB"},
                    {"ZGRID_CLIENT__RECONNECT", "90s"},
                    {"ZGRID_GRID__NAME", ""},
                    {"ZGRID_WORKER__WORKFLOWS", "/a,b,~/c"}};
  const Settings settings = loaded();
  EXPECT_TRUE(settings.grid.lan);
  EXPECT_FALSE(settings.broker.beacon);
  EXPECT_EQ(settings.worker.slots, 7u);
  EXPECT_THAT(settings.worker.tags, ElementsAre(Pair("gpu", "yes"), Pair("room", "lab")));
  EXPECT_EQ(settings.worker.output_bytes_max, 1u << 20);
  EXPECT_EQ(settings.client.reconnect, Millis{90'000});
  EXPECT_EQ(settings.grid.name, "zgrid");
  EXPECT_THAT(settings.worker.workflows,
              ElementsAre("/a", env_.working_directory + "/b", env_.home + "/c"));
}

TEST_F(SettingsTest, RefusesVariablesThatSetNothing) {
  env_.variables = {{"ZGRID_BROKER__BNID", "x"}};
  EXPECT_THAT(refused().message, HasSubstr("ZGRID_BROKER__BNID"));
  EXPECT_THAT(refused().hint, HasSubstr("ZGRID_BROKER__BIND"));
  env_.variables = {{"ZGRID_BROKER_BIND", "x"}};
  EXPECT_THAT(refused().hint, HasSubstr("ZGRID_BROKER__BIND"));
  env_.variables = {{"ZGRID_WORKER__SLOTS", "many"}};
  EXPECT_THAT(refused().message, StartsWith("ZGRID_WORKER__SLOTS: slots is \"many\""));
  env_.variables = {{"ZGRID_GRID__LAN", "perhaps"}};
  EXPECT_THAT(refused().message, HasSubstr("not true or false"));
  env_.variables = {{"ZGRID_WORKER__TAGS", "gpu"}};
  EXPECT_THAT(refused().message, StartsWith("ZGRID_WORKER__TAGS: "));
}

TEST_F(SettingsTest, LeavesReservedAndForeignVariablesAlone) {
  for (const char* name : {"ZGRID_JOB", "ZGRID_ATTEMPT", "ZGRID_RUN", "ZGRID_INDEX", "ZGRID_WORKER",
                           "ZGRID_SCRATCH", "ZGRID_SEED", "ZGRID_SECRET", "ZGRID_SECRET_FILE",
                           "ZGRID_SOMETHING", "ZGRIDX__Y", "PATH"}) {
    env_.variables[name] = "x";
  }
  EXPECT_TRUE(loaded().origin.empty());
}

TEST_F(SettingsTest, ResolvesPathsFromTheFolderOfTheirFile) {
  write_user(
      "[grid]\nsecret_file = \"s\"\n[broker]\nstore = \"memory\"\n[worker]\n"
      "workflows = [\"flows\", \"/abs\"]\nstate_dir = \"~/state\"\n");
  const Settings settings = loaded();
  EXPECT_EQ(settings.grid.secret_file, env_.home + "/.config/zgrid/s");
  EXPECT_EQ(settings.broker.store, "memory");
  EXPECT_THAT(settings.worker.workflows, ElementsAre(env_.home + "/.config/zgrid/flows", "/abs"));
  EXPECT_EQ(settings.worker.state_dir, env_.home + "/state");
}

struct WrongSetting {
  const char* text;
  const char* says;
};

TEST_F(SettingsTest, SaysWhatIsWrongWithASetting) {
  const WrongSetting rows[] = {
      {"[grid]\nname = \"all\"", "name must be 1 to 63"},
      {"[grid]\nname = \"\"", "name must be 1 to 63"},
      {"[grid]\npeers = [\"desk\"]", "neither tcp://HOST:PORT nor ipc://PATH"},
      {"[grid]\npeers = [\"tcp://desk:0\"]", "neither tcp://HOST:PORT"},
      {"[grid]\npeers = [\"tcp://desk:70000\"]", "neither tcp://HOST:PORT"},
      {"[grid]\nbeacon_port = 0", "from 1 to 65535"},
      {"[grid]\nlog_level = \"loud\"", "must be one of trace, debug"},
      {"[grid]\nlog_format = \"xml\"", "must be one of text, json"},
      {"[broker]\nbind = [\"udp://x:1\"]", "neither tcp://HOST:PORT"},
      {"[broker]\nstore = \"postgresql://db\"", "must be a path or memory"},
      {"[broker]\nhttp = \"127.0.0.1:5680\"", "no HTTP gateway"},
      {"[broker]\nio_threads = 17", "from 1 to 16"},
      {"[broker]\nlease = \"1ms\"", "must be from 100ms to 1h"},
      {"[broker]\nlease = \"1s\"", "less than two heartbeats"},
      {"[broker]\nqueue_bytes_max = 0", "must be from 1 B"},
      {"[broker]\nin_flight_max = 0", "from 1 to"},
      {"[worker]\nslots = 5000", "from 0 to 4096"},
      {"[worker]\ntags = { \"a b\" = \"x\" }", "no name of a tag"},
      {"[worker]\ntags = { a = \"x,y\" }", "has , or ="},
      {"[worker]\noutput_bytes_max = \"65MiB\"", "must be from 1 B to 64.0 MiB"},
      {"[client]\nconnect_timeout = \"0s\"", "must be from 1ms"},
      {"[client]\nreconnect = 300", "not a duration"},
      {"[worker]\nprovider = 1", "[[worker.provider]]"},
      {"grid = 1", "not a table"},
  };
  for (const WrongSetting& row : rows) {
    write_local(row.text);
    EXPECT_THAT(refused().message, HasSubstr(row.says)) << row.text;
  }
}

TEST_F(SettingsTest, ReadsProviders) {
  write_local(R"(
[[worker.provider]]
name = "local"
kind = "openai"
base_url = "http://127.0.0.1:11434/v1"
models = ["llama3.2"]
api_key_file = "key"
price = { input = 0.15, output = 0.6 }
concurrency = 2
[[worker.provider]]
name = "cli"
kind = "command"
argv = ["llm", "-m", "x"]
time_limit = "2m"
)");
  const Settings settings = loaded();
  ASSERT_EQ(settings.worker.providers.size(), 2u);
  const ProviderSettings& local = settings.worker.providers[0];
  EXPECT_EQ(local.kind, "openai");
  EXPECT_EQ(local.api_key_file, env_.working_directory + "/key");
  EXPECT_EQ(local.price_input, 0.15);
  EXPECT_EQ(local.price_output, 0.6);
  EXPECT_EQ(local.concurrency, 2u);
  const ProviderSettings& cli = settings.worker.providers[1];
  EXPECT_THAT(cli.argv, ElementsAre("llm", "-m", "x"));
  EXPECT_EQ(cli.price_input, std::nullopt);
  EXPECT_EQ(cli.time_limit, Millis{120'000});
  EXPECT_EQ(settings.origin.at("worker.provider"), env_.working_directory + "/zgrid.toml:2");
}

TEST_F(SettingsTest, SaysWhatIsWrongWithAProvider) {
  const std::string named = "[[worker.provider]]\nname = \"p\"\n";
  const std::string openai = named + "kind = \"openai\"\nmodels = [\"m\"]\n";
  const std::string command = named + "kind = \"command\"\nargv = [\"x\"]\n";
  const std::pair<std::string, const char*> rows[] = {
      {"[[worker.provider]]\nkind = \"command\"\nargv = [\"x\"]", "needs a name"},
      {named, "kind is '', not openai or command"},
      {named + "kind = \"magic\"", "kind is 'magic'"},
      {openai, "needs base_url"},
      {openai + "base_url = \"ftp://x\"", "needs base_url"},
      {named + "kind = \"openai\"\nbase_url = \"http://x\"", "needs models"},
      {openai + "base_url = \"http://x\"\nargv = [\"x\"]", "argv belongs to kind command"},
      {openai + "base_url = \"http://x\"\napi_key_env = \"A\"\napi_key_file = \"b\"", "exclude"},
      {named + "kind = \"command\"", "needs argv"},
      {command + "base_url = \"http://x\"", "base_url belongs to kind openai"},
      {command + "price = { input = 1 }", "price needs both"},
      {command + "price = { input = 1, outptu = 1 }", "price must be"},
      {command + "concurrency = 0", "from 1 to 1024"},
      {command + "modles = [\"m\"]", "unknown key 'modles'; did you mean 'models'?"},
      {command + command, "two providers are named 'p'"},
  };
  for (const auto& [text, says] : rows) {
    write_local(text);
    EXPECT_THAT(refused().message, HasSubstr(says)) << text;
    EXPECT_THAT(refused().message, HasSubstr("zgrid.toml:")) << text;
  }
}

TEST_F(SettingsTest, ShowsEachKeyWithItsOrigin) {
  write_local(
      "[worker]\ntags = { gpu = \"yes\" }\n[[worker.provider]]\nname = \"cli\"\n"
      "kind = \"command\"\nargv = [\"x\", \"a \\\"b\\\"\"]\n");
  env_.variables["ZGRID_BROKER__LEASE"] = "4s";
  std::map<std::string, std::pair<std::string, std::string>> shown;
  for (const Shown& row : show(loaded())) shown[row.key] = {row.value, row.origin};
  EXPECT_EQ(shown.size(), all_keys().size() + 1);
  EXPECT_THAT(shown["broker.lease"], Pair("\"4s\"", "ZGRID_BROKER__LEASE"));
  EXPECT_THAT(shown["worker.tags"],
              Pair("{ \"gpu\" = \"yes\" }", env_.working_directory + "/zgrid.toml:2"));
  EXPECT_THAT(shown["grid.name"], Pair("\"zgrid\"", "default"));
  EXPECT_THAT(shown["worker.provider.cli"].first,
              "{ kind = \"command\", argv = [\"x\", \"a \\\"b\\\"\"], concurrency = 1 }");
}

TEST_F(SettingsTest, LooksForTheSecretInItsOrder) {
  Settings settings;
  EXPECT_EQ(find_secret(env_, settings, "").file, env_.home + "/.config/zgrid/secret");
  env_.variables["CREDENTIALS_DIRECTORY"] = root_;
  EXPECT_EQ(find_secret(env_, settings, "").origin, "default");
  write(root_ + "/zgrid-secret", "x");
  EXPECT_EQ(find_secret(env_, settings, "").file, root_ + "/zgrid-secret");
  settings.grid.secret_file = "/set";
  EXPECT_EQ(find_secret(env_, settings, "").file, "/set");
  env_.variables["ZGRID_SECRET"] = "text";
  EXPECT_EQ(find_secret(env_, settings, "").text, "text");
  EXPECT_EQ(find_secret(env_, settings, "").file, "");
  env_.variables["ZGRID_SECRET_FILE"] = "var";
  EXPECT_EQ(find_secret(env_, settings, "").file, env_.working_directory + "/var");
  EXPECT_EQ(find_secret(env_, settings, "/flag").file, "/flag");
  EXPECT_EQ(find_secret(env_, settings, "/flag").origin, "--secret-file");
}

TEST_F(SettingsTest, FollowsTheXdgFolders) {
  EXPECT_EQ(env_.config_dir(), env_.home + "/.config/zgrid");
  EXPECT_EQ(env_.state_dir(), env_.home + "/.local/state/zgrid");
  EXPECT_EQ(env_.cache_dir(), env_.home + "/.cache/zgrid");
  env_.is_root = true;
  EXPECT_EQ(env_.state_dir(), "/var/lib/zgrid");
  env_.variables = {{"XDG_CONFIG_HOME", "/c"}, {"XDG_STATE_HOME", "/s"}, {"XDG_CACHE_HOME", "rel"}};
  EXPECT_EQ(env_.config_dir(), "/c/zgrid");
  EXPECT_EQ(env_.state_dir(), "/s/zgrid");
  EXPECT_EQ(env_.cache_dir(), env_.home + "/.cache/zgrid");
}

TEST(Environment, OfThisProcessHasItsFolders) {
  const Environment env = Environment::current();
  EXPECT_EQ(env.working_directory, std::filesystem::current_path().string());
  EXPECT_EQ(env.home[0], '/');
  EXPECT_EQ(env.is_root, geteuid() == 0);
}

class ReferenceTest : public SettingsTest {};

TEST_F(ReferenceTest, HasEveryKeyOfTheCodeWithItsDefault) {
  const Settings settings = loaded(ZGRID_CONF_DIR "/zgrid.toml");
  const std::vector<Shown> reference = show(settings);
  const std::vector<Shown> defaults = show(Settings{});
  ASSERT_EQ(reference.size(), defaults.size());
  for (size_t i = 0; i < reference.size(); ++i) {
    EXPECT_EQ(reference[i].value, defaults[i].value) << reference[i].key;
    EXPECT_NE(reference[i].origin, "default") << reference[i].key << " is not in conf/zgrid.toml";
  }
}

TEST_F(ReferenceTest, HasExamplesThatLoadOnceUncommented) {
  std::ifstream file(ZGRID_CONF_DIR "/zgrid.toml");
  std::string text, line;
  while (std::getline(file, line)) {
    const bool example = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    text += (example ? line.substr(1) : line) + "\n";
  }
  write_local(text);
  EXPECT_EQ(loaded().worker.providers.size(), 1u);
}

TEST_F(ReferenceTest, ReadsBackWhatShowPrints) {
  const std::string printed = [&] {
    std::string text;
    for (const Shown& row : show(loaded(ZGRID_CONF_DIR "/zgrid.toml"))) {
      text += row.key + " = " + row.value + "\n";
    }
    return text;
  }();
  write_local(printed);
  EXPECT_EQ(loaded().origin.size(), all_keys().size());
}

TEST_F(ReferenceTest, ShipsAWorkflowThatIsToml) {
  const Result<Node> flow = read_toml(ZGRID_CONF_DIR "/workflows/word-count.toml");
  ASSERT_TRUE(flow) << flow.error().message;
  EXPECT_TRUE(flow->table()->count("workflow"));
}

}  // namespace
}  // namespace zgrid::conf
