#include "client/cli/input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "client/cli/input_maker.h"
#include "client/cli/job_result.h"
#include "client/outbox.h"
#include "protocol/base/units.h"
#include "protocol/codec.h"

namespace zgrid::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Until = std::optional<Clock::time_point>;

// Whether a read would not wait any more, by then.
bool is_readable(int fd, Clock::time_point until) {
  while (true) {
    const auto left = std::chrono::ceil<Millis>(until - Clock::now());
    constexpr Millis kNap{60'000};
    pollfd one{fd, POLLIN, 0};
    const int ready = ::poll(&one, 1, static_cast<int>(std::clamp(left, Millis{0}, kNap).count()));
    if (ready > 0) return true;
    if (left <= Millis{0}) return false;
  }
}

Result<std::string> read_all(int fd, const std::string& name, Until until = std::nullopt) {
  std::string text;
  constexpr size_t kChunk = 64u << 10;
  while (true) {
    if (until && !is_readable(fd, *until)) {
      return fail(Errc::timeout, name + " did not end within --timeout",
                  "is what writes to it still running? nothing was done yet");
    }
    const size_t size = text.size();
    text.resize(size + kChunk);
    const ssize_t got = ::read(fd, text.data() + size, kChunk);
    text.resize(size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Errc::io, "cannot read " + name + ": " + std::strerror(errno));
    if (got == 0) return text;
    if (text.size() > limits::kPayloadBytesMax) {
      return fail(Errc::too_large,
                  name + " is over the limit of " + format_size(limits::kPayloadBytesMax),
                  "pass a path or an address instead of the data");
    }
  }
}

Result<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const Errc code = errno == ENOENT || errno == ENOTDIR ? Errc::not_found : Errc::io;
    return fail(code, "cannot open '" + path + "': " + std::strerror(errno),
                "@@ at the beginning means the character @ itself");
  }
  auto text = read_all(fd, "'" + path + "'");
  ::close(fd);
  return text;
}

std::string service_of(const SubmitCommand& command) {
  if (command.kind != JobKind::prompt) return command.subject;
  std::string service(kServicePrompt);
  if (!command.provider.empty()) service += "@" + command.provider;
  if (!command.model.empty()) service += "/" + command.model;
  return service;
}

}  // namespace

Result<std::string> read_argument(const std::string& argument) {
  if (argument == "-") return read_all(STDIN_FILENO, "stdin");
  if (argument.empty() || argument[0] != '@') return argument;
  if (argument.size() > 1 && argument[1] == '@') return argument.substr(1);
  return read_file(argument.substr(1));
}

Result<std::vector<std::string>> read_ids_from_stdin(std::optional<Millis> within) {
  Until until;
  if (within) until = Clock::now() + *within;
  auto text = read_all(STDIN_FILENO, "stdin", until);
  if (!text) return fail(text.error());
  std::vector<std::string> ids;
  constexpr const char* kBlanks = " \t\r\n";
  for (size_t at = text->find_first_not_of(kBlanks); at != std::string::npos;) {
    const size_t end = std::min(text->find_first_of(kBlanks, at), text->size());
    ids.push_back(text->substr(at, end - at));
    at = text->find_first_not_of(kBlanks, end);
  }
  return ids;
}

Payload text_payload(std::string_view bytes) {
  return {PayloadTag::json, Bytes::own(Json::object().set("text", text_or_base64(bytes)).dump())};
}

Result<SpecRef> prepare_spec(const SubmitCommand& command) {
  JobSpec spec;
  spec.kind = command.kind;
  spec.service = service_of(command);
  spec.target = command.target;
  spec.steps = command.steps;
  spec.priority = command.priority;
  spec.retries = command.retries;
  spec.time_limit = command.time_limit;
  spec.deadline = command.deadline;
  spec.delay = command.delay;
  spec.run = command.run;
  spec.cache = command.cache;
  spec.no_queue = command.no_queue;
  spec.on_wedged = command.on_wedged;
  spec.model = command.model;
  spec.provider = command.provider;
  if (!command.system.empty()) {
    auto system = read_argument(command.system);
    if (!system) return fail(system.error());
    spec.system = std::move(*system);
  }
  if (auto ok = client::check_spec(spec); !ok) return fail(ok.error());
  return protocol::make_spec(std::move(spec));
}

Result<PreparedJob> prepare_job(const SubmitCommand& command) {
  auto spec = prepare_spec(command);
  if (!spec) return fail(spec.error());
  auto maker = InputMaker::open(command);
  if (!maker) return fail(maker.error());
  Item item;
  item.data = Json::object();
  auto input = maker->make(item);
  if (!input) return fail(input.error());
  return PreparedJob{std::move(*spec), std::move(*input)};
}

}  // namespace zgrid::cli
