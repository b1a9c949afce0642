#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "flow/expression.hpp"

namespace patchbay::flow {

// A part of a string with {{ expressions }}.
struct TextPart {
  bool expression;
  std::string text;      // as it reads, \{{ being {{ already; or what stands between the braces
  std::size_t position;  // of text's first byte in the string
};

// Cuts a string. The end of an expression is found as its lexer would find it: }} in a string literal, a quoted name, a
// comment or behind an open { does not end it. Error: an expression that is never closed.
[[nodiscard]] std::expected<std::vector<TextPart>, ExpressionError> split_text(std::string_view string);

// One expression and nothing else: the value keeps its type.
[[nodiscard]] inline bool is_typed(const std::vector<TextPart>& parts) {
  return parts.size() == 1 && parts.front().expression;
}

// "/a~1b" for "a/b": one step of a JSON Pointer (RFC 6901).
[[nodiscard]] std::string pointer_step(std::string_view key);
[[nodiscard]] std::string pointer_step(std::size_t index);

}  // namespace patchbay::flow
