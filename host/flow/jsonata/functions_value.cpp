#include <algorithm>

#include "flow/jsonata/functions.hpp"

namespace patchbay::flow::jsonata {
namespace {

using Arguments = std::span<const Value>;

Value boolean(Evaluator& evaluator, Arguments a) {
  return a[0].defined() ? Value::boolean(evaluator.truth(a[0])) : Value{};
}

Value negation(Evaluator& evaluator, Arguments a) {
  return a[0].defined() ? Value::boolean(!evaluator.truth(a[0])) : Value{};
}

Value exists(Evaluator&, Arguments a) { return Value::boolean(a[0].defined()); }

Value count(Evaluator& evaluator, Arguments a) {
  return Value::number(a[0].defined() ? static_cast<double>(evaluator.items(a[0]).size()) : 0);
}

Value append(Evaluator& evaluator, Arguments a) { return evaluator.append(a[0], a[1]); }

Value reverse(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  const auto items = evaluator.items(a[0]);
  auto* reversed = evaluator.make_array();
  for (std::size_t i = items.size(); i-- > 0;) evaluator.push(*reversed, items[i]);
  return Value::array(reversed);
}

Value distinct(Evaluator& evaluator, Arguments a) {
  if (!a[0].is_array()) return a[0];
  auto* kept = evaluator.make_array();
  kept->sequence = a[0].kind() == Kind::array && a[0].as_array().sequence;
  for (const auto& item : evaluator.items(a[0])) {
    const auto known =
        std::ranges::any_of(kept->view(), [&](const Value& other) { return evaluator.equal(item, other); });
    if (evaluator.failed()) return {};
    if (!known) evaluator.push(*kept, item);
  }
  return Value::array(kept);
}

template <class Visit>
void each_member(const Value& object, Visit&& visit) {
  if (object.kind() == Kind::object) {
    for (const auto& [key, value] : object.as_object().view()) visit(key, value);
  } else if (object.kind() == Kind::json_object) {
    object.view().for_each_member([&](std::string_view key, JsonView value) { visit(key, Value::from(value)); });
  }
}

// Of an array: those of its objects, each once.
void collect_keys(Evaluator& evaluator, const Value& value, Array& keys) {
  if (value.is_array()) {
    for (const auto& item : evaluator.items(value)) collect_keys(evaluator, item, keys);
    return;
  }
  each_member(value, [&](std::string_view key, const Value&) {
    const auto same = [&](const Value& known) { return known.as_string() == key; };
    if (!evaluator.spend(1 + keys.size / 8) || std::ranges::any_of(keys.view(), same)) return;
    evaluator.push(keys, Value::string(key));
  });
}

Value keys(Evaluator& evaluator, Arguments a) {
  auto* found = evaluator.make_sequence();
  collect_keys(evaluator, a[0], *found);
  return Value::array(found);
}

Value lookup(Evaluator& evaluator, Arguments a) {
  return a[1].defined() ? evaluator.lookup(a[0], a[1].as_string()) : Value{};
}

Value merge(Evaluator& evaluator, Arguments a) {
  if (!a[0].defined()) return {};
  auto* merged = evaluator.arena().make<Object>();
  for (const auto& object : evaluator.items(a[0])) {
    each_member(object, [&](std::string_view key, const Value& value) {
      if (!evaluator.spend(1 + merged->size / 8)) return;
      const auto known = std::ranges::find(merged->view(), key, &Member::key);
      if (known == merged->view().end()) return merged->push(evaluator.arena(), {key, value});
      merged->items[known - merged->view().begin()].value = value;
    });
  }
  return Value::object(merged);
}

Value type(Evaluator&, Arguments a) {
  switch (a[0].kind()) {
    case Kind::undefined:
      return {};
    case Kind::null:
      return Value::string("null");
    case Kind::boolean:
      return Value::string("boolean");
    case Kind::number:
      return Value::string("number");
    case Kind::string:
      return Value::string("string");
    case Kind::json_array:
    case Kind::array:
      return Value::string("array");
    case Kind::json_object:
    case Kind::object:
      return Value::string("object");
  }
  return {};
}

constexpr Parameter kValue{kAny};
constexpr Parameter kContextValue{kAny, false, true};
constexpr Parameter kList{kArray, false, false, true};

constexpr std::array kFunctions{
    Function{"boolean", {kContextValue}, boolean},
    Function{"not", {kContextValue}, negation},
    Function{"exists", {kValue}, exists},
    Function{"count", {kList}, count},
    Function{"append", {kValue, kValue}, append},
    Function{"reverse", {kList}, reverse},
    Function{"distinct", {kValue}, distinct},
    Function{"keys", {kContextValue}, keys},
    Function{"lookup", {kContextValue, Parameter{kString}}, lookup},
    Function{"merge", {Parameter{kArray, false, false, true, kObject}}, merge},
    Function{"type", {kValue}, type},
};

}  // namespace

std::span<const Function> value_functions() { return kFunctions; }

}  // namespace patchbay::flow::jsonata
