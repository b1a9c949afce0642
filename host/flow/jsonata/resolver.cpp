#include <algorithm>

#include <fmt/format.h>

#include "flow/jsonata/functions.hpp"
#include "flow/jsonata/parser.hpp"
#include "flow/nearest.hpp"

namespace patchbay::flow::jsonata {
namespace {

ExpressionError variable_error(const Node& node) {
  const bool function = find_function(node.text) != nullptr;
  return {function ? "a function as a value is not supported yet: call it" : "a variable is not supported yet",
          node.position};
}

// Walks the tree knowing where the context is still the object of all outputs: only there does a name mean a node.
class Resolver {
 public:
  Resolver(std::span<const std::string> names, std::vector<std::size_t>& uses) : names_(names), uses_(uses) {}

  void visit(Node& node, bool at_root) {
    if (error) return;
    switch (node.type) {
      case NodeType::path:
        visit_path(node, at_root);
        break;
      case NodeType::name:
        bind(node, at_root);
        break;
      case NodeType::variable:
        error = variable_error(node);
        break;
      case NodeType::context:
        if (at_root) fail(node, "'$' alone would be the outputs of all nodes: name one");
        break;
      case NodeType::root:
        fail(node, "'$$' must be followed by a node: $$.name");
        break;
      default:
        for (auto& child : node.children) visit(*child, at_root);
    }
    visit_behind(node);
  }

  std::optional<ExpressionError> error;

 private:
  void fail(const Node& node, std::string message) {
    if (!error) error = ExpressionError{std::move(message), node.position};
  }
  void visit_behind(Node& node) {
    for (auto& filter : node.predicates) visit(*filter, false);
    for (auto& filter : node.stages) visit(*filter, false);
    if (node.group) visit(*node.group, false);
  }

  // $.name and $$.name are the name itself, bound to the node.
  void visit_path(Node& path, bool at_root) {
    const auto head = path.children.front()->type;
    const bool absolute = head == NodeType::root || (head == NodeType::context && at_root);
    if (absolute && path.children.size() > 1 && path.children[1]->type == NodeType::name &&
        path.children.front()->predicates.empty()) {
      path.children.erase(path.children.begin());
      at_root = true;
    }
    visit(*path.children.front(), at_root);
    for (std::size_t i = 1; i < path.children.size(); ++i) visit(*path.children[i], false);
  }

  void bind(Node& node, bool at_root) {
    if (!at_root) return;
    const auto found = std::ranges::find(names_, node.text);
    if (found == names_.end() || node.text.empty()) {
      return fail(node, fmt::format("unknown name '{}'{}", node.text, did_you_mean(node.text, names_)));
    }
    node.type = NodeType::output;
    node.place = static_cast<std::size_t>(found - names_.begin());
    if (std::ranges::find(uses_, node.place) == uses_.end()) uses_.push_back(node.place);
  }

  std::span<const std::string> names_;
  std::vector<std::size_t>& uses_;
};

// Where there are no nodes, only variables are left to be found.
std::optional<ExpressionError> find_variable(const Node& node) {
  if (node.type == NodeType::variable) return variable_error(node);
  for (const auto* nodes : {&node.children, &node.predicates, &node.stages}) {
    for (const auto& child : *nodes) {
      if (auto error = find_variable(*child)) return error;
    }
  }
  return node.group ? find_variable(*node.group) : std::nullopt;
}

}  // namespace

std::expected<void, ExpressionError> resolve(Node& root, std::span<const std::string> names,
                                             std::vector<std::size_t>& uses) {
  Resolver resolver(names, uses);
  resolver.visit(root, true);
  if (resolver.error) return std::unexpected(*resolver.error);
  return {};
}

std::expected<void, ExpressionError> resolve_over_input(Node& root) {
  if (auto error = find_variable(root)) return std::unexpected(std::move(*error));
  return {};
}

}  // namespace patchbay::flow::jsonata
