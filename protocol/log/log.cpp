#include "protocol/log/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "protocol/base/utf8.h"

namespace zgrid {
namespace {

constexpr std::array<std::string_view, 6> kLevels{"trace", "debug", "info", "warn", "error", "off"};

spdlog::level::level_enum to_spdlog(Log::Level level) {
  switch (level) {
    case Log::Level::trace: return spdlog::level::trace;
    case Log::Level::debug: return spdlog::level::debug;
    case Log::Level::info: return spdlog::level::info;
    case Log::Level::warn: return spdlog::level::warn;
    case Log::Level::error: return spdlog::level::err;
    case Log::Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

// How many bytes at the front of a text, which is UTF-8, are something that a terminal acts on or
// that ends a line: 0, 1, or 2 for C1.
size_t control_at_front(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  if (c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) return 2;
  return c < 0x20 || c == 0x7f ? 1 : 0;
}

// In one line, whatever it was made from: control characters as JSON escapes them; what is not
// UTF-8 is replaced. `marks` get a backslash.
std::string escaped(std::string_view text, std::string_view marks) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_sequence(text);
    const size_t control = length == 0 ? 0 : control_at_front(text);
    if (length == 0) {
      out += kReplacement;
    } else if (control > 0) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[control - 1]));
    } else {
      if (marks.find(text[0]) != std::string_view::npos) out += '\\';
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string in_quotes(std::string_view text) { return '"' + escaped(text, "\"\\") + '"'; }

std::string as_text(std::string_view message, const Log::Fields& fields) {
  std::string line = escaped(message, "");
  for (const auto& [name, value] : fields) {
    line += ' ';
    line += name;
    line += '=';
    line +=
        value.find_first_of(" \"\n") == std::string::npos ? escaped(value, "") : in_quotes(value);
  }
  return line;
}

std::string as_json(std::string_view message, const Log::Fields& fields) {
  std::string line = "\"message\":" + in_quotes(message);
  for (const auto& [name, value] : fields) {
    line += ',';
    line += in_quotes(name);
    line += ':';
    line += in_quotes(value);
  }
  return line;
}

}  // namespace

struct Log::Impl {
  std::shared_ptr<spdlog::logger> logger;
  bool json = false;
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::~Log() = default;

Result<std::unique_ptr<Log>> Log::open(const std::string& level, const std::string& format) {
  size_t number = 0;
  while (number < kLevels.size() && kLevels[number] != level) ++number;
  if (number == kLevels.size()) {
    return fail(Errc::config, "'" + level + "' is no log level",
                "use trace, debug, info, warn, error or off");
  }
  if (format != "text" && format != "json") {
    return fail(Errc::config, "'" + format + "' is no log format", "use text or json");
  }
  auto impl = std::make_unique<Impl>();
  impl->json = format == "json";
  // The sink writes a coloured line in parts; as they are collected, nothing comes between them.
  std::setvbuf(stderr, nullptr, _IOLBF, BUFSIZ);
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  impl->logger = std::make_shared<spdlog::logger>("zgrid", std::move(sink));
  impl->logger->set_level(to_spdlog(static_cast<Level>(number)));
  if (impl->json) {
    impl->logger->set_pattern("{\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\",\"level\":\"%l\",%v}",
                              spdlog::pattern_time_type::utc);
  } else {
    impl->logger->set_pattern("%H:%M:%S.%e %^%l%$ %v");
  }
  impl->logger->flush_on(spdlog::level::trace);
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

bool Log::is_on(Level level) const { return impl_->logger->should_log(to_spdlog(level)); }

void Log::write(Level level, std::string_view message, const Fields& fields) {
  if (!is_on(level)) return;
  const std::string line = impl_->json ? as_json(message, fields) : as_text(message, fields);
  // As a string view: a brace in the message is no format.
  impl_->logger->log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace zgrid
