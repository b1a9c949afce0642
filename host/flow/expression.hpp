#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/json.hpp"

namespace patchbay::flow {

// What an expression sees: one output a node, by the node's place in the flow; absent where it has not run.
struct Scope {
  std::span<const std::string> names;  // node ids
  std::span<const JsonView> outputs;   // same length
  // What several evaluations may cost together, in units of work; nullptr: each has kWork for itself.
  std::size_t* work = nullptr;
};

// About 50 ms: expressions run on the loop's thread.
inline constexpr std::size_t kWork = 1'000'000;

// Where an expression is wrong.
struct ExpressionError {
  std::string message;   // "unknown function 'uppercas', did you mean 'uppercase'?"
  std::size_t position;  // byte in the expression's text, from 0
};

// A compiled expression: JSONata over an object that holds each node's output under its id. Immutable, any thread.
class Expression {
 public:
  // names: the node ids that it may use; any other name at the head of a path is an error.
  [[nodiscard]] static std::expected<Expression, ExpressionError> compile(std::string_view text,
                                                                          std::span<const std::string> names);
  ~Expression();
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;

  // The nodes that it reads, as places in `names`.
  [[nodiscard]] const std::vector<std::size_t>& uses() const;

  // What it reads of the nodes' outputs, as it stands there ("opened.issue.labels.name") and as JSON ("undefined" where
  // there is nothing): for who asks why it came out as it did. What stands inside of [filters] is left out.
  struct Reading {
    std::string path;
    std::string value;
  };
  [[nodiscard]] std::vector<Reading> readings(const Scope& scope) const;

  // Errc::invalid: the expression cannot be applied to these values ("cannot add a string").
  // Truth as JSONata's $boolean has it: undefined, null, 0, "", [] and {} are false.
  [[nodiscard]] Result<bool> test(const Scope& scope) const;
  // Appends the value as JSON text. Undefined: appends nothing and returns false.
  [[nodiscard]] Result<bool> append_json(const Scope& scope, std::string& out) const;
  // Appends the value as text for the middle of a string: a string without quotes, anything else as JSON, undefined as
  // nothing.
  [[nodiscard]] Result<> append_text(const Scope& scope, std::string& out) const;
  // The same, escaped as it must be between the quotes of a JSON string.
  [[nodiscard]] Result<> append_string_content(const Scope& scope, std::string& out) const;

 private:
  struct Impl;
  explicit Expression(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::flow
