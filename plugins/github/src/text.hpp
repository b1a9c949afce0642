#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace patchbay::github {

inline bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

// May stand in a path as an owner or a repository: no slash, no escape, no "." or "..".
inline bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 100 || text == "." || text == "..") return false;
  for (const char c : text) {
    if (!is_alphanumeric(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

inline std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t value = 0;
  const auto end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value < 0) return std::nullopt;
  return value;
}

// Any text as one that can stand in an HTML comment ("--" cannot); different texts stay different.
inline std::string comment_safe(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const bool again = c == '-' && !out.empty() && out.back() == '-';
    if ((is_alphanumeric(c) || c == '-' || c == ':' || c == '.') && !again) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += {'_', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

}  // namespace patchbay::github
