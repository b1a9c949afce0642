#include "flow/jsonata/functions.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "flow/nearest.hpp"

namespace patchbay::flow::jsonata {
namespace {

using namespace std::string_view_literals;

// Functions of the full language that are not here yet.
constexpr std::array kLaterFunctions{"match"sv,         "eval"sv,         "formatNumber"sv, "formatBase"sv,
                                     "formatInteger"sv, "parseInteger"sv, "power"sv,        "sqrt"sv,
                                     "random"sv,        "zip"sv,          "sort"sv,         "shuffle"sv,
                                     "spread"sv,        "each"sv,         "error"sv,        "assert"sv,
                                     "sift"sv,          "map"sv,          "filter"sv,       "single"sv,
                                     "reduce"sv,        "now"sv,          "millis"sv,       "fromMillis"sv,
                                     "toMillis"sv,      "encodeUrl"sv,    "decodeUrl"sv,    "decodeUrlComponent"sv,
                                     "clone"sv};

std::uint8_t type_bit(const Value& value) {
  if (value.is_string()) return kString;
  if (value.is_number()) return kNumber;
  if (value.is_boolean()) return kBoolean;
  if (value.is_null()) return kNull;
  return value.is_array() ? kArray : kObject;
}

bool fits(const Parameter& parameter, const Value& value) {
  return !value.defined() || parameter.list || (parameter.types & type_bit(value)) != 0;
}

struct Binding {
  std::span<const Parameter> parameters;
  std::span<const Value> arguments;
  std::array<Value, kMostArguments> bound;
  std::array<bool, kMostArguments> given{};

  // Matches from parameter `p` and argument `a` on, as the regular expression of a signature would: greedily.
  bool match(std::size_t p, std::size_t a) {
    if (p == parameters.size()) return a == arguments.size();
    const auto& parameter = parameters[p];
    if (a < arguments.size() && fits(parameter, arguments[a])) {
      bound[p] = arguments[a];
      given[p] = true;
      if (match(p + 1, a + 1)) return true;
      given[p] = false;
    }
    bound[p] = {};
    return (parameter.optional || parameter.from_context) && match(p + 1, a);
  }
};

// Wraps what is no list, and checks what is in it.
bool complete_list(Evaluator& evaluator, const Function& function, const Parameter& parameter, Value& value) {
  if (!value.defined()) return true;
  const bool is_list = value.is_array();
  for (const auto& item : evaluator.items(value)) {
    if ((parameter.item_types & type_bit(item)) != 0) continue;
    evaluator.fail(fmt::format("${} cannot work on a list with {}", function.name, name_of(item)));
    return false;
  }
  if (is_list) return true;
  auto* wrapped = evaluator.make_array();
  evaluator.push(*wrapped, value);
  value = Value::array(wrapped);
  return true;
}

}  // namespace

const Function* find_function(std::string_view name) {
  for (const auto table : {string_functions(), number_functions(), value_functions()}) {
    const auto found = std::ranges::find(table, name, &Function::name);
    if (found != table.end()) return &*found;
  }
  return nullptr;
}

std::string unknown_function(std::string_view name) {
  if (std::ranges::find(kLaterFunctions, name) != kLaterFunctions.end()) {
    return fmt::format("function '${}' is not supported yet", name);
  }
  std::vector<std::string> names;
  for (const auto table : {string_functions(), number_functions(), value_functions()}) {
    for (const auto& function : table) names.emplace_back(function.name);
  }
  return fmt::format("unknown function '${}'{}", name, did_you_mean(name, names, "$"));
}

Value apply(Evaluator& evaluator, const Function& function, std::span<const Value> arguments, const Value& context) {
  std::size_t count = 0;
  while (count < kMostArguments && function.parameters[count].types != 0) ++count;
  Binding binding{std::span(function.parameters).first(count), arguments, {}};
  if (!binding.match(0, 0)) {
    std::string given;
    for (const auto& argument : arguments) given.append(given.empty() ? "" : ", ").append(name_of(argument));
    return evaluator.fail(fmt::format("${} cannot be called with ({})", function.name, given));
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto& parameter = function.parameters[i];
    auto& value = binding.bound[i];
    if (parameter.from_context && !binding.given[i]) {
      value = context;
      if (!fits(parameter, value)) {
        return evaluator.fail(fmt::format("${} cannot work on {}", function.name, name_of(value)));
      }
    }
    if (parameter.list && !complete_list(evaluator, function, parameter, value)) return {};
  }
  return function.body(evaluator, std::span<const Value>(binding.bound).first(count));
}

}  // namespace patchbay::flow::jsonata
