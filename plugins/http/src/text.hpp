#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace patchbay::http_request {

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline bool equal_without_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// A token of RFC 9110, section 5.6.2.
inline bool is_header_name(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z');
    if (!alphanumeric && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

// The names of an object's members, as they stand in its text (without white space and valid, as the host hands it
// out). A name with an escape in it comes with its backslash.
inline std::vector<std::string_view> member_names(std::string_view object) {
  std::vector<std::string_view> names;
  int depth = 0;
  bool is_name = true;  // the next string at depth 1
  for (std::size_t i = 0; i < object.size(); ++i) {
    const char c = object[i];
    if (c == '"') {
      const auto begin = ++i;
      while (i < object.size() && object[i] != '"') i += object[i] == '\\' ? 2 : 1;
      if (depth == 1 && is_name) names.push_back(object.substr(begin, i - begin));
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (depth == 1 && (c == ':' || c == ',')) {
      is_name = c == ',';
    }
  }
  return names;
}

// True when the text is a JSON string as it is, between quotes.
inline bool needs_no_escape(std::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
  }
  return true;
}

}  // namespace patchbay::http_request
