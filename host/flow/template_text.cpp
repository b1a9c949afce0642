#include "flow/template_text.hpp"

#include <optional>

namespace patchbay::flow {
namespace {

// Behind a literal that opens at `start`, or nullopt when it is never closed.
std::optional<std::size_t> skip_quoted(std::string_view text, std::size_t start) {
  const char quote = text[start];
  for (auto i = start + 1; i < text.size(); ++i) {
    if (text[i] == '\\' && quote != '`') {
      ++i;
    } else if (text[i] == quote) {
      return i + 1;
    }
  }
  return std::nullopt;
}

// A quote opens a literal only where a token can begin: in o'clock it is a part of the name.
bool can_open(std::string_view text, std::size_t start, std::size_t i) {
  if (i == start) return true;
  static constexpr std::string_view kBefore = " \t\n\r\v.[]{}(),@#;:?+-*/%|=<>^&!~'\"`";
  return kBefore.find(text[i - 1]) != std::string_view::npos;
}

// Where the expression that begins at `start` ends: at its "}}".
std::optional<std::size_t> find_end(std::string_view text, std::size_t start) {
  std::size_t open = 0;
  for (auto i = start; i < text.size();) {
    const char c = text[i];
    if ((c == '"' || c == '\'' || c == '`') && can_open(text, start, i)) {
      const auto behind = skip_quoted(text, i);
      if (!behind) return std::nullopt;
      i = *behind;
      continue;
    }
    if (text.substr(i).starts_with("/*")) {
      const auto close = text.find("*/", i + 2);
      if (close == std::string_view::npos) return std::nullopt;
      i = close + 2;
      continue;
    }
    if (c == '{') ++open;
    if (c == '}') {
      if (open == 0 && text.substr(i).starts_with("}}")) return i;
      if (open > 0) --open;
    }
    ++i;
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::vector<TextPart>, ExpressionError> split_text(std::string_view string) {
  std::vector<TextPart> parts;
  std::string plain;
  std::size_t plain_start = 0;
  const auto flush = [&] {
    if (!plain.empty()) parts.push_back({false, std::move(plain), plain_start});
    plain.clear();
  };
  for (std::size_t i = 0; i < string.size();) {
    const auto open = string.find("{{", i);
    plain += string.substr(i, open == std::string_view::npos ? open : open - i);
    if (open == std::string_view::npos) break;
    if (open > i && string[open - 1] == '\\') {
      plain.pop_back();
      plain += "{{";
      i = open + 2;
      continue;
    }
    const auto start = open + 2;
    const auto end = find_end(string, start);
    if (!end) return std::unexpected(ExpressionError{"this {{ has no }} (write \\{{ for the braces themselves)", open});
    flush();
    parts.push_back({true, std::string(string.substr(start, *end - start)), start});
    i = *end + 2;
    plain_start = i;
  }
  flush();
  return parts;
}

std::string pointer_step(std::string_view key) {
  std::string step = "/";
  for (const char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

std::string pointer_step(std::size_t index) { return "/" + std::to_string(index); }

}  // namespace patchbay::flow
