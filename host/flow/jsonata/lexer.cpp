#include "flow/jsonata/lexer.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {
namespace {

using namespace std::string_view_literals;

// Longest first. Some belong to parts of the language that are not here yet: the parser says so.
constexpr std::array kOperators{".."sv, ":="sv, "!="sv, ">="sv, "<="sv, "**"sv, "~>"sv, "?:"sv, "??"sv,
                                "."sv,  "["sv,  "]"sv,  "{"sv,  "}"sv,  "("sv,  ")"sv,  ","sv,  "@"sv,
                                "#"sv,  ";"sv,  ":"sv,  "?"sv,  "+"sv,  "-"sv,  "*"sv,  "/"sv,  "%"sv,
                                "|"sv,  "="sv,  "<"sv,  ">"sv,  "^"sv,  "&"sv,  "!"sv,  "~"sv};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Token Lexer::fail(std::size_t position, std::string message) {
  error_ = ExpressionError{std::move(message), position};
  position_ = text_.size();
  return {TokenType::end, position, {}, {}};
}

void Lexer::skip_space() {
  while (position_ < text_.size()) {
    if (is_space(text_[position_])) {
      ++position_;
      continue;
    }
    if (!text_.substr(position_).starts_with("/*")) return;
    const auto end = text_.find("*/", position_ + 2);
    if (end == std::string_view::npos) {
      fail(position_, "this comment is never closed");
      return;
    }
    position_ = end + 2;
  }
}

std::string_view Lexer::operator_here() const {
  const auto rest = text_.substr(position_);
  for (const auto op : kOperators) {
    if (rest.starts_with(op)) return op;
  }
  return {};
}

Token Lexer::next() {
  skip_space();
  if (error_ || position_ >= text_.size()) return {TokenType::end, text_.size(), {}, {}};
  const auto start = position_;
  const char c = text_[position_];
  if (const auto op = operator_here(); !op.empty()) {
    position_ += op.size();
    return {TokenType::op, start, std::string(op), {}};
  }
  if (c == '"' || c == '\'') return read_string(c);
  if (c == '`') return read_quoted_name();
  if (is_digit(c)) return read_number();
  return read_name();
}

Token Lexer::read_string(char quote) {
  Token token{TokenType::string, position_, {}, {}};
  for (++position_; position_ < text_.size();) {
    const char c = text_[position_++];
    if (c == quote) return token;
    if (c != '\\') {
      token.text += c;
    } else if (!read_escape(token.text)) {
      return {TokenType::end, text_.size(), {}, {}};
    }
  }
  return fail(token.position, "this string has no closing quote");
}

std::optional<char32_t> Lexer::read_hex() {
  unsigned code = 0;
  const auto digits = text_.substr(position_, 4);
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
  if (status != std::errc{} || end != digits.data() + 4) return std::nullopt;
  position_ += 4;
  return code;
}

// Behind a backslash. Escapes as in JSON (RFC 8259, section 7), and \' besides.
bool Lexer::read_escape(std::string& out) {
  static constexpr auto kFrom = "\"'\\/bfnrt"sv;
  static constexpr auto kTo = "\"'\\/\b\f\n\r\t"sv;
  const auto start = position_ - 1;
  const char c = position_ < text_.size() ? text_[position_++] : '\0';
  if (const auto known = kFrom.find(c); c != '\0' && known != std::string_view::npos) {
    out += kTo[known];
    return true;
  }
  if (c != 'u') {
    fail(start, "there is no such escape: write \\\\ for a backslash");
    return false;
  }
  auto code = read_hex();
  if (!code) {
    fail(start, "\\u must be followed by four hexadecimal digits");
    return false;
  }
  if (*code >= 0xd800 && *code < 0xdc00 && text_.substr(position_).starts_with("\\u")) {
    const auto back = position_;
    position_ += 2;
    const auto low = read_hex();
    if (low && *low >= 0xdc00 && *low < 0xe000) {
      code = 0x10000 + ((*code - 0xd800) << 10) + (*low - 0xdc00);
    } else {
      position_ = back;
    }
  }
  if (*code >= 0xd800 && *code < 0xe000) code = 0xfffd;  // half of a pair is no character
  append_utf8(out, *code);
  return true;
}

Token Lexer::read_quoted_name() {
  const auto start = position_;
  const auto end = text_.find('`', start + 1);
  if (end == std::string_view::npos) return fail(start, "this name has no closing backtick");
  position_ = end + 1;
  return {TokenType::name, start, std::string(text_.substr(start + 1, end - start - 1)), {}};
}

// -?(0|[1-9][0-9]*)(\.[0-9]+)?([Ee][-+]?[0-9]+)?, the sign being an operator
Token Lexer::read_number() {
  const auto start = position_;
  const auto digit_at = [this](std::size_t i) { return i < text_.size() && is_digit(text_[i]); };
  auto end = start + 1;
  if (text_[start] != '0') {
    while (digit_at(end)) ++end;
  }
  if (end < text_.size() && text_[end] == '.' && digit_at(end + 1)) {
    ++end;
    while (digit_at(end)) ++end;
  }
  if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
    auto power = end + 1;
    if (power < text_.size() && (text_[power] == '+' || text_[power] == '-')) ++power;
    if (digit_at(power)) {
      end = power;
      while (digit_at(end)) ++end;
    }
  }
  position_ = end;
  double value = 0;
  const auto status = std::from_chars(text_.data() + start, text_.data() + end, value).ec;
  if (status != std::errc{} || !std::isfinite(value)) return fail(start, "this number is out of range");
  return {TokenType::literal, start, std::string(text_.substr(start, end - start)), Value::number(value)};
}

Token Lexer::read_name() {
  const auto start = position_;
  while (position_ < text_.size() && !is_space(text_[position_]) && operator_here().empty()) ++position_;
  const auto word = text_.substr(start, position_ - start);
  if (word[0] == '$') return {TokenType::variable, start, std::string(word.substr(1)), {}};
  if (word == "and" || word == "or" || word == "in") return {TokenType::op, start, std::string(word), {}};
  if (word == "true") return {TokenType::literal, start, std::string(word), Value::boolean(true)};
  if (word == "false") return {TokenType::literal, start, std::string(word), Value::boolean(false)};
  if (word == "null") return {TokenType::literal, start, std::string(word), Value::null()};
  return {TokenType::name, start, std::string(word), {}};
}

}  // namespace patchbay::flow::jsonata
