#include "worker/executors/providers.h"

#include <algorithm>
#include <set>

#include "protocol/base/units.h"

namespace zgrid::worker {
namespace {

constexpr std::string_view kModelMark = "{{model}}";
constexpr uint64_t kBytesPerToken = 4;  // English text with common tokenizers
constexpr double kPriceUnit = 1e6;      // prices are for a million tokens

Failure wrong(const conf::ProviderSettings& provider, const std::string& what,
              const std::string& hint = {}) {
  return fail(Errc::config, "worker.provider '" + provider.name + "': " + what, hint);
}

bool wants_model(const conf::ProviderSettings& provider) {
  return std::any_of(provider.argv.begin(), provider.argv.end(), [](const std::string& argument) {
    return argument.find(kModelMark) != std::string::npos;
  });
}

Result<void> check(const conf::ProviderSettings& provider,
                   const std::map<std::string, std::string>& environment) {
  if (!is_name(provider.name)) {
    return wrong(provider, "that is no name", "use [A-Za-z0-9._-], at most 63");
  }
  if (provider.kind == "openai") {
    return wrong(provider, "kind 'openai' is not offered by this version",
                 "use kind = \"command\" with a program that asks the server");
  }
  if (provider.kind != "command") {
    return wrong(provider, "kind is '" + provider.kind + "', not command");
  }
  if (provider.argv.empty() || provider.argv[0].empty()) {
    return wrong(provider, "argv is missing", "name the program, such as argv = [\"llm\"]");
  }
  if (provider.concurrency == 0) return wrong(provider, "concurrency is 0");
  if (wants_model(provider) && provider.models.empty()) {
    return wrong(provider, "argv has {{model}}, but models is empty");
  }
  if (!provider.base_url.empty() || !provider.api_key_file.empty()) {
    return wrong(provider, "base_url and api_key_file are not for kind command");
  }
  const std::string& key = provider.api_key_env;
  if (!key.empty() && environment.count(key) == 0) {
    return wrong(provider, "the variable " + key + " of api_key_env is not set");
  }
  return {};
}

uint64_t tokens_of(size_t bytes) { return (bytes + kBytesPerToken - 1) / kBytesPerToken; }

}  // namespace

Result<Providers> Providers::open(std::vector<conf::ProviderSettings> settings,
                                  const std::map<std::string, std::string>& environment) {
  std::set<std::string> names;
  for (const conf::ProviderSettings& provider : settings) {
    if (const Result<void> checked = check(provider, environment); !checked) {
      return fail(checked.error());
    }
    if (!names.insert(provider.name).second) return wrong(provider, "there are two of that name");
  }
  Providers providers;
  providers.running_.assign(settings.size(), 0);
  providers.settings_ = std::move(settings);
  return providers;
}

std::vector<std::string> Providers::services() const {
  std::set<std::string> names;
  const std::string base(kServicePrompt);
  for (const conf::ProviderSettings& provider : settings_) {
    names.insert(base);
    names.insert(base + "@" + provider.name);
    for (const std::string& model : provider.models) {
      names.insert(base + "/" + model);
      names.insert(base + "@" + provider.name + "/" + model);
    }
  }
  return {names.begin(), names.end()};
}

Result<Providers::Choice> Providers::choose(std::string_view provider,
                                            std::string_view model) const {
  for (size_t i = 0; i < settings_.size(); ++i) {
    const conf::ProviderSettings& each = settings_[i];
    if (!provider.empty() && each.name != provider) continue;
    if (model.empty()) return Choice{i, each.models.empty() ? "" : each.models.front()};
    if (std::find(each.models.begin(), each.models.end(), model) != each.models.end()) {
      return Choice{i, std::string(model)};
    }
  }
  if (settings_.empty()) {
    return fail(Errc::unsupported, "this worker has no prompt provider",
                "add a [[worker.provider]] to its configuration");
  }
  std::string wanted;
  if (!provider.empty()) wanted += " '" + std::string(provider) + "'";
  if (!model.empty()) wanted += " with model '" + std::string(model) + "'";
  return fail(Errc::unsupported, "this worker has no prompt provider" + wanted);
}

Result<Providers::Choice> Providers::choose_for(const JobSpec& job) const {
  std::string_view rest = std::string_view(job.service).substr(kServicePrompt.size());
  std::string_view provider = job.provider;
  std::string_view model = job.model;
  if (!rest.empty() && rest[0] == '@') {
    const size_t slash = rest.find('/');
    provider = rest.substr(1, slash == std::string_view::npos ? slash : slash - 1);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
  }
  if (!rest.empty()) model = rest.substr(1);  // after the '/'
  return choose(provider, model);
}

std::vector<std::string> Providers::argv(const Choice& choice) const {
  std::vector<std::string> filled = settings_[choice.provider].argv;
  for (std::string& argument : filled) {
    for (size_t at = argument.find(kModelMark); at != std::string::npos;
         at = argument.find(kModelMark, at + choice.model.size())) {
      argument.replace(at, kModelMark.size(), choice.model);
    }
  }
  return filled;
}

Usage Providers::estimate(const Choice& choice, size_t input_bytes, size_t output_bytes) const {
  const conf::ProviderSettings& provider = settings_[choice.provider];
  Usage usage;
  usage.input_tokens = tokens_of(input_bytes);
  usage.output_tokens = tokens_of(output_bytes);
  usage.estimated = true;
  if (provider.price_input && provider.price_output) {
    usage.cost_usd = (static_cast<double>(usage.input_tokens) * *provider.price_input +
                      static_cast<double>(usage.output_tokens) * *provider.price_output) /
                     kPriceUnit;
  }
  return usage;
}

bool Providers::may_start(const Choice& choice) const {
  return running_[choice.provider] < settings_[choice.provider].concurrency;
}

}  // namespace zgrid::worker
