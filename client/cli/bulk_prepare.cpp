// What is decided about many jobs before there is a broker.
#include <array>
#include <cstdio>
#include <ctime>

#include "client/cli/bulk.h"
#include "client/cli/input.h"
#include "protocol/base/limits.h"
#include "protocol/base/units.h"
#include "protocol/hash.h"

namespace zgrid::cli {
namespace {

constexpr size_t kIndexDigitsMax = 20;

Result<void> check_bulk(const SubmitCommand& command) {
  const Bulk& bulk = command.bulk;
  const int sources = int{bulk.array.has_value()} + int{bulk.each_line.has_value()} +
                      int{bulk.each_json.has_value()};
  if (sources > 1) {
    return fail(Errc::usage, "--array, --each-line and --each-json exclude each other",
                "give one of them");
  }
  if (command.target.mode == Target::Mode::all) {
    return fail(Errc::usage, "--on all is for one job, not for many",
                "submit to one worker after another: --on NAME");
  }
  if (command.detach && (!bulk.out.empty() || bulk.max_fails)) {
    return fail(Errc::usage,
                std::string(bulk.out.empty() ? "--max-fails" : "--out") + " and --detach",
                "a command that does not wait sees no results; 'zgrid result --run R' prints them");
  }
  const bool is_stdin = bulk.each_line == "-" || bulk.each_json == "-";
  const bool text_is_stdin = command.text == "-" || command.input == "-" || command.system == "-" ||
                             (command.kind == JobKind::prompt && command.subject == "-");
  if (is_stdin && text_is_stdin) {
    return fail(Errc::usage, "stdin cannot be both the lines and a text",
                "put one of them into a file");
  }
  if (command.key.size() + 1 + kIndexDigitsMax > limits::kKeyBytesMax) {
    return fail(Errc::usage, "--key is too long: with its index, a key has at most " +
                                 std::to_string(limits::kKeyBytesMax) + " bytes");
  }
  return {};
}

}  // namespace

Result<void> check_options(const SubmitCommand& command) {
  const Bulk& bulk = command.bulk;
  if (command.rerun_failed && command.key.empty()) {
    return fail(Errc::usage, "--rerun needs --key",
                "the key says which jobs there were; 'zgrid retry --run R --state "
                "failed,timed_out,dead_letter' does without one");
  }
  if (bulk.is_wanted()) return check_bulk(command);
  if (!bulk.out.empty() || bulk.max_fails) {
    return fail(Errc::usage,
                std::string(bulk.out.empty() ? "--max-fails" : "--out") + " is for many jobs",
                "say which with --array, --each-line or --each-json");
  }
  return {};
}

std::string new_run_name(WallTime now, uint32_t random) {
  const auto seconds = static_cast<std::time_t>(now.us / 1'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> time{};
  if (std::strftime(time.data(), time.size(), "%Y%m%d-%H%M%S", &utc) == 0) time[0] = '\0';
  std::string name = "bulk-" + std::string(time.data()) + "-";
  // No letters that look like digits, none that make words.
  constexpr std::string_view kLetters = "23456789bcdfghjkmnpqrstvwxz";
  for (int i = 0; i < 4; ++i) {
    name += kLetters[random % kLetters.size()];
    random /= static_cast<uint32_t>(kLetters.size());
  }
  return name;
}

std::string run_name_of_key(const std::string& key) {
  if (is_name(key)) return key;
  return "key-" + protocol::hash_bytes({}, key).str();
}

Result<PreparedBulk> prepare_bulk(App& app, SubmitCommand command) {
  if (command.run.empty()) {
    uint32_t random = 0;
    client::fill_random(&random, sizeof random);
    command.run = command.key.empty() ? new_run_name(client::system_now().wall, random)
                                      : run_name_of_key(command.key);
  }
  auto spec = prepare_spec(command);
  if (!spec) return fail(spec.error());
  auto maker = InputMaker::open(command);
  if (!maker) return fail(maker.error());
  const bool is_each = command.bulk.each_line || command.bulk.each_json;
  if (is_each && !maker->uses_item()) {
    app.out.note("every job gets the same input: {{data.text}} would be its line");
  }
  auto source = BulkSource::open(command.bulk);
  if (!source) return fail(source.error());
  auto looked = source->look_ahead([&](const Item& item) -> Result<void> {
    auto input = maker->make(item);
    if (input) return {};
    Error error = input.error();
    error.message = source->where(item.index) + ": " + error.message;
    return fail(std::move(error));
  });
  if (!looked) {
    Error error = looked.error();
    error.message += "; nothing was submitted";
    return fail(std::move(error));
  }
  PreparedBulk bulk{std::move(command), std::move(*spec), std::move(*maker), std::move(*source),
                    std::nullopt};
  if (!bulk.command.bulk.out.empty()) {
    const std::string results =
        "the results are kept: 'zgrid result --run " + bulk.command.run + "'";
    const bool has_key = !bulk.command.key.empty();
    auto folder = OutputFolder::open(bulk.command.bulk.out, bulk.command.run,
                                     results + (has_key ? ", or the same command again" : ""));
    if (!folder) return fail(folder.error());
    bulk.folder.emplace(std::move(*folder));
  }
  return bulk;
}

}  // namespace zgrid::cli
