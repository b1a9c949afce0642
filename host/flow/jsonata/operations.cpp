// The evaluator's operators and what it does with single values.
#include <cmath>

#include <fmt/format.h>

#include "flow/jsonata/evaluator.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {

std::string_view name_of(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
      return "undefined";
    case Kind::null:
      return "null";
    case Kind::boolean:
      return "a boolean";
    case Kind::number:
      return "a number";
    case Kind::string:
      return "a string";
    case Kind::json_array:
    case Kind::array:
      return "an array";
    case Kind::json_object:
    case Kind::object:
      return "an object";
  }
  return "a value";
}

bool Evaluator::spend(std::size_t units) {
  if (failed()) return false;
  if (units > fuel_ || arena_.used() > kMostMemory) {
    fail("the expression takes too much work for these values");
    return false;
  }
  fuel_ -= units;
  return true;
}

Value Evaluator::fail(std::string message) {
  if (!error_) error_ = Error{Errc::invalid, std::move(message)};
  return {};
}

Value Evaluator::text(std::string_view bytes) {
  if (!spend(1 + bytes.size() / 16)) return {};
  return Value::string(arena_.copy(bytes));
}

Array* Evaluator::make_sequence() {
  auto* array = make_array();
  array->sequence = true;
  return array;
}

void Evaluator::push(Array& array, const Value& value) {
  if (spend(1)) array.push(arena_, value);
}

void Evaluator::append_items(Array& array, const Value& value) {
  if (!value.is_array()) return push(array, value);
  for (const auto& item : items(value)) push(array, item);
}

std::span<const Value> Evaluator::items(const Value& value) {
  if (value.kind() == Kind::array) return value.as_array().view();
  if (value.kind() != Kind::json_array) return {new (arena_.allocate(sizeof(Value), alignof(Value))) Value(value), 1};
  auto* copied = make_array();
  value.view().for_each_element([&](JsonView item) { push(*copied, Value::from(item)); });
  return copied->view();
}

Value Evaluator::lookup(const Value& input, std::string_view key) {
  switch (input.kind()) {
    case Kind::json_object:
      return Value::from(input.view()[key]);
    case Kind::object: {
      const auto* found = input.as_object().find(key);
      return found == nullptr ? Value{} : *found;
    }
    case Kind::json_array:
    case Kind::array: {
      auto* found = make_sequence();
      for (const auto& item : items(input)) {
        if (!spend(1)) return {};
        const auto value = lookup(item, key);
        if (value.defined()) append_items(*found, value);
      }
      return Value::array(found);
    }
    default:
      return {};
  }
}

bool Evaluator::equal(const Value& a, const Value& b) {
  if (!spend(1)) return false;
  if (a.is_array() && b.is_array()) {
    const auto left = items(a);
    const auto right = items(b);
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!equal(left[i], right[i])) return false;
    }
    return true;
  }
  if (a.is_object() && b.is_object()) {
    const auto size = [](const Value& v) { return v.kind() == Kind::object ? v.as_object().size : v.view().size(); };
    if (size(a) != size(b)) return false;
    bool same = true;
    const auto compare = [&](std::string_view key, const Value& value) {
      if (!same || !spend(1 + size(b) / 8)) return;
      const auto other = lookup(b, key);
      same = other.defined() && equal(value, other);
    };
    if (a.kind() == Kind::object) {
      for (const auto& [key, value] : a.as_object().view()) compare(key, value);
    } else {
      a.view().for_each_member([&](std::string_view key, JsonView value) { compare(key, Value::from(value)); });
    }
    return same && !failed();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::boolean:
      return a.as_boolean() == b.as_boolean();
    case Kind::number:
      return a.is_exact() && b.is_exact() ? a.exact() == b.exact() : a.as_number() == b.as_number();
    case Kind::string:
      return a.as_string() == b.as_string();
    default:
      return true;
  }
}

bool Evaluator::truth(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::null:
      return false;
    case Kind::boolean:
      return value.as_boolean();
    case Kind::number:
      return value.as_number() != 0;
    case Kind::string:
      return !value.as_string().empty();
    case Kind::json_object:
      return value.view().size() > 0;
    case Kind::object:
      return value.as_object().size > 0;
    case Kind::json_array:
    case Kind::array:
      for (const auto& item : items(value)) {
        if (!spend(1)) return false;
        if (truth(item)) return true;
      }
      return false;
  }
  return false;
}

Value Evaluator::to_text(const Value& value, bool indented) {
  if (value.is_string()) return value;
  if (!value.defined()) return Value::string({});
  std::string json;
  if (!append_json(json, value, {Numbers::for_text, indented, kMostText})) return fail("the text is too long");
  return text(json);
}

