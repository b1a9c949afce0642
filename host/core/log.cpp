#include "core/log.hpp"

#include <atomic>
#include <memory>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "core/json.hpp"
#include "core/time.hpp"

namespace patchbay::log {
namespace {

std::atomic<Level> g_level{Level::info};
std::atomic<bool> g_json{false};

std::shared_ptr<spdlog::logger> make_logger(const std::string& file) {
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
  }
  auto logger = std::make_shared<spdlog::logger>("patchbay", std::move(sink));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::warn);
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  return logger;
}

std::shared_ptr<spdlog::logger>& logger() {
  static auto instance = make_logger("");
  return instance;
}

constexpr std::string_view name_of(Level level) {
  switch (level) {
    case Level::trace: return "trace";
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
    case Level::off: return "off";
  }
  return "?";
}

std::string escape_controls(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      escaped += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

void configure(const Settings& settings) {
  g_level = settings.level;
  g_json = settings.json;
  logger() = make_logger(settings.file);
}

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

bool parse_level(std::string_view text, Level& level) {
  for (const auto candidate : {Level::trace, Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
    if (name_of(candidate) == text) {
      level = candidate;
      return true;
    }
  }
  return false;
}

void write(Level level, std::string_view module, std::string_view text) {
  const auto time = to_rfc3339(system_clock().now());
  const auto severity = level >= Level::warn ? spdlog::level::warn : spdlog::level::info;
  if (g_json) {
    logger()->log(severity, R"({{"time":"{}","level":"{}","module":{},"message":{}}})", time, name_of(level),
                  json_quote(module), json_quote(text));
  } else {
    logger()->log(severity, "{} {:<5} {:<8} {}", time, name_of(level), module, escape_controls(text));
  }
}

void flush() { logger()->flush(); }

}  // namespace patchbay::log
