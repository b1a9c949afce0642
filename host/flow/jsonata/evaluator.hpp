#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.hpp"
#include "flow/jsonata/ast.hpp"
#include "flow/jsonata/value.hpp"

namespace patchbay::flow::jsonata {

// One evaluation. Made on the stack, used once; values that it gives live as long as it does.
// Work is paid in fuel and memory is limited, so that no expression can hang or exhaust the process: one unit of fuel
// for each value looked at or made, one for every 16 bytes of text. After a failure every operation gives undefined and
// the first error stays.
class Evaluator {
 public:
  static constexpr std::size_t kMostMemory = 64 << 20;  // bytes in the arena
  static constexpr std::size_t kMostText = 4 << 20;     // bytes of one string

  Evaluator(std::span<const JsonView> outputs, std::size_t work) : outputs_(outputs), fuel_(work) {}

  // The value of a whole expression. input: what names mean where they are not bound to nodes' outputs.
  [[nodiscard]] Value run(const Node& root, const Value& input = {});
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] std::size_t work_left() const { return fuel_; }

  [[nodiscard]] Value evaluate(const Node& node, const Value& input);

  // --- for functions
  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] bool spend(std::size_t units);  // false: there is none left, or it had failed before
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  Value fail(std::string message);                   // gives undefined
  [[nodiscard]] Value text(std::string_view bytes);  // a copy in the arena
  [[nodiscard]] Array* make_array() { return arena_.make<Array>(); }
  [[nodiscard]] Array* make_sequence();
  void push(Array& array, const Value& value);
  void append_items(Array& array, const Value& value);  // an array's items, or the value
  // An array's items; a value that is none is a list of itself.
  [[nodiscard]] std::span<const Value> items(const Value& value);
  [[nodiscard]] Value lookup(const Value& input, std::string_view key);
  [[nodiscard]] bool equal(const Value& a, const Value& b);
  [[nodiscard]] bool truth(const Value& value);  // of $boolean
  // As $string: a string is itself, anything else is JSON. Undefined is "".
  [[nodiscard]] Value to_text(const Value& value, bool indented = false);
  [[nodiscard]] Value append(const Value& a, const Value& b);

 private:
  [[nodiscard]] Value dispatch(const Node& node, const Value& input);
  [[nodiscard]] Value collapse(const Node& node, const Value& value);
  [[nodiscard]] Value path(const Node& node, const Value& input);
  [[nodiscard]] Value step(const Node& node, std::span<const Value> inputs, bool last, bool keep_singleton);
  [[nodiscard]] Value filter(const Node& condition, const Value& value);
  [[nodiscard]] bool keeps(const Value& verdict, std::size_t index, std::size_t count);
  [[nodiscard]] Value group(const Node& object, const Value& value);
  [[nodiscard]] Value array(const Node& node, const Value& input);
  [[nodiscard]] Value negate(const Node& node, const Value& input);
  [[nodiscard]] Value binary(const Node& node, const Value& input);
  [[nodiscard]] Value arithmetic(const Node& node, const Value& a, const Value& b);
  [[nodiscard]] Value compare(const Node& node, const Value& a, const Value& b);
  [[nodiscard]] Value contains(const Value& item, const Value& list);
  [[nodiscard]] Value concatenate(const Value& a, const Value& b);
  [[nodiscard]] Value call(const Node& node, const Value& input);

  std::span<const JsonView> outputs_;
  Value input_;
  const Array* wrapper_ = nullptr;  // around an input that is an array, so that it counts as one value
  std::size_t fuel_;
  std::optional<Error> error_;
  Arena arena_;
};

// "a string", "an array": for messages.
[[nodiscard]] std::string_view name_of(const Value& value);

}  // namespace patchbay::flow::jsonata