Value Evaluator::append(const Value& a, const Value& b) {
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  auto* joined = make_array();
  append_items(*joined, a);
  append_items(*joined, b);
  return Value::array(joined);
}

Value Evaluator::negate(const Node& node, const Value& input) {
  const auto value = evaluate(*node.children[0], input);
  if (!value.defined()) return {};
  if (!value.is_number()) return fail(fmt::format("cannot negate {}", name_of(value)));
  return Value::number(-value.as_number());
}

Value Evaluator::binary(const Node& node, const Value& input) {
  const auto a = evaluate(*node.children[0], input);
  if (failed()) return {};
  if (node.op == Operator::conjunction) return Value::boolean(truth(a) && truth(evaluate(*node.children[1], input)));
  if (node.op == Operator::disjunction) return Value::boolean(truth(a) || truth(evaluate(*node.children[1], input)));
  const auto b = evaluate(*node.children[1], input);
  if (failed()) return {};
  switch (node.op) {
    case Operator::equal:
      return Value::boolean(a.defined() && b.defined() && equal(a, b));
    case Operator::unequal:
      return Value::boolean(a.defined() && b.defined() && !equal(a, b));
    case Operator::in:
      return contains(a, b);
    case Operator::concatenate:
      return concatenate(a, b);
    case Operator::less:
    case Operator::less_equal:
    case Operator::greater:
    case Operator::greater_equal:
      return compare(node, a, b);
    default:
      return arithmetic(node, a, b);
  }
}

Value Evaluator::arithmetic(const Node& node, const Value& a, const Value& b) {
  for (const auto& value : {a, b}) {
    if (value.defined() && !value.is_number()) {
      return fail(fmt::format("'{}' works on numbers, not on {}", node.text, name_of(value)));
    }
  }
  if (!a.defined() || !b.defined()) return {};
  double result = 0;
  switch (node.op) {
    case Operator::add:
      result = a.as_number() + b.as_number();
      break;
    case Operator::subtract:
      result = a.as_number() - b.as_number();
      break;
    case Operator::multiply:
      result = a.as_number() * b.as_number();
      break;
    case Operator::divide:
      result = b.as_number() == 0 ? NAN : a.as_number() / b.as_number();
      break;
    default:
      result = std::fmod(a.as_number(), b.as_number());
  }
  if (!std::isfinite(result)) return fail(fmt::format("the result of '{}' is no number or out of range", node.text));
  return Value::number(result);
}

Value Evaluator::compare(const Node& node, const Value& a, const Value& b) {
  for (const auto& value : {a, b}) {
    if (value.defined() && !value.is_number() && !value.is_string()) {
      return fail(fmt::format("'{}' compares numbers or strings, not {}", node.text, name_of(value)));
    }
  }
  if (!a.defined() || !b.defined()) return {};
  if (a.kind() != b.kind()) {
    return fail(fmt::format("'{}' cannot compare {} with {}", node.text, name_of(a), name_of(b)));
  }
  int order = 0;
  if (a.is_string()) {
    order = a.as_string().compare(b.as_string());
  } else if (a.is_exact() && b.is_exact()) {
    order = a.exact() < b.exact() ? -1 : a.exact() > b.exact();
  } else {
    order = a.as_number() < b.as_number() ? -1 : a.as_number() > b.as_number();
  }
  switch (node.op) {
    case Operator::less:
      return Value::boolean(order < 0);
    case Operator::less_equal:
      return Value::boolean(order <= 0);
    case Operator::greater:
      return Value::boolean(order > 0);
    default:
      return Value::boolean(order >= 0);
  }
}

Value Evaluator::contains(const Value& item, const Value& list) {
  if (!item.defined() || !list.defined()) return Value::boolean(false);
  for (const auto& candidate : items(list)) {
    if (equal(item, candidate)) return Value::boolean(true);
  }
  return Value::boolean(false);
}

Value Evaluator::concatenate(const Value& a, const Value& b) {
  const auto left = to_text(a);
  const auto right = to_text(b);
  if (failed()) return {};
  const auto size = left.as_string().size() + right.as_string().size();
  if (size > kMostText) return fail("the text is too long");
  if (!spend(1 + size / 16)) return {};
  if (size == 0) return Value::string({});
  auto* bytes = static_cast<char*>(arena_.allocate(size, 1));
  left.as_string().copy(bytes, left.as_string().size());
  right.as_string().copy(bytes + left.as_string().size(), right.as_string().size());
  return Value::string({bytes, size});
}

}  // namespace patchbay::flow::jsonata
