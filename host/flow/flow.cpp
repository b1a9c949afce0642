#include "flow/flow.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "flow/draft.hpp"
#include "flow/graph.hpp"
#include "flow/nearest.hpp"
#include "flow/schema.hpp"
#include "flow/template_text.hpp"

namespace patchbay::flow {
namespace {

// Checks a draft's names against the catalogue and its expressions against the graph, and makes the nodes.
class Compiler {
 public:
  Compiler(const Draft& draft, const Catalogue& catalogue, std::vector<Problem>& problems)
      : draft_(draft), catalogue_(catalogue), problems_(problems) {}

  std::shared_ptr<const Flow> run() {
    for (const auto& node : draft_.nodes) {
      if (node.kind == NodeKind::trigger || node.kind == NodeKind::reaction) check_operation(node);
    }
    graph_ = Graph::build(draft_, problems_);
    auto flow = std::make_shared<Flow>();
    flow->name = draft_.name;
    place_of_.resize(draft_.nodes.size());
    for (std::size_t place = 0; place < graph_.order.size(); ++place) {
      place_of_[graph_.order[place]] = place;
      flow->names.push_back(draft_.nodes[graph_.order[place]].id);
    }
    flow->nodes.reserve(graph_.order.size());
    for (const auto index : graph_.order) flow->nodes.push_back(make_node(index, flow->names));
    flow->order = draft_.order;
    flow->concurrency = draft_.concurrency;
    if (draft_.key) compile_key(*flow);
    return flow;
  }

 private:
  void report(std::string pointer, std::string code, std::string message) {
    problems_.push_back({std::move(pointer), std::move(code), std::move(message)});
  }

  void check_operation(const DraftNode& node) {
    if (node.operation.empty()) return;
    const bool is_trigger = node.kind == NodeKind::trigger;
    const auto schema = is_trigger ? catalogue_.trigger(node.operation) : catalogue_.reaction(node.operation);
    if (!schema) {
      const auto names = is_trigger ? catalogue_.trigger_names() : catalogue_.reaction_names();
      return report(node.pointer + (is_trigger ? "/trigger" : "/reaction"),
                    is_trigger ? "unknown_trigger" : "unknown_reaction",
                    fmt::format("there is no {} '{}'{}", is_trigger ? "trigger" : "reaction", node.operation,
                                did_you_mean(node.operation, names)));
    }
    check_connection(node);
    if (node.params && node.params.type() != JsonType::object) return;
    static const auto kEmpty = JsonDocument::parse("{}").value();
    const auto params = node.params ? node.params : kEmpty->root();
    check_params(node.operation, schema->params, params, node.pointer + "/params", problems_);
  }

  void check_connection(const DraftNode& node) {
    const auto provider = std::string_view(node.operation).substr(0, node.operation.find('.'));
    const bool needed = catalogue_.needs_connection(provider);
    if (needed && node.connection.empty()) {
      report(node.pointer, "missing_connection", fmt::format("{} needs a connection", node.operation));
    }
    if (!needed && !node.connection.empty()) {
      report(node.pointer + "/connection", "unexpected_connection", fmt::format("{} takes no connection", provider));
    }
  }

  Node make_node(std::size_t index, const std::vector<std::string>& names) {
    const auto& draft = draft_.nodes[index];
    Node node{.id = draft.id,
              .kind = draft.kind.value_or(NodeKind::reaction),
              .operation = draft.operation,
              .connection = draft.connection,
              .after = {},
              .params_json = {},
              .params = {},
              .condition = std::nullopt,
              .retry = draft.retry,
              .timeout = draft.timeout,
              .on_error = draft.on_error,
              .on_unknown = draft.on_unknown};
    for (const auto& source : graph_.sources[index]) node.after.push_back({place_of_[source.node], source.port});
    if (draft.condition) compile_condition(index, names, node);
    if (draft.kind == NodeKind::condition || (draft.params && draft.params.type() != JsonType::object)) return node;
    const auto params = draft.params ? draft.params.to_string() : "{}";
    const auto place = draft.pointer + "/params";
    if (draft.kind == NodeKind::trigger) {
      compile_constant(draft, place, params, node);
    } else {
      node.params = Template::compile(params, names, place, problems_);
      check_uses(index, node.params.uses(), place);
    }
    return node;
  }

