#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "flow/expression.hpp"
#include "flow/jsonata/value.hpp"

namespace patchbay::flow::jsonata {

enum class TokenType { end, name, string, literal, variable, op };

struct Token {
  TokenType type = TokenType::end;
  std::size_t position = 0;
  std::string text;  // of an operator, "and", "or", "in" among them; of a name, a string, a variable without its $
  Value literal;     // number, true, false, null
};

// Cuts an expression's text into tokens. After an error it gives `end` for ever, and error() says what was wrong.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  [[nodiscard]] Token next();
  [[nodiscard]] const std::optional<ExpressionError>& error() const { return error_; }

 private:
  void skip_space();
  Token read_string(char quote);
  bool read_escape(std::string& out);
  std::optional<char32_t> read_hex();
  Token read_quoted_name();
  Token read_number();
  Token read_name();
  std::string_view operator_here() const;
  Token fail(std::size_t position, std::string message);

  std::string_view text_;
  std::size_t position_ = 0;
  std::optional<ExpressionError> error_;
};

}  // namespace patchbay::flow::jsonata
