#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "flow/jsonata/evaluator.hpp"

namespace patchbay::flow::jsonata {

inline constexpr std::size_t kMostArguments = 4;

// The types that a parameter takes, as bits.
enum TypeBits : std::uint8_t {
  kString = 1,
  kNumber = 2,
  kBoolean = 4,
  kNull = 8,
  kArray = 16,
  kObject = 32,
  kAny = 63
};

// As in JSONata's signatures: <s-nn?:s> has a first parameter that may come from the context and a last that may lack.
struct Parameter {
  std::uint8_t types = 0;  // an array parameter (list) takes any type: what is no array is wrapped
  bool optional = false;
  bool from_context = false;
  bool list = false;
  std::uint8_t item_types = kAny;  // of a list
};

struct Function {
  std::string_view name;  // without $
  std::array<Parameter, kMostArguments> parameters;
  Value (*body)(Evaluator& evaluator, std::span<const Value> arguments);
};

[[nodiscard]] const Function* find_function(std::string_view name);
// "unknown function '$uppercas', did you mean '$uppercase'?", or that it is not supported yet.
[[nodiscard]] std::string unknown_function(std::string_view name);

// Checks and completes the arguments (those that lack are undefined) and calls.
[[nodiscard]] Value apply(Evaluator& evaluator, const Function& function, std::span<const Value> arguments,
                          const Value& context);

// The tables.
[[nodiscard]] std::span<const Function> string_functions();
[[nodiscard]] std::span<const Function> number_functions();
[[nodiscard]] std::span<const Function> value_functions();

}  // namespace patchbay::flow::jsonata