  // A trigger runs before everything, so there is nothing that an expression could read.
  void compile_constant(const DraftNode& draft, const std::string& place, const std::string& params, Node& node) {
    if (draft.params && find_expressions(draft.params, place)) return;
    const auto constant = Template::compile(params, {}, place, problems_);
    // Rendering of a template without expressions cannot fail.
    if (const auto rendered = constant.render({}, node.params_json); !rendered) node.params_json = params;
  }

  bool find_expressions(const JsonView& value, const std::string& pointer) {
    bool found = false;
    if (value.type() == JsonType::string) {
      const auto parts = split_text(value.string());
      found = parts && std::ranges::any_of(*parts, &TextPart::expression);
      if (found) report(pointer, "expression", "a trigger's parameters are constant: \\{{ writes the braces");
    }
    std::size_t index = 0;
    value.for_each_element([&](JsonView item) { found |= find_expressions(item, pointer + pointer_step(index++)); });
    value.for_each_member(
        [&](std::string_view key, JsonView item) { found |= find_expressions(item, pointer + pointer_step(key)); });
    return found;
  }

  void compile_condition(std::size_t index, const std::vector<std::string>& names, Node& node) {
    const auto& draft = draft_.nodes[index];
    const auto place = draft.pointer + "/if";
    auto compiled = Expression::compile(*draft.condition, names);
    if (!compiled) {
      const auto& [message, position] = compiled.error();
      return report(place, "expression", fmt::format("{} (byte {})", message, draft.condition_position + position));
    }
    node.condition = std::move(*compiled);
    check_uses(index, node.condition->uses(), place);
  }

  void compile_key(Flow& flow) {
    auto compiled = Expression::compile(*draft_.key, flow.names);
    if (!compiled) {
      const auto& [message, position] = compiled.error();
      return report("/key", "expression", fmt::format("{} (byte {})", message, draft_.key_position + position));
    }
    flow.key = std::move(*compiled);
    for (const auto use : flow.key->uses()) {
      if (flow.nodes[use].kind == NodeKind::trigger) continue;
      report("/key", "not_before", fmt::format("a key is worked out before the run begins: '{}' is no trigger", flow.names[use]));
    }
  }

  void check_uses(std::size_t index, const std::vector<std::size_t>& uses, const std::string& pointer) {
    for (const auto use : uses) {
      const auto other = graph_.order[use];
      const auto& id = draft_.nodes[other].id;
      if (!graph_.runs_before[index][other]) {
        report(pointer, "not_before", fmt::format("'{}' does not run before '{}'", id, draft_.nodes[index].id));
      } else if (draft_.nodes[other].kind == NodeKind::condition) {
        report(pointer, "no_output", fmt::format("'{}' is an if: it has no output to read", id));
      }
    }
  }

  const Draft& draft_;
  const Catalogue& catalogue_;
  std::vector<Problem>& problems_;
  Graph graph_;
  std::vector<std::size_t> place_of_;  // in the order, of the node at each place of the draft
};

}  // namespace

const Node* Flow::find(std::string_view id) const {
  const auto found = std::ranges::find(nodes, id, &Node::id);
  return found == nodes.end() ? nullptr : &*found;
}

std::string Flow::key_of(std::string_view trigger, const JsonView& data) const {
  std::vector<JsonView> outputs(nodes.size());
  const auto at = std::ranges::find(names, trigger);
  if (at != names.end()) outputs[static_cast<std::size_t>(at - names.begin())] = data;
  std::string text;
  if (!key || !key->append_json({names, outputs}, text)) text.clear();
  return text;
}

std::expected<std::shared_ptr<const Flow>, std::vector<Problem>> compile(std::string_view json,
                                                                         const Catalogue& catalogue,
                                                                         const FlowLimits& limits) {
  std::vector<Problem> problems;
  const auto draft = read_draft(json, limits, problems);
  auto flow = Compiler(draft, catalogue, problems).run();
  if (!problems.empty()) return std::unexpected(std::move(problems));
  return flow;
}

}  // namespace patchbay::flow
