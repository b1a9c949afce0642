#include "flow/jsonata/parser.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "flow/jsonata/functions.hpp"
#include "flow/jsonata/lexer.hpp"

namespace patchbay::flow::jsonata {
namespace {

using namespace std::string_view_literals;

struct Infix {
  std::string_view text;
  int power;
  std::optional<Operator> op;  // of a plain binary operator
};

// Binding powers of the reference parser.
constexpr std::array kInfixes{
    Infix{"."sv, 75, {}},
    Infix{"["sv, 80, {}},
    Infix{"{"sv, 70, {}},
    Infix{"("sv, 80, {}},
    Infix{"?"sv, 20, {}},
    Infix{"+"sv, 50, Operator::add},
    Infix{"-"sv, 50, Operator::subtract},
    Infix{"*"sv, 60, Operator::multiply},
    Infix{"/"sv, 60, Operator::divide},
    Infix{"%"sv, 60, Operator::remainder},
    Infix{"&"sv, 50, Operator::concatenate},
    Infix{"="sv, 40, Operator::equal},
    Infix{"!="sv, 40, Operator::unequal},
    Infix{"<"sv, 40, Operator::less},
    Infix{"<="sv, 40, Operator::less_equal},
    Infix{">"sv, 40, Operator::greater},
    Infix{">="sv, 40, Operator::greater_equal},
    Infix{"in"sv, 40, Operator::in},
    Infix{"and"sv, 30, Operator::conjunction},
    Infix{"or"sv, 25, Operator::disjunction},
};
constexpr int kNegationPower = 70;

// Of the full language, behind a value and before one.
constexpr std::array kLaterInfixes{".."sv, ":="sv, "**"sv, "~>"sv, "?:"sv, "??"sv, "@"sv, "#"sv, "^"sv, "|"sv};
constexpr std::array kLaterPrefixes{"*"sv, "**"sv, "%"sv, "/"sv, "|"sv};

const Infix* infix_named(std::string_view text) {
  const auto found = std::ranges::find(kInfixes, text, &Infix::text);
  return found == kInfixes.end() ? nullptr : &*found;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) { advance(); }

  std::expected<NodePointer, ExpressionError> run() {
    auto root = expression(0);
    if (root && token_.type != TokenType::end) root = unexpected_operator();
    if (lexer_.error()) return std::unexpected(*lexer_.error());
    if (!root || error_) return std::unexpected(*error_);
    return root;
  }

 private:
  void advance() { token_ = lexer_.next(); }
  bool at(std::string_view op) const { return token_.type == TokenType::op && token_.text == op; }

  NodePointer fail(std::size_t position, std::string message) {
    if (!error_) error_ = ExpressionError{std::move(message), position};
    return nullptr;
  }
  NodePointer later(std::size_t position, std::string_view what) {
    return fail(position, fmt::format("{} is not supported yet", what));
  }
  static std::string shown(const Token& token) {
    return token.type == TokenType::end ? "the end" : fmt::format("'{}'", token.text);
  }
  NodePointer unexpected_operator() {
    if (token_.type == TokenType::op && std::ranges::find(kLaterInfixes, token_.text) != kLaterInfixes.end()) {
      return later(token_.position, shown(token_));
    }
    return fail(token_.position, fmt::format("an operator or the end was expected, not {}", shown(token_)));
  }
  bool expect(std::string_view op) {
    if (at(op)) {
      advance();
      return true;
    }
    if (token_.type == TokenType::op && std::ranges::find(kLaterInfixes, token_.text) != kLaterInfixes.end()) {
      later(token_.position, shown(token_));
    }
    fail(token_.position, fmt::format("'{}' was expected, not {}", op, shown(token_)));
    return false;
  }

  static NodePointer make(NodeType type, std::size_t position) {
    auto node = std::make_unique<Node>();
    node->type = type;
    node->position = position;
    return node;
  }
  bool adopt(Node& parent, const Node& child) {
    parent.depth = std::max(parent.depth, child.depth + 1);
    if (parent.depth <= kDeepestExpression) return true;
    fail(child.position, "this is nested too deeply");
    return false;
  }
  bool add(Node& parent, NodePointer child) {
    if (!child || !adopt(parent, *child)) return false;
    parent.children.push_back(std::move(child));
    return true;
  }

