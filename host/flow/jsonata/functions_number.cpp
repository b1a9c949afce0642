#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "flow/jsonata/functions.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {
namespace {

using Arguments = std::span<const Value>;

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// -?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)?
bool is_decimal(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto power = text.find_first_of("eE");
  if (power != std::string_view::npos) {
    auto digits = text.substr(power + 1);
    if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
    if (!all_digits(digits)) return false;
    text = text.substr(0, power);
  }
  const auto point = text.find('.');
  if (point == std::string_view::npos) return all_digits(text);
  return all_digits(text.substr(0, point)) && all_digits(text.substr(point + 1));
}

// 0x1F, 0o17, 0b11
std::optional<double> parse_prefixed(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return std::nullopt;
  const char kind = static_cast<char>(text[1] | 0x20);
  const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 0;
  if (base == 0) return std::nullopt;
  double value = 0;
  for (const char c : text.substr(2)) {
    const int digit = c >= '0' && c <= '9'                     ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : 99;
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
  }
  return value;
}

Value number(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined() || a[0].is_number()) return a[0];
  if (a[0].is_boolean()) return Value::number(a[0].as_boolean() ? 1 : 0);
  const auto text = a[0].as_string();
  if (const auto value = parse_prefixed(text); value && std::isfinite(*value)) return Value::number(*value);
  double value = 0;
  const auto status = std::from_chars(text.data(), text.data() + text.size(), value).ec;
  if (!is_decimal(text) || status != std::errc{}) {
    return evaluator.fail(fmt::format("$number cannot read '{}'", text.substr(0, byte_offset(text, 40))));
  }
  return Value::number(value);
}

Value absolute(Evaluator&, Arguments a) { return a[0].defined() ? Value::number(std::abs(a[0].as_number())) : a[0]; }
Value floor(Evaluator&, Arguments a) { return a[0].defined() ? Value::number(std::floor(a[0].as_number())) : a[0]; }
Value ceil(Evaluator&, Arguments a) { return a[0].defined() ? Value::number(std::ceil(a[0].as_number())) : a[0]; }

// value * 10^places, moved in the decimal text: multiplying would round before the rounding.
double shift(double value, int places) {
  std::string digits;
  append_number(digits, value, Numbers::exact);
  const auto e = digits.find('e');
  int power = 0;
  if (e != std::string::npos) {
    const auto* first = digits.data() + e + (digits[e + 1] == '+' ? 2 : 1);
    std::from_chars(first, digits.data() + digits.size(), power);
    digits.resize(e);
  }
  return std::strtod(fmt::format("{}e{}", digits, power + places).c_str(), nullptr);
}

// Half to even, as JSONata and bankers do.
Value round(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  const int places = a[1].defined() ? static_cast<int>(std::clamp(std::trunc(a[1].as_number()), -400.0, 400.0)) : 0;
  double value = a[0].as_number();
  if (places != 0) value = shift(value, places);
  const double below = std::floor(value);
  const double part = value - below;
  double result = part < 0.5 ? below : below + 1;
  if (part == 0.5 && std::fmod(below, 2) == 0) result = below;
  if (places != 0) result = shift(result, -places);
  if (!std::isfinite(result)) return evaluator.fail("the result of $round is out of range");
  return Value::number(result == 0 ? 0 : result);
}

Value sum(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  double total = 0;
  for (const auto& item : evaluator.items(a[0])) total += item.as_number();
  if (!std::isfinite(total)) return evaluator.fail("the result of $sum is out of range");
  return Value::number(total);
}

template <class Better>
Value best(Evaluator& evaluator, const Value& list, Better better) {
  if (!list.defined()) return {};
  Value chosen;
  for (const auto& item : evaluator.items(list)) {
    if (!chosen.defined() || better(item.as_number(), chosen.as_number())) chosen = item;
  }
  return chosen;
}

Value maximum(Evaluator& evaluator, Arguments a) { return best(evaluator, a[0], std::greater<>{}); }
Value minimum(Evaluator& evaluator, Arguments a) { return best(evaluator, a[0], std::less<>{}); }

Value average(Evaluator& evaluator, Arguments a) {
  const auto total = sum(evaluator, a);
  if (!total.defined()) return {};
  const auto count = evaluator.items(a[0]).size();
  return count == 0 ? Value{} : Value::number(total.as_number() / static_cast<double>(count));
}

constexpr Parameter kContextNumber{kNumber, false, true};
constexpr Parameter kNumbers{kArray, false, false, true, kNumber};

constexpr std::array kFunctions{
    Function{"number", {Parameter{kNumber | kString | kBoolean, false, true}}, number},
    Function{"abs", {kContextNumber}, absolute},
    Function{"floor", {kContextNumber}, floor},
    Function{"ceil", {kContextNumber}, ceil},
    Function{"round", {kContextNumber, Parameter{kNumber, true}}, round},
    Function{"sum", {kNumbers}, sum},
    Function{"max", {kNumbers}, maximum},
    Function{"min", {kNumbers}, minimum},
    Function{"average", {kNumbers}, average},
};

}  // namespace

std::span<const Function> number_functions() { return kFunctions; }

}  // namespace patchbay::flow::jsonata
