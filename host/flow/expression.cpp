#include "flow/expression.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "flow/jsonata/evaluator.hpp"
#include "flow/jsonata/parser.hpp"
#include "flow/jsonata/text.hpp"

namespace patchbay::flow {
namespace {

using jsonata::Value;

constexpr jsonata::Layout kText{jsonata::Numbers::for_text};
constexpr std::string_view kTooLong = "the value is too long";

}  // namespace

struct Expression::Impl {
  jsonata::NodePointer root;
  std::vector<std::size_t> uses;
  // a.b.c and nothing else, which is most of what templates hold: needs no evaluator while no array is in the way.
  bool plain = false;
  std::size_t place = 0;
  std::vector<std::string_view> keys;

  void find_plain_path() {
    if (root->type != jsonata::NodeType::path || root->group || root->keep_singleton) return;
    for (const auto& step : root->children) {
      const bool head = step == root->children.front();
      if (step->type != (head ? jsonata::NodeType::output : jsonata::NodeType::name) || !step->stages.empty()) return;
      if (!head) keys.push_back(step->text);
    }
    plain = true;
    place = root->children.front()->place;
  }

  [[nodiscard]] std::optional<Value> plain_value(const Scope& scope) const {
    if (!plain) return std::nullopt;
    auto view = place < scope.outputs.size() ? scope.outputs[place] : JsonView{};
    for (const auto key : keys) {
      if (!view) break;
      if (view.type() == JsonType::array) return std::nullopt;
      view = view[key];
    }
    return Value::from(view);
  }

  // Calls use(value) while the value lives.
  template <class Use>
  auto evaluate(const Scope& scope, Use&& use) const -> decltype(use(Value{})) {
    if (const auto value = plain_value(scope)) return use(*value);
    jsonata::Evaluator evaluator(scope.outputs, scope.work == nullptr ? kWork : *scope.work);
    const auto value = evaluator.run(*root);
    if (scope.work != nullptr) *scope.work = evaluator.work_left();
    if (evaluator.error()) return std::unexpected(*evaluator.error());
    return use(value);
  }
};

Expression::Expression(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Expression::~Expression() = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;

std::expected<Expression, ExpressionError> Expression::compile(std::string_view text,
                                                               std::span<const std::string> names) {
  auto root = jsonata::parse(text);
  if (!root) return std::unexpected(root.error());
  auto impl = std::make_unique<Impl>();
  impl->root = std::move(*root);
  if (auto resolved = jsonata::resolve(*impl->root, names, impl->uses); !resolved) {
    return std::unexpected(resolved.error());
  }
  impl->find_plain_path();
  return Expression(std::move(impl));
}

const std::vector<std::size_t>& Expression::uses() const { return impl_->uses; }

namespace {

std::optional<std::string> path_text(const jsonata::Node& node, std::span<const std::string> names) {
  if (node.type == jsonata::NodeType::output) return node.place < names.size() ? std::optional(names[node.place]) : std::nullopt;
  if (node.type != jsonata::NodeType::path || node.children.empty()) return std::nullopt;
  auto text = path_text(*node.children.front(), names);
  for (std::size_t i = 1; text && i < node.children.size(); ++i) {
    const auto& step = *node.children[i];
    *text += step.type == jsonata::NodeType::name ? "." + step.text : ".(…)";
    if (!step.stages.empty()) *text += "[…]";
  }
  return text;
}

void find_paths(const jsonata::Node& node, std::span<const std::string> names, std::vector<std::pair<std::string, const jsonata::Node*>>& found) {
  if (auto text = path_text(node, names)) {
    const bool known = std::any_of(found.begin(), found.end(), [&](const auto& one) { return one.first == *text; });
    if (!known) found.emplace_back(*std::move(text), &node);
    return;
  }
  for (const auto& child : node.children) find_paths(*child, names, found);
}

}  // namespace

std::vector<Expression::Reading> Expression::readings(const Scope& scope) const {
  std::vector<std::pair<std::string, const jsonata::Node*>> paths;
  find_paths(*impl_->root, scope.names, paths);
  std::vector<Reading> all;
  for (const auto& [path, node] : paths) {
    jsonata::Evaluator evaluator(scope.outputs, kWork);
    const auto value = evaluator.run(*node);
    std::string json;
    if (!value.defined() || !jsonata::append_json(json, value)) json = "undefined";
    all.push_back({path, std::move(json)});
  }
  return all;
}

Result<bool> Expression::test(const Scope& scope) const {
  if (const auto value = impl_->plain_value(scope); value && !value->is_array()) {
    return jsonata::Evaluator({}, kWork).truth(*value);
  }
  jsonata::Evaluator evaluator(scope.outputs, scope.work == nullptr ? kWork : *scope.work);
  const bool truth = evaluator.truth(evaluator.run(*impl_->root));
  if (scope.work != nullptr) *scope.work = evaluator.work_left();
  if (evaluator.error()) return std::unexpected(*evaluator.error());
  return truth;
}

Result<bool> Expression::append_json(const Scope& scope, std::string& out) const {
  return impl_->evaluate(scope, [&](const Value& value) -> Result<bool> {
    if (!value.defined()) return false;
    if (!jsonata::append_json(out, value)) return fail(Errc::invalid, std::string(kTooLong));
    return true;
  });
}

Result<> Expression::append_text(const Scope& scope, std::string& out) const {
  return impl_->evaluate(scope, [&](const Value& value) -> Result<> {
    if (!value.defined()) return {};
    if (value.is_string()) {
      out += value.as_string();
    } else if (!jsonata::append_json(out, value, kText)) {
      return fail(Errc::invalid, std::string(kTooLong));
    }
    return {};
  });
}

Result<> Expression::append_string_content(const Scope& scope, std::string& out) const {
  return impl_->evaluate(scope, [&](const Value& value) -> Result<> {
    if (!value.defined()) return {};
    if (value.is_string()) {
      jsonata::append_escaped(out, value.as_string());
    } else if (value.is_number() || value.is_boolean() || value.is_null()) {
      if (!jsonata::append_json(out, value, kText)) return fail(Errc::invalid, std::string(kTooLong));
    } else {
      std::string json;
      if (!jsonata::append_json(json, value, kText)) return fail(Errc::invalid, std::string(kTooLong));
      jsonata::append_escaped(out, json);
    }
    return {};
  });
}

}  // namespace patchbay::flow
