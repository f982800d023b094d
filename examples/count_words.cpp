// Counts the words of each argument on the grid, all at once, and prints the results in order.
// Usage: count_words SECRET_FILE [BROKER] TEXT…      (BROKER as tcp://HOST:PORT; else by beacon)
#include <cstdio>
#include <string>
#include <vector>
#include <zgrid/client.hpp>

namespace {

using zgrid::api::Client;
using zgrid::api::Error;
using zgrid::api::Job;

// Enough JSON for one text; a program with a JSON library would use that.
std::string as_input(const std::string& text) {
  std::string json = R"({"text": ")";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return json + "\"}";
}

int report(const Error& error) {
  std::fprintf(stderr, "count_words: %s (%s)\n", error.message.c_str(), error.code.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() < 2) {
    std::fputs("usage: count_words SECRET_FILE [BROKER] TEXT...\n", stderr);
    return 2;
  }
  zgrid::api::Options options;
  options.secret_file = args[0];
  args.erase(args.begin());
  if (args[0].rfind("tcp://", 0) == 0) {
    options.brokers = {args[0]};
    args.erase(args.begin());
  }
  auto client = Client::connect(options);
  if (!client) return report(client.error());

  std::vector<Job> jobs;
  for (const std::string& text : args) {
    Job job;
    job.name = "word-count";
    job.input = as_input(text);
    job.retries = 1;
    jobs.push_back(job);
  }
  int exit_code = 0;
  for (const auto& handle : client->submit(jobs)) {
    const auto result = handle.wait(std::chrono::minutes(1));
    if (!result) return report(result.error());
    if (result->ok()) {
      std::printf("%s %s\n", result->worker->name.c_str(), result->output.c_str());
    } else {
      std::printf("%s: %s\n", result->status.c_str(), result->error->message.c_str());
      exit_code = 1;
    }
  }
  return exit_code;
}