  NodePointer expression(int power);
  NodePointer prefix();
  NodePointer prefix_operator(const Token& token);
  NodePointer infix(NodePointer left);
  NodePointer name_path(const Token& token);
  NodePointer list(NodePointer node, std::string_view separator, std::string_view close);
  NodePointer object(std::size_t position);
  NodePointer dot(NodePointer left, std::size_t position);
  NodePointer predicate(NodePointer left);
  NodePointer group(NodePointer left, std::size_t position);
  NodePointer call(NodePointer left, std::size_t position);
  NodePointer condition(NodePointer left, std::size_t position);

  Lexer lexer_;
  Token token_;
  unsigned depth_ = 0;
  std::optional<ExpressionError> error_;
};

NodePointer Parser::expression(int power) {
  if (depth_ >= kDeepestExpression) return fail(token_.position, "this is nested too deeply");
  ++depth_;
  auto left = prefix();
  while (left) {
    const auto* next = token_.type == TokenType::op ? infix_named(token_.text) : nullptr;
    if (next == nullptr || next->power <= power) break;
    left = infix(std::move(left));
  }
  --depth_;
  return left;
}

NodePointer Parser::name_path(const Token& token) {
  auto path = make(NodeType::path, token.position);
  auto step = make(NodeType::name, token.position);
  step->text = token.text;
  add(*path, std::move(step));
  return path;
}

NodePointer Parser::prefix() {
  const auto token = std::exchange(token_, {});
  advance();
  switch (token.type) {
    case TokenType::end:
      return fail(token.position, "the expression ends where a value was expected");
    case TokenType::name:
      if ((token.text == "function" || token.text == "λ") && at("(")) return later(token.position, "a lambda");
      return name_path(token);
    case TokenType::string: {
      auto node = make(NodeType::string, token.position);
      node->text = token.text;
      return node;
    }
    case TokenType::literal: {
      auto node = make(NodeType::literal, token.position);
      node->literal = token.literal;
      return node;
    }
    case TokenType::variable: {
      auto node = make(token.text.empty()  ? NodeType::context
                       : token.text == "$" ? NodeType::root
                                           : NodeType::variable,
                       token.position);
      node->text = token.text;
      return node;
    }
    case TokenType::op:
      return prefix_operator(token);
  }
  return nullptr;
}

NodePointer Parser::prefix_operator(const Token& token) {
  if (token.text == "and" || token.text == "or" || token.text == "in") return name_path(token);
  if (token.text == "(") return list(make(NodeType::block, token.position), ";", ")");
  if (token.text == "[") return list(make(NodeType::array, token.position), ",", "]");
  if (token.text == "{") return object(token.position);
  if (token.text == "-") {
    auto operand = expression(kNegationPower);
    if (!operand) return nullptr;
    if (operand->type == NodeType::literal && operand->literal.is_number()) {
      operand->literal = Value::number(-operand->literal.as_number());
      return operand;
    }
    auto node = make(NodeType::negate, token.position);
    return add(*node, std::move(operand)) ? std::move(node) : nullptr;
  }
  if (std::ranges::find(kLaterPrefixes, token.text) != kLaterPrefixes.end()) {
    return later(token.position, token.text == "/" ? "a regular expression" : fmt::format("'{}'", token.text));
  }
  return fail(token.position, fmt::format("a value was expected, not '{}'", token.text));
}

// Items up to `close`; the first token of the first one is here.
NodePointer Parser::list(NodePointer node, std::string_view separator, std::string_view close) {
  if (at(close)) {
    advance();
    return node;
  }
  while (true) {
    if (node->type == NodeType::call && at("?")) return later(token_.position, "partial application");
    if (!add(*node, expression(0))) return nullptr;
    if (!at(separator)) break;
    advance();
    if (node->type == NodeType::block && at(close)) break;  // (a; b;)
  }
  return expect(close) ? std::move(node) : nullptr;
}

NodePointer Parser::object(std::size_t position) {
  auto node = make(NodeType::object, position);
  while (!at("}")) {
    if (!add(*node, expression(0)) || !expect(":") || !add(*node, expression(0))) return nullptr;
    if (!at(",")) break;
    advance();
  }
  return expect("}") ? std::move(node) : nullptr;
}

NodePointer Parser::infix(NodePointer left) {
  const auto token = std::exchange(token_, {});
  advance();
  if (token.text == ".") return dot(std::move(left), token.position);
  if (token.text == "[") return predicate(std::move(left));
  if (token.text == "{") return group(std::move(left), token.position);
  if (token.text == "(") return call(std::move(left), token.position);
  if (token.text == "?") return condition(std::move(left), token.position);
  const auto* operation = infix_named(token.text);
  auto node = make(NodeType::binary, token.position);
  node->op = *operation->op;
  node->text = token.text;
  if (!add(*node, std::move(left)) || !add(*node, expression(operation->power))) return nullptr;
  return node;
}

NodePointer Parser::dot(NodePointer left, std::size_t position) {
  auto rest = expression(75);
  if (!rest) return nullptr;
  auto path = std::move(left);
  if (path->type != NodeType::path) {
    auto wrapped = make(NodeType::path, path->position);
    if (!add(*wrapped, std::move(path))) return nullptr;
    path = std::move(wrapped);
  }
  if (path->group) return fail(position, "a step cannot follow a grouping {..}");
  if (rest->type == NodeType::path) {
    path->keep_singleton |= rest->keep_singleton;
    path->group = std::move(rest->group);
    for (auto& step : rest->children) {
      if (!add(*path, std::move(step))) return nullptr;
    }
  } else {
    rest->stages = std::move(rest->predicates);
    rest->predicates.clear();
    if (!add(*path, std::move(rest))) return nullptr;
  }
  for (const auto& step : path->children) {
    if (step->type == NodeType::literal) {
      return fail(step->position,
                  "a number, true, false or null cannot be a step of a path: quote a name in backticks");
    }
    if (step->type == NodeType::string) step->type = NodeType::name;
    path->keep_singleton |= step->keep_array;
  }
  for (auto* step : {path->children.front().get(), path->children.back().get()}) {
    step->constructed |= step->type == NodeType::array;
  }
  return path;
}

NodePointer Parser::predicate(NodePointer left) {
  auto& step = left->type == NodeType::path ? *left->children.back() : *left;
  if (at("]")) {
    advance();
    left->keep_array = true;
    step.keep_array = true;
    left->keep_singleton = true;
    return left;
  }
  if (left->group || step.group) return fail(token_.position, "a predicate cannot follow a grouping {..}");
  auto condition = expression(0);
  if (!condition || !adopt(step, *condition) || !adopt(*left, step) || !expect("]")) return nullptr;
  auto& filters = left->type == NodeType::path ? step.stages : step.predicates;
  filters.push_back(std::move(condition));
  return left;
}

NodePointer Parser::group(NodePointer left, std::size_t position) {
  if (left->group) return fail(position, "there can be one grouping {..} only");
  auto members = object(position);
  if (!members || !adopt(*left, *members)) return nullptr;
  left->group = std::move(members);
  return left;
}

NodePointer Parser::call(NodePointer left, std::size_t position) {
  if (left->type != NodeType::variable) {
    const auto* name = left->type == NodeType::path && left->children.size() == 1 ? left->children[0].get() : nullptr;
    if (name != nullptr && name->type == NodeType::name && find_function(name->text) != nullptr) {
      return fail(name->position, fmt::format("unknown function '{0}', did you mean '${0}'?", name->text));
    }
    return fail(position, "this is no function: a function's name begins with '$'");
  }
  auto node = make(NodeType::call, left->position);
  node->function = find_function(left->text);
  if (node->function == nullptr) return fail(left->position, unknown_function(left->text));
  return list(std::move(node), ",", ")");
}

NodePointer Parser::condition(NodePointer left, std::size_t position) {
  auto node = make(NodeType::condition, position);
  if (!add(*node, std::move(left)) || !add(*node, expression(0))) return nullptr;
  if (!at(":")) return node;
  advance();
  return add(*node, expression(0)) ? std::move(node) : nullptr;
}

}  // namespace

std::expected<NodePointer, ExpressionError> parse(std::string_view text) {
  if (text.size() > kLongestExpression) {
    return std::unexpected(ExpressionError{"an expression has at most 16384 bytes", kLongestExpression});
  }
  if (!is_valid_utf8(text)) return std::unexpected(ExpressionError{"this is not UTF-8", 0});
  return Parser(text).run();
}

}  // namespace patchbay::flow::jsonata
