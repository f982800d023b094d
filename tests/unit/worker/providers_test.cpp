#include "worker/executors/providers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zgrid::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

conf::ProviderSettings command(const std::string& name, std::vector<std::string> models = {}) {
  conf::ProviderSettings provider;
  provider.name = name;
  provider.kind = "command";
  provider.argv = {"llm"};
  provider.models = std::move(models);
  return provider;
}

Providers open(std::vector<conf::ProviderSettings> settings) {
  auto opened = Providers::open(std::move(settings), {});
  EXPECT_TRUE(opened.has_value()) << opened.error().message;
  return opened ? std::move(*opened) : Providers{};
}

TEST(Providers, services_name_every_combination) {
  const Providers providers = open({command("a", {"x", "y"}), command("b", {"x"}), command("c")});
  EXPECT_THAT(providers.services(),
              ElementsAre("zgrid.prompt", "zgrid.prompt/x", "zgrid.prompt/y", "zgrid.prompt@a",
                          "zgrid.prompt@a/x", "zgrid.prompt@a/y", "zgrid.prompt@b",
                          "zgrid.prompt@b/x", "zgrid.prompt@c"));
  EXPECT_THAT(open({}).services(), ElementsAre());
}

TEST(Providers, a_service_chooses_provider_and_model) {
  const Providers providers =
      open({command("a", {"x", "org/y"}), command("b", {"z"}), command("c")});
  struct Row {
    const char *service, *provider, *model, *chosen;
  };
  const std::vector<Row> rows{
      {"zgrid.prompt", "", "", "a x"},
      {"zgrid.prompt/z", "", "", "b z"},
      {"zgrid.prompt/org/y", "", "", "a org/y"},
      {"zgrid.prompt@b", "", "", "b z"},
      {"zgrid.prompt@c", "", "", "c "},
      {"zgrid.prompt@a/org/y", "", "", "a org/y"},
      {"zgrid.prompt", "b", "", "b z"},
      {"zgrid.prompt", "", "z", "b z"},
      {"zgrid.prompt@a", "b", "org/y", "a org/y"},
      {"zgrid.prompt@b/x", "", "", "this worker has no prompt provider 'b' with model 'x'"},
      {"zgrid.prompt@d", "", "", "this worker has no prompt provider 'd'"},
  };
  for (const Row& row : rows) {
    JobSpec job;
    job.service = row.service;
    job.provider = row.provider;
    job.model = row.model;
    const auto choice = providers.choose_for(job);
    EXPECT_EQ(
        choice ? providers.settings(*choice).name + " " + choice->model : choice.error().message,
        row.chosen)
        << row.service;
  }
}

TEST(Providers, a_bad_configuration_is_named) {
  const auto error = [](const std::function<void(conf::ProviderSettings&)>& spoil) {
    conf::ProviderSettings provider = command("p");
    spoil(provider);
    const auto opened = Providers::open({provider}, {{"SET", "1"}});
    EXPECT_TRUE(opened || opened.error().code == Errc::config);
    return opened ? "none" : opened.error().message;
  };
  EXPECT_EQ(error([](auto&) {}), "none");
  EXPECT_EQ(error([](auto& p) { p.api_key_env = "SET"; }), "none");
  EXPECT_THAT(error([](auto& p) { p.api_key_env = "UNSET"; }), HasSubstr("UNSET"));
  EXPECT_THAT(error([](auto& p) { p.kind = "openai"; }),
              HasSubstr("worker.provider 'p': kind 'openai' is not offered by this version"));
  EXPECT_THAT(error([](auto& p) { p.kind = "magic"; }), HasSubstr("kind is 'magic'"));
  EXPECT_THAT(error([](auto& p) { p.argv.clear(); }), HasSubstr("argv is missing"));
  EXPECT_THAT(error([](auto& p) { p.concurrency = 0; }), HasSubstr("concurrency is 0"));
  EXPECT_THAT(error([](auto& p) { p.argv.push_back("{{model}}"); }), HasSubstr("models is empty"));
  EXPECT_THAT(error([](auto& p) { p.base_url = "http://x"; }), HasSubstr("not for kind command"));
  EXPECT_THAT(error([](auto& p) { p.name = "a b"; }), HasSubstr("no name"));
  EXPECT_THAT(Providers::open({command("p"), command("p")}, {}).error().message,
              HasSubstr("there are two"));
}

TEST(Providers, the_model_is_filled_in) {
  conf::ProviderSettings provider = command("p", {"m"});
  provider.argv = {"llm", "-m", "{{model}}", "x{{model}}y{{model}}"};
  const Providers providers = open({provider});
  EXPECT_THAT(providers.argv(*providers.choose("", "")), ElementsAre("llm", "-m", "m", "xmym"));
}

TEST(Providers, cost_is_known_only_with_both_prices) {
  conf::ProviderSettings provider = command("p");
  const Usage unpriced = open({provider}).estimate({0, ""}, 8, 5);
  EXPECT_EQ(unpriced, (Usage{2, 2, std::nullopt, true}));
  provider.price_input = 1.0;
  EXPECT_EQ(open({provider}).estimate({0, ""}, 8, 5).cost_usd, std::nullopt);
  provider.price_output = 10.0;
  EXPECT_DOUBLE_EQ(*open({provider}).estimate({0, ""}, 8, 5).cost_usd, 22e-6);
}

}  // namespace
}  // namespace zgrid::worker
