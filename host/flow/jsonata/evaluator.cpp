#include "flow/jsonata/evaluator.hpp"

#include <cmath>

#include <fmt/format.h>

#include "flow/jsonata/functions.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow::jsonata {

Value Evaluator::run(const Node& root, const Value& input) {
  input_ = input;
  Value context = input;
  if (input.is_array()) {
    auto* wrapper = make_sequence();
    push(*wrapper, input);
    wrapper_ = wrapper;
    context = Value::array(wrapper);
  }
  const auto result = evaluate(root, context);
  return failed() ? Value{} : result;
}

Value Evaluator::evaluate(const Node& node, const Value& input) {
  if (!spend(1)) return {};
  auto value = dispatch(node, input);
  for (const auto& predicate : node.predicates) value = filter(*predicate, value);
  if (node.group && node.type != NodeType::path) value = group(*node.group, value);
  return collapse(node, value);
}

Value Evaluator::dispatch(const Node& node, const Value& input) {
  switch (node.type) {
    case NodeType::literal:
      return node.literal;
    case NodeType::string:
      return Value::string(node.text);
    case NodeType::name:
      return lookup(input, node.text);
    case NodeType::output:
      return node.place < outputs_.size() ? Value::from(outputs_[node.place]) : Value{};
    case NodeType::context:
      return wrapper_ != nullptr && input.kind() == Kind::array && &input.as_array() == wrapper_ ? input_ : input;
    case NodeType::root:
      return input_;
    case NodeType::variable:
      return {};
    case NodeType::path:
      return path(node, input);
    case NodeType::negate:
      return negate(node, input);
    case NodeType::binary:
      return binary(node, input);
    case NodeType::condition:
      if (truth(evaluate(*node.children[0], input))) return evaluate(*node.children[1], input);
      return node.children.size() > 2 ? evaluate(*node.children[2], input) : Value{};
    case NodeType::array:
      return array(node, input);
    case NodeType::object:
      return group(node, input);
    case NodeType::block: {
      Value last;
      for (const auto& child : node.children) last = evaluate(*child, input);
      return last;
    }
    case NodeType::call:
      return call(node, input);
  }
  return {};
}

// A sequence of none is undefined, a sequence of one is that one.
Value Evaluator::collapse(const Node& node, const Value& value) {
  if (value.kind() != Kind::array || !value.as_array().sequence) return value;
  auto& items = value.as_array();
  items.keep_singleton |= node.keep_array;
  if (items.size == 0) return {};
  return items.size == 1 && !items.keep_singleton ? items.items[0] : value;
}

Value Evaluator::path(const Node& node, const Value& input) {
  const auto head = node.children.front()->type;
  // A head that is not relative to the context is looked at once, whatever the context is.
  const bool absolute = head == NodeType::output || head == NodeType::context || head == NodeType::root;
  Value current;
  std::span<const Value> inputs(&input, 1);
  if (input.is_array() && !absolute) inputs = items(input);
  for (std::size_t i = 0; i < node.children.size() && !failed(); ++i) {
    const auto& next = *node.children[i];
    if (i == 0 && next.type == NodeType::array) {
      current = evaluate(next, input);
    } else {
      current = step(next, inputs, i + 1 == node.children.size(), node.keep_singleton);
    }
    if (!current.defined()) break;
    inputs = current.is_array() ? items(current) : std::span<const Value>(&current, 1);
    if (inputs.empty()) break;
  }
  if (node.keep_singleton && current.kind() == Kind::array) {
    if (current.as_array().constructed && !current.as_array().sequence) {
      auto* wrapper = make_sequence();
      push(*wrapper, current);
      current = Value::array(wrapper);
    }
    current.as_array().keep_singleton = true;
  }
  return node.group ? group(*node.group, current) : current;
}

Value Evaluator::step(const Node& node, std::span<const Value> inputs, bool last, bool keep_singleton) {
  const auto one = [&](const Value& input) {
    auto value = evaluate(node, input);
    for (const auto& stage : node.stages) value = filter(*stage, value);
    return value;
  };
  const auto is_sequence = [](const Value& value) { return value.kind() == Kind::array && value.as_array().sequence; };
  auto* flat = make_sequence();
  const auto flatten = [&](const Value& value) {
    if (value.kind() == Kind::array && value.as_array().constructed) return push(*flat, value);
    append_items(*flat, value);
  };
  if (inputs.size() == 1) {
    const auto value = one(inputs.front());
    if (!value.defined() || (!value.is_array() && !keep_singleton)) return value;  // a sequence of one is that one
    if (last && value.is_array() && !is_sequence(value)) return value;
    flatten(value);
    return Value::array(flat);
  }
  List<Value> found;
  for (const auto& input : inputs) {
    const auto value = one(input);
    if (failed()) return {};
    if (value.defined()) found.push(arena_, value);
  }
  if (last && found.size == 1 && found.items[0].is_array() && !is_sequence(found.items[0])) return found.items[0];
  for (const auto& value : found.view()) flatten(value);
  return Value::array(flat);
}

