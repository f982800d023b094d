// [[worker.provider]]: who answers prompts on this worker.
#include <algorithm>

#include "conf/keys.h"
#include "protocol/base/units.h"

namespace zgrid::conf {
namespace {

constexpr double kPriceMax = 1e6;  // USD per million tokens: a dollar a token
constexpr int64_t kConcurrencyMax = 1024;

// A price is for both directions, or it would hide half of the cost.
void read_price(TableReader& reader, const std::string& file, ProviderSettings& provider) {
  const Node* node = reader.child("price");
  if (node == nullptr) return;
  TableReader price(*node, file, "price");
  double input = -1;
  double output = -1;
  price.get("input", input, 0, kPriceMax);
  price.get("output", output, 0, kPriceMax);
  if (const Result<void> done = price.finish(); !done) {
    reader.error("price must be { input = USD, output = USD } per million tokens", node->line);
  } else if (input < 0 || output < 0) {
    reader.error("price needs both input and output", node->line);
  } else {
    provider.price_input = input;
    provider.price_output = output;
  }
}

void check_openai(TableReader& reader, const ProviderSettings& provider) {
  const auto starts = [&](std::string_view with) {
    return provider.base_url.compare(0, with.size(), with) == 0;
  };
  if (!starts("http://") && !starts("https://")) {
    reader.error("kind openai needs base_url = \"http://HOST:PORT/v1\" or https://");
  }
  if (provider.models.empty()) reader.error("kind openai needs models; the first is the default");
  if (reader.has("argv")) reader.error("argv belongs to kind command");
  if (!provider.api_key_env.empty() && !provider.api_key_file.empty()) {
    reader.error("api_key_env and api_key_file exclude each other");
  }
}

void check_command(TableReader& reader, const ProviderSettings& provider) {
  if (provider.argv.empty() || provider.argv[0].empty()) {
    reader.error("kind command needs argv, a program and its arguments");
  }
  for (const char* key : {"base_url", "api_key_env", "api_key_file"}) {
    if (reader.has(key)) reader.error(std::string(key) + " belongs to kind openai");
  }
}

ProviderSettings read_one(const Node& node, const std::string& file, const PathBase& base,
                          TableReader& errors) {
  ProviderSettings provider;
  TableReader reader(node, file, "[[worker.provider]]");
  reader.get("name", provider.name);
  reader.get("kind", provider.kind);
  reader.get("base_url", provider.base_url);
  reader.get("api_key_env", provider.api_key_env);
  reader.get("api_key_file", provider.api_key_file);
  reader.get("models", provider.models);
  reader.get("argv", provider.argv);
  reader.get_int("concurrency", provider.concurrency, 1, kConcurrencyMax);
  reader.get_duration("time_limit", provider.time_limit);
  read_price(reader, file, provider);
  provider.api_key_file = resolve_path(provider.api_key_file, base);
  if (!is_name(provider.name)) {
    reader.error("needs a name of 1 to 63 of A-Z a-z 0-9 . _ -");
  } else if (provider.kind == "openai") {
    check_openai(reader, provider);
  } else if (provider.kind == "command") {
    check_command(reader, provider);
  } else {
    reader.error("kind is '" + provider.kind + "', not openai or command");
  }
  // The worker's reader reports; the place is already in the message.
  if (const Result<void> done = reader.finish(); !done) errors.fail_with(done.error().message);
  return provider;
}

// Some put a name and a password before the host.
std::string without_password(const std::string& url) {
  const size_t start = url.find("://");
  if (start == std::string::npos) return url;
  const size_t slash = std::min(url.find('/', start + 3), url.size());
  const size_t at = url.rfind('@', slash);
  if (at == std::string::npos || at < start + 3) return url;
  return url.substr(0, start + 3) + "***" + url.substr(at);
}

}  // namespace

std::vector<ProviderSettings> read_providers(const Node& list, const std::string& file,
                                             const PathBase& base, TableReader& errors) {
  std::vector<ProviderSettings> providers;
  const Array* items = list.array();
  if (items == nullptr) {
    errors.error("provider is no list: write [[worker.provider]], with two brackets", list.line);
    return providers;
  }
  for (const Node& item : *items) {
    ProviderSettings provider = read_one(item, file, base, errors);
    const bool taken =
        std::any_of(providers.begin(), providers.end(),
                    [&](const ProviderSettings& other) { return other.name == provider.name; });
    if (taken) errors.error("two providers are named '" + provider.name + "'", item.line);
    providers.push_back(std::move(provider));
  }
  return providers;
}

std::string show_provider(const ProviderSettings& provider) {
  std::string out = "{ kind = " + toml_text(provider.kind);
  const auto add = [&out](const char* key, const std::string& literal) {
    out += std::string(", ") + key + " = " + literal;
  };
  if (!provider.base_url.empty()) add("base_url", toml_text(without_password(provider.base_url)));
  if (!provider.api_key_env.empty()) add("api_key_env", toml_text(provider.api_key_env));
  if (!provider.api_key_file.empty()) add("api_key_file", toml_text(provider.api_key_file));
  if (!provider.models.empty()) add("models", toml_list(provider.models));
  if (!provider.argv.empty()) add("argv", toml_list(provider.argv));
  if (provider.price_input && provider.price_output) {
    add("price", "{ input = " + toml_number(*provider.price_input) +
                     ", output = " + toml_number(*provider.price_output) + " }");
  }
  add("concurrency", std::to_string(provider.concurrency));
  if (provider.time_limit.count() > 0) {
    add("time_limit", toml_text(format_duration(provider.time_limit)));
  }
  return out + " }";
}

}  // namespace zgrid::conf
