#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace patchbay::log {

enum class Level { trace, debug, info, warn, error, off };

// One line a message: time, level, module, text. Never log a secret, a token, a header of credentials or a body.
struct Settings {
  Level level = Level::info;
  bool json = false;      // one JSON object a line instead of text
  std::string file = {};  // empty: standard error
};
void configure(const Settings& settings);  // before other threads start
[[nodiscard]] bool enabled(Level level);
[[nodiscard]] bool parse_level(std::string_view text, Level& level);

// Any thread. Control characters in text are escaped, so that nobody can forge a line.
void write(Level level, std::string_view module, std::string_view text);
void flush();

template <class... Args>
void debug(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, module, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, module, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warn)) write(Level::warn, module, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view module, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, module, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace patchbay::log
