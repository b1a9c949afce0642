#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// The elements of an array, as they stand in its text; valid JSON, in which white space may stand between them. The
// host parses what it is asked about anew, so a long list is asked about element by element.
inline std::vector<std::string_view> elements_of(std::string_view array) {
  std::vector<std::string_view> elements;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const char c = array[i];
    if (c == '"') {
      while (++i < array.size() && array[i] != '"') i += array[i] == '\\' ? 1 : 0;
    } else if (c == '{' || c == '[') {
      if (++depth == 1) begin = i + 1;
    } else if ((c == '}' || c == ']') && --depth > 0) {
      continue;
    } else if (depth == 0 || (depth == 1 && c == ',')) {
      const auto element = array.substr(begin, i - begin);
      if (element.find_first_not_of(" \t\r\n") != std::string_view::npos) elements.push_back(element);
      begin = i + 1;
      if (depth == 0) break;
    }
  }
  return elements;
}

}  // namespace patchbay::github
