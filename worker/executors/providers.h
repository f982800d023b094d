// The prompt providers that a worker's configuration names.
//
// This version offers kind "command": a program that gets the prompt on stdin (a system text
// first, then an empty line) and answers on stdout.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/settings.h"
#include "protocol/base/result.h"
#include "protocol/job.h"

namespace zgrid::worker {

class Providers {
 public:
  // Who answers a prompt.
  struct Choice {
    size_t provider = 0;
    std::string model;  // empty: the provider names no models
  };

  // Errc::config naming the provider and what is wrong with it. `environment` is the worker's:
  // where a key that api_key_env names must be.
  static Result<Providers> open(std::vector<conf::ProviderSettings> settings,
                                const std::map<std::string, std::string>& environment);

  [[nodiscard]] bool empty() const { return settings_.empty(); }
  // zgrid.prompt, zgrid.prompt/MODEL, zgrid.prompt@PROVIDER, zgrid.prompt@PROVIDER/MODEL.
  [[nodiscard]] std::vector<std::string> services() const;

  // Empty names mean: the first provider, its first model. Errc::unsupported if there is none.
  [[nodiscard]] Result<Choice> choose(std::string_view provider, std::string_view model) const;
  // The same for a service; the job's own provider and model count where the service names none.
  [[nodiscard]] Result<Choice> choose_for(const JobSpec& job) const;

  [[nodiscard]] const conf::ProviderSettings& settings(const Choice& choice) const {
    return settings_[choice.provider];
  }
  // The command with {{model}} filled in.
  [[nodiscard]] std::vector<std::string> argv(const Choice& choice) const;
  // What the sizes suggest: about four bytes a token. A cost only where both prices are known.
  [[nodiscard]] Usage estimate(const Choice& choice, size_t input_bytes, size_t output_bytes) const;

  // Each start() that was granted is followed by one stop().
  [[nodiscard]] bool may_start(const Choice& choice) const;
  void start(const Choice& choice) { ++running_[choice.provider]; }
  void stop(const Choice& choice) { --running_[choice.provider]; }

 private:
  std::vector<conf::ProviderSettings> settings_;
  std::vector<uint32_t> running_;
};

}  // namespace zgrid::worker