Value Evaluator::filter(const Node& condition, const Value& value) {
  if (!value.defined() || failed()) return {};
  const auto all = items(value);
  auto* kept = make_sequence();
  if (condition.type == NodeType::literal && condition.literal.is_number()) {
    auto index = std::floor(condition.literal.as_number());
    if (index < 0) index += static_cast<double>(all.size());
    if (index < 0 || index >= static_cast<double>(all.size())) return Value::array(kept);
    const auto& item = all[static_cast<std::size_t>(index)];
    if (item.is_array()) return item;
    push(*kept, item);
    return Value::array(kept);
  }
  for (std::size_t i = 0; i < all.size() && !failed(); ++i) {
    if (keeps(evaluate(condition, all[i]), i, all.size())) push(*kept, all[i]);
  }
  return Value::array(kept);
}

// A number, or a list of numbers, chooses by place; anything else by its truth.
bool Evaluator::keeps(const Value& verdict, std::size_t index, std::size_t count) {
  const auto at = [&](const Value& number) {
    const auto place = std::floor(number.as_number());
    return (place < 0 ? place + static_cast<double>(count) : place) == static_cast<double>(index);
  };
  if (verdict.is_number()) return at(verdict);
  if (verdict.is_array()) {
    const auto places = items(verdict);
    bool numbers = !places.empty();
    bool here = false;
    for (const auto& place : places) {
      numbers = numbers && place.is_number();
      here = here || (place.is_number() && at(place));
    }
    if (numbers) return here;
  }
  return truth(verdict);
}

// {key: value, ...} over each of the items of value; those with the same key are put together.
Value Evaluator::group(const Node& object, const Value& value) {
  struct Group {
    std::string_view key;
    Value data;
    std::size_t pair;
  };
  List<Group> groups;
  const Value nothing;
  auto all = items(value);
  if (all.empty()) all = {&nothing, 1};
  for (const auto& item : all) {
    for (std::size_t pair = 0; pair < object.children.size(); pair += 2) {
      const auto key = evaluate(*object.children[pair], item);
      if (failed()) return {};
      if (!key.defined()) continue;
      if (!key.is_string()) return fail(fmt::format("a key of an object must be a string, not {}", name_of(key)));
      if (!spend(1 + groups.size / 8)) return {};
      std::size_t known = 0;
      while (known < groups.size && groups.items[known].key != key.as_string()) ++known;
      if (known == groups.size) {
        groups.push(arena_, {key.as_string(), item, pair});
      } else if (groups.items[known].pair != pair) {
        return fail(fmt::format("two members of an object have the key '{}'", key.as_string()));
      } else {
        groups.items[known].data = append(groups.items[known].data, item);
      }
    }
  }
  auto* result = arena_.make<Object>();
  for (const auto& [key, data, pair] : groups.view()) {
    const auto member = evaluate(*object.children[pair + 1], data);
    if (failed()) return {};
    if (member.defined()) result->push(arena_, {key, member});
  }
  return Value::object(result);
}

Value Evaluator::array(const Node& node, const Value& input) {
  auto* result = make_array();
  result->constructed = node.constructed;
  for (const auto& child : node.children) {
    const auto value = evaluate(*child, input);
    if (failed()) return {};
    if (!value.defined()) continue;
    if (child->type == NodeType::array) {
      push(*result, value);
    } else {
      append_items(*result, value);
    }
  }
  return Value::array(result);
}

Value Evaluator::call(const Node& node, const Value& input) {
  std::array<Value, kMostArguments> arguments;
  if (node.children.size() > arguments.size()) {
    return fail(fmt::format("${} takes no {} arguments", node.function->name, node.children.size()));
  }
  for (std::size_t i = 0; i < node.children.size(); ++i) arguments[i] = evaluate(*node.children[i], input);
  if (failed()) return {};
  const auto context =
      wrapper_ != nullptr && input.kind() == Kind::array && &input.as_array() == wrapper_ ? input_ : input;
  return apply(*this, *node.function, std::span<const Value>(arguments).first(node.children.size()), context);
}

}  // namespace patchbay::flow::jsonata
